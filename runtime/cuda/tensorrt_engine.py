"""Plan -> engine and execution contexts, for TensorRT 10.3 to 11.x and TensorRT-RTX.

What a version lacks is looked up by the presence of its name. A plan is native code: whoever calls has checked its
passport.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from edgeseg.artifacts import EngineArtifact
from edgeseg.errors import BadInputError, MismatchError
from edgeseg.optional import require
from edgeseg.runtime.cuda.cuda_errors import DeviceMemoryError
from edgeseg.runtime.cuda.execution import ExecutionContext
from edgeseg.runtime.cuda.tensorrt_module import TensorRtModule, error_log, open_plan
from edgeseg.runtime.engine.backends import backend_named

if TYPE_CHECKING:
    import tensorrt

_DTYPES = {"UINT8": "uint8", "FLOAT": "float32", "HALF": "float16", "INT8": "int8", "INT32": "int32"}


class TensorRtEngine:
    """A deserialised engine that fits its passport. The GPU's context must be current, from here to the last reference.

    Args:
        plan: The engine file's bytes, as the passport's hash names them.
        passport: Its passport.

    Raises:
        MissingComponentError: The backend's package is not there, or does not start.
        MismatchError: The plan cannot be loaded, or is not what its passport says.
        DeviceMemoryError: The GPU has too little memory for it.
    """

    def __init__(self, plan: bytes, passport: EngineArtifact) -> None:
        self._trt = cast(TensorRtModule, require(backend_named(passport.backend).package))
        host_code = bool(passport.build_flags.get("version_compatible"))
        try:
            self._engine = open_plan(self._trt, plan, host_code=host_code)
        except BadInputError as error:
            raise MismatchError(
                f"{passport.backend} cannot load this engine",
                found=error.found,
                expected=f"an engine of {passport.backend} {passport.backend_version} for this GPU",
                next_command=passport.rebuild,
            ) from error
        _check_tensors(self._engine, passport)

    def create_execution_context(self) -> ExecutionContext:
        """A context with its own activation memory, for one lane.

        Raises:
            DeviceMemoryError: There is none for it.
        """
        context = self._engine.create_execution_context(*self._context_options())
        if context is None:
            raise DeviceMemoryError(
                "the GPU has no memory left for the engine's activations",
                found=self.last_errors() or None,
                expected="fewer lanes or a smaller network",
            )
        return _Context(context, self)

    def last_errors(self) -> str:
        """The errors that the library has logged since they were asked for; may be empty."""
        return error_log(self._trt).take()

    def _context_options(self) -> tuple[Any, ...]:
        """TensorRT-RTX compiles for the GPU at first use; TensorRT takes no options.

        By default it runs fallback kernels until those for the shape are compiled in the background. A captured graph
        would keep the fallback for good, so they are compiled at once; and the lane captures, so the library does not.
        """
        strategies = getattr(self._trt, "DynamicShapesKernelSpecializationStrategy", None)
        if strategies is None:
            return ()
        config = cast(Any, self._engine).create_runtime_config()
        config.dynamic_shapes_kernel_specialization_strategy = strategies.EAGER
        config.cuda_graph_strategy = cast(Any, self._trt).CudaGraphStrategy.DISABLED
        return (config,)


class _Context:
    """An IExecutionContext, which ends before the engine that it keeps."""

    def __init__(self, context: tensorrt.IExecutionContext, engine: TensorRtEngine) -> None:
        self._context = context
        self._engine = engine

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        return bool(self._context.set_input_shape(name, shape))

    def set_tensor_address(self, name: str, memory: int) -> bool:
        return bool(self._context.set_tensor_address(name, memory))

    def execute_async_v3(self, stream_handle: int) -> bool:
        return bool(self._context.execute_async_v3(stream_handle))

    def why_refused(self) -> str:
        return self._engine.last_errors()


def _check_tensors(engine: tensorrt.ICudaEngine, passport: EngineArtifact) -> None:
    """Hold the engine's inputs and outputs against the passport; the batch may be fixed to 1."""
    found = sorted(_tensors_of(engine))
    expected = sorted(
        _line(mode, spec.name, spec.dtype, spec.shape)
        for mode, specs in (("INPUT", passport.inputs), ("OUTPUT", passport.outputs))
        for spec in specs
    )
    if found != expected:
        raise MismatchError(
            "the engine's inputs and outputs are not what its passport says",
            found="; ".join(found),
            expected="; ".join(expected),
            next_command=passport.rebuild,
        )


def _tensors_of(engine: tensorrt.ICudaEngine) -> list[str]:
    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    return [
        _line(
            _name_of(engine.get_tensor_mode(name)),
            name,
            _dtype_of(_name_of(engine.get_tensor_dtype(name))),
            tuple(engine.get_tensor_shape(name)),
        )
        for name in names
    ]


def _name_of(member: Any) -> str:
    """The name of a member of the bindings' enumerations, of which the stubs tell nothing."""
    return str(member.name)


def _dtype_of(name: str) -> str:
    return _DTYPES.get(name, name)


def _line(mode: str, name: str, dtype: str, shape: tuple[int, ...]) -> str:
    batch, *rest = shape or (0,)
    sizes = ",".join(map(str, ("N" if batch in (-1, 1) else batch, *rest)))
    return f"{mode.lower()} {name} {dtype} [{sizes}]"
