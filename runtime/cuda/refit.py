"""Put the weights back into a deserialised engine: OnnxParserRefitter sets them by name, Refitter hands them over.

The same calls serve TensorRT 10.3 to 11.x and TensorRT-RTX. The engine was built with REFIT_IDENTICAL, for which other
weights than those that it was built with are undefined behaviour: whoever calls has checked their hash.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeseg.artifacts import EngineArtifact
from edgeseg.errors import MismatchError
from edgeseg.runtime.cuda.errors import DeviceMemoryError
from edgeseg.runtime.cuda.tensorrt_module import TensorRtModule, error_log, tells_out_of_memory

if TYPE_CHECKING:
    import tensorrt

_SHOWN = 3


def refit(trt: TensorRtModule, engine: tensorrt.ICudaEngine, onnx: bytes, passport: EngineArtifact) -> int:
    """Give an engine its weights; nothing may run on it yet.

    Args:
        trt: The module that deserialised it.
        engine: Without weights, its GPU's context current. After an error it must not be used.
        onnx: The graph that it was built from, with the names that the parser saw.
        passport: The engine's.

    Returns:
        How many weights the engine took.

    Raises:
        MismatchError: It takes no weights, or not these, or not all of those that it needs are among them.
        DeviceMemoryError: The GPU has too little memory for them.
    """
    log = error_log(trt)
    log.errors.clear()
    try:
        refitter = trt.Refitter(engine, log.logger)
    except (TypeError, RuntimeError) as error:  # the bindings' way to say that the library gave no object
        raise _refusal(passport, "takes no weights", log.take() or str(error)) from error
    wanted = len(refitter.get_all_weights())
    parser = trt.OnnxParserRefitter(refitter, log.logger)
    if not parser.refit_from_bytes(onnx):
        said = "; ".join(str(parser.get_error(index).desc()) for index in range(min(parser.num_errors, _SHOWN)))
        raise _refusal(passport, "does not take its weights", said or log.take())
    missing = refitter.get_missing_weights()
    if missing:
        names = ", ".join(missing[:_SHOWN]) + (f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else "")
        raise _refusal(passport, "wants weights that its network does not have", names)
    if not refitter.refit_cuda_engine():
        said = log.take()
        if tells_out_of_memory(said):
            raise DeviceMemoryError(
                "the GPU has no memory left for the engine's weights",
                found=said,
                expected="less in use: no other program on this GPU, or a smaller network",
            )
        raise _refusal(passport, "does not take its weights", said)
    return wanted


def _refusal(passport: EngineArtifact, what: str, said: str) -> MismatchError:
    return MismatchError(
        f"this {passport.backend} engine, built without its weights, {what}",
        found=said or "no reason given",
        expected=f"an engine of {passport.backend} {passport.backend_version} built with REFIT_IDENTICAL from them",
        next_command=passport.rebuild,
    )
