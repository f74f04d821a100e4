"""Finds the builder of a backend, and chooses one for `auto`."""

from __future__ import annotations

import onnx

from edgeseg.artifacts import Precision, PrecisionPlan
from edgeseg.calibration.placement import default_plan
from edgeseg.errors import MissingComponentError, UsageError
from edgeseg.export.builders.builder import BuilderFactory, BuilderOptions, EngineBuilder
from edgeseg.runtime.engine.backends import AUTO, EVERYWHERE, PREFERRED, backend_named


def builder_for(backend: str, options: BuilderOptions | None = None) -> tuple[EngineBuilder, str]:
    """The builder of a backend, and why it was chosen.

    Args:
        backend: A name of the registry, or `auto`: tensorrt where it and a GPU are here, else onnxruntime.
        options: What that backend's builder is asked for.

    Raises:
        BadInputError: There is no such backend.
        MissingComponentError: The backend cannot build on this machine.
        UsageError: An option that the backend, or the board, does not have.
    """
    if backend != AUTO:
        return _factory(backend)(options), "asked for"
    try:
        builder = _factory(PREFERRED)(options)
    except MissingComponentError as error:
        reason = f"no {PREFERRED} here: {error.found or error.what}"
    else:
        return builder, builder.what_is_here
    if options is not None:
        raise UsageError(
            f"the backend {EVERYWHERE} has no builder options, and --backend auto takes it here",
            found=f"{' '.join(options.command_line()) or 'options for TensorRT'} ({EVERYWHERE}: {reason})",
            expected="--backend tensorrt or tensorrt-rtx",
        )
    return _factory(EVERYWHERE)(None), reason


def default_plan_for(backend: str, proto: onnx.ModelProto, precision: Precision) -> PrecisionPlan:
    """The default plan of a backend, or of the one that `auto` takes; the backend need not be on this machine."""
    name = builder_for(AUTO)[0].name if backend == AUTO else backend
    return default_plan(proto, precision, _factory(name).beside_int8, name)


def _factory(backend: str) -> BuilderFactory:
    factory: BuilderFactory = backend_named(backend).load("builder")
    return factory
