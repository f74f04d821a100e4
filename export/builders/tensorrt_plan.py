"""ONNX -> serialised engine: one path for TensorRT 10.3 to 11.x and TensorRT-RTX.

What a version lacks is looked up by the presence of its name, never by its number. All use of the module handed in is
here and in the files beside; tests/export/tensorrt_api.json says which names each version has.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import onnx

from edgeseg.errors import BadInputError, MissingComponentError
from edgeseg.export.builders import timing_cache
from edgeseg.export.builders.build_progress import BuildProgress, monitor
from edgeseg.export.builders.tensorrt_messages import parse_error
from edgeseg.export.builders.tensorrt_options import Flavour, TensorRtOptions
from edgeseg.graph.onnx_files import serialize
from edgeseg.progress import Say, quiet
from edgeseg.runtime.cuda.tensorrt_module import ErrorLog, TensorRtModule, error_log
from edgeseg.specs import INPUT_NAME

if TYPE_CHECKING:
    import tensorrt
    import tensorrt_rtx


def plan_from_onnx(
    trt: TensorRtModule,
    flavour: Flavour,
    proto: onnx.ModelProto,
    options: TensorRtOptions,
    origin: str = "the network",
    timings: Path | None = None,
    pinned: bool = False,
    say: Say = quiet,
) -> bytes:
    """Build an engine from a strongly typed graph.

    Args:
        trt: The module `tensorrt` or `tensorrt_rtx`.
        flavour: Which of them it is.
        proto: The contract graph in the precision wanted.
        options: Options that `check_options` has checked.
        origin: The model's path, for messages.
        timings: File that keeps kernel timings; None keeps none.
        pinned: Whether tactics are to be those that `timings` has; where it lacks one, all are chosen anew.
        say: Hears how far the build has come.

    Raises:
        BadInputError: The graph is refused, or no engine comes out of it.
        MissingComponentError: The library does not start.
    """
    log = error_log(trt)
    log.errors.clear()
    builder = _builder(trt, flavour, log)
    network = builder.create_network(_creation_flags(trt))
    parser = trt.OnnxParser(network, log.logger)
    if not parser.parse(serialize(proto)):
        raise parse_error(flavour.title, origin, parser, proto, log.take())
    config = _config(trt, flavour, builder, options, _input_shape(proto))
    progress = BuildProgress(flavour.title, say)
    if hasattr(trt, "IProgressMonitor") and hasattr(config, "progress_monitor"):
        config.progress_monitor = watcher = monitor(trt, progress)  # noqa: F841  it must outlive the build
    cache = None if timings is None else timing_cache.attach(config, timings, say)
    if pinned:
        timing_cache.pin(trt, config)
    plan = builder.build_serialized_network(network, config)
    if progress.error is not None:
        raise progress.error
    if plan is None and pinned:
        say(f"{flavour.title} builds nothing from the kept timings alone ({log.take() or 'no reason given'})")
        say(timing_cache.CHOSEN_ANEW)
        return plan_from_onnx(trt, flavour, proto, options, origin, timings, say=say)
    if plan is None:
        raise _no_engine(flavour, origin, options, log.take())
    if cache is not None and timings is not None:
        timing_cache.keep(cache, timings, say)
    return bytes(plan)


def _builder(trt: TensorRtModule, flavour: Flavour, log: ErrorLog) -> tensorrt.Builder:
    try:
        return trt.Builder(log.logger)
    except (TypeError, RuntimeError) as error:  # the bindings' way to say that the library gave no object
        raise MissingComponentError(
            f"{flavour.title} {trt.__version__} does not start here",
            found=log.take() or error,
            expected="a GPU, a driver and CUDA libraries that this version supports",
            next_command="edgeseg build-engine MODEL --backend onnxruntime",
        ) from error


def _creation_flags(trt: TensorRtModule) -> int:
    """Strong typing: asked for by a flag in 10.x, ignored but accepted in 11.x, where nothing else is left."""
    flag = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    return 0 if flag is None else 1 << int(flag)


def _input_shape(proto: onnx.ModelProto) -> tuple[int, ...]:
    """[H,W,C] of the input; only the batch may vary."""
    frame = next(item for item in proto.graph.input if item.name == INPUT_NAME)
    return tuple(size.dim_value for size in frame.type.tensor_type.shape.dim)[1:]


def _config(
    trt: TensorRtModule, flavour: Flavour, builder: tensorrt.Builder, options: TensorRtOptions, shape: tuple[int, ...]
) -> tensorrt.IBuilderConfig:
    config = builder.create_builder_config()
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    config.clear_flag(trt.BuilderFlag.TF32)  # on by default; 10 bits of mantissa are not what --precision fp32 says
    if hasattr(trt, "MemoryPoolType"):
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_bytes)
    if flavour.needs_gpu:
        _set_compatibility(trt, config, options)
    else:
        _set_targets(trt, cast("tensorrt_rtx.IBuilderConfig", config), flavour, options)
    user_allocation = getattr(trt.BuilderFlag, "REQUIRE_USER_ALLOCATION", None)
    if user_allocation is not None:  # TensorRT-RTX: without it, capture may be refused
        config.set_flag(user_allocation)
    profile = builder.create_optimization_profile()
    profile.set_shape(INPUT_NAME, *((batch, *shape) for batch in options.batch))
    config.add_optimization_profile(profile)
    return config


def _set_compatibility(trt: TensorRtModule, config: tensorrt.IBuilderConfig, options: TensorRtOptions) -> None:
    if options.version_compatible:
        config.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)
    if options.hardware_compatibility != "none":
        level = options.hardware_compatibility.upper().replace("-", "_")
        config.hardware_compatibility_level = _member(trt, None, "HardwareCompatibilityLevel", level)


def _set_targets(
    trt: TensorRtModule, config: tensorrt_rtx.IBuilderConfig, flavour: Flavour, options: TensorRtOptions
) -> None:
    config.num_compute_capabilities = len(options.compute_capabilities)
    for index, capability in enumerate(options.compute_capabilities):
        value = _member(trt, flavour, "ComputeCapability", f"SM{capability.replace('.', '')}")
        if not config.set_compute_capability(value, index):
            raise BadInputError(f"{flavour.title} refuses the compute capability {capability}")


def _member(trt: TensorRtModule, flavour: Flavour | None, group: str, name: str) -> Any:
    value = getattr(getattr(trt, group, None), name, None)
    if value is None:
        title = flavour.title if flavour else "TensorRT"
        raise BadInputError(f"{title} {trt.__version__} has no {group}.{name}", expected="another option or version")
    return value


def _no_engine(flavour: Flavour, origin: str, options: TensorRtOptions, logged: str) -> BadInputError:
    return BadInputError(
        f"{flavour.title} cannot build an engine from {origin}",
        found=logged or "no reason given",
        expected=f"a network whose layers fit {options.workspace_bytes / 2**20:.0f} MiB of workspace",
        next_command="edgeseg build-engine MODEL --backend onnxruntime",
    )
