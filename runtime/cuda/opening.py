"""Opens an engine file as a CUDA session, in the process that will use the GPU."""

from __future__ import annotations

import logging
from pathlib import Path

from edgeseg.artifacts import EngineArtifact
from edgeseg.errors import BadInputError
from edgeseg.runtime.cuda.session import CudaOptions, CudaSession
from edgeseg.runtime.cuda.tensorrt_engine import TensorRtEngine
from edgeseg.runtime.engine.layout import SessionLayout
from edgeseg.runtime.passport.bindings import check_binding, read_machine
from edgeseg.runtime.passport.passports import read_checked, session_info


def open_cuda_session(path: Path, options: CudaOptions | None = None) -> CudaSession:
    """Load an engine of tensorrt or tensorrt-rtx on this machine's GPU. This initialises CUDA in the process.

    Args:
        path: NAME.engine, with NAME.engine.json beside it.
        options: How to use the GPU.

    Raises:
        MismatchError: The passport does not fit, the engine is bound to another machine, or cannot be loaded.
        BadInputError: It takes no single frame.
        MissingComponentError: No GPU, or no package of the backend or of the CUDA runtime.
        DeviceMemoryError: The GPU has too little memory.
    """
    plan, passport = read_checked(path)
    for warning in check_binding(passport, read_machine(passport.backend)):
        logging.getLogger(__name__).warning("%s: %s", path, warning)
    return _session(plan, passport, options)


def session_from_engine(plan: bytes, passport: EngineArtifact, layout: SessionLayout) -> CudaSession:
    """Open an engine of the backends `tensorrt` and `tensorrt-rtx`; see `edgeseg.runtime.engine.layout.Opener`."""
    options = CudaOptions(
        lanes=layout.lanes,
        frame_bytes=layout.frame_bytes,
        stage_times=layout.stage_times,
        largest_batch=layout.largest_batch,
    )
    return _session(plan, passport, options)


def _session(plan: bytes, passport: EngineArtifact, options: CudaOptions | None) -> CudaSession:
    _refuse_larger_batches(passport)
    return CudaSession(lambda: TensorRtEngine(plan, passport), session_info(passport), options)


def _refuse_larger_batches(passport: EngineArtifact) -> None:
    smallest, _, largest = passport.build_flags.get("batch") or (1, 1, 1)
    if smallest > 1:
        raise BadInputError(
            "this engine takes no single frame, and frames come one by one",
            found=f"an engine for batches of {smallest} to {largest}",
            expected="an engine for batches from 1 on",
            next_command=f"the same without --min-batch: {passport.rebuild}",
        )
