"""ONNX Runtime on the CPU: the embedded default, and the reference for the others."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from edgeseg.artifacts import EngineArtifact
from edgeseg.errors import BadInputError, MismatchError
from edgeseg.optional import require
from edgeseg.runtime.engine.engine_layout import SessionLayout
from edgeseg.runtime.engine.failures import InferenceFailedError
from edgeseg.runtime.engine.machine import usable_cores
from edgeseg.runtime.engine.session import FrameBatch, ProbabilityBatch, SessionInfo
from edgeseg.runtime.onnxruntime.int8_kernels import check_int8_kernels, examine_int8_kernels
from edgeseg.runtime.passport.passports import session_info
from edgeseg.specs import INPUT_NAME, OUTPUT_NAME

SILENT = 4
"""ONNX Runtime's level of messages at which it writes no errors."""


def session_options(threads: int = 0, precise_int8: bool = False) -> Any:
    """Make the SessionOptions that edgeseg runs engines with.

    Args:
        threads: Threads inside one inference; 0 takes every usable core.
        precise_int8: Where INT8 sums saturate in 16 bits (x86 without VNNI), take slower kernels that do not.
    """
    options = require("onnxruntime").SessionOptions()
    options.intra_op_num_threads = threads or usable_cores()
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if precise_int8:
        options.add_session_config_entry("session.x64quantprecision", "1")
    # ONNX Runtime would take its own binary format, too, which no check of ours reads.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    return options


def opened(data: bytes, options: Any) -> Any:
    """Open an InferenceSession on the CPU.

    Raises:
        BadInputError: ONNX Runtime refuses the graph.
    """
    try:
        return require("onnxruntime").InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises a dozen classes without a common base
        raise BadInputError("ONNX Runtime cannot load this network", found=str(error)[:300]) from error


class OnnxRuntimeSession:
    """A contract graph loaded by ONNX Runtime.

    Args:
        data: The ONNX file's bytes.
        info: The network, and where it runs.
        threads: Threads inside one inference; 0 takes every usable core.
        precise_int8: See `session_options`.
        silent: Write no errors to stderr, for a graph that is only tried.

    Raises:
        BadInputError: ONNX Runtime refuses the graph.
        MissingComponentError: The graph is INT8, and ONNX Runtime's kernels compute that wrongly on this processor.
    """

    def __init__(
        self, data: bytes, info: SessionInfo, threads: int = 0, precise_int8: bool = False, silent: bool = False
    ) -> None:
        if info.precision == "int8":
            check_int8_kernels()
        options = session_options(threads, precise_int8)
        options.log_severity_level = SILENT if silent else options.log_severity_level
        self._session: Any = opened(data, options)
        self._info = info

    @property
    def info(self) -> SessionInfo:
        """The network, and where it runs."""
        return self._info

    def infer(self, frames: FrameBatch) -> ProbabilityBatch:
        """Run the network: uint8 [N,H,W,3] RGB in, float32 [N,C,H,W] out; one by one where it takes no more.

        Raises:
            InferenceFailedError: ONNX Runtime fails on the frames.
            MismatchError: The graph gives something else than the model that it claims to be.
        """
        model = self._info.model
        if model.largest_batch == 1 and len(frames) > 1:
            return np.concatenate([self.infer(frame[np.newaxis]) for frame in frames])
        try:
            result: ProbabilityBatch = self._session.run([OUTPUT_NAME], {INPUT_NAME: np.ascontiguousarray(frames)})[0]
        except Exception as error:  # as above
            raise InferenceFailedError(self._info.backend, error) from error
        expected = (len(frames), model.channels, model.height, model.width)
        if result.shape != expected or result.dtype != np.float32:
            raise MismatchError(
                "the network does not give what its passport or metadata say",
                found=f"{result.dtype} {list(result.shape)}",
                expected=f"float32 {list(expected)}",
                next_command="edgeseg build-engine MODEL --out NAME.engine",
            )
        return result

    def close(self) -> None:
        """Give the session's memory back."""
        self._session = None


def session_from_engine(data: bytes, passport: EngineArtifact, layout: SessionLayout) -> OnnxRuntimeSession:
    """Open an engine of the backend `onnxruntime`; see `edgeseg.runtime.engine.engine_layout.Opener`."""
    return OnnxRuntimeSession(data, session_info(passport), layout.threads, _precise(passport))


def _precise(passport: EngineArtifact) -> bool:
    """Tell whether INT8 needs kernels that cannot saturate; newer passports say that it does not."""
    if passport.precision != "int8" or passport.binding.instruction_set is not None:
        return False
    if examine_int8_kernels().saturates:
        logging.getLogger(__name__).warning(
            "this INT8 engine was built by an older edgeseg, and its sums could saturate on this processor: it is "
            "opened in a precise mode, which is slow; better: %s",
            passport.rebuild,
        )
    return True
