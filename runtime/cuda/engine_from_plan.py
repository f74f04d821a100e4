"""Opens an engine's plan on the GPU that executes it, in the process that will use it."""

from __future__ import annotations

from edgeseg.artifacts import EngineArtifact
from edgeseg.errors import BadInputError
from edgeseg.runtime.cuda.cuda_engine import CudaEngine, CudaOptions
from edgeseg.runtime.cuda.tensorrt_engine import TensorRtEngine
from edgeseg.runtime.engine.engine_layout import SessionLayout
from edgeseg.runtime.passport.passports import session_info


def engine_from_plan(plan: bytes, passport: EngineArtifact, layout: SessionLayout) -> CudaEngine:
    """Open an engine of the backends `tensorrt` and `tensorrt-rtx`; see `edgeseg.runtime.engine.engine_layout.Opener`.

    This initialises CUDA in the process.

    Raises:
        MismatchError: It cannot be loaded.
        BadInputError: It takes no single frame.
        MissingComponentError: No GPU, or no package of the backend or of the CUDA runtime.
        DeviceMemoryError: The GPU has too little memory.
    """
    _refuse_larger_batches(passport)
    options = CudaOptions(
        lanes=layout.lanes,
        frame_bytes=layout.frame_bytes,
        results=layout.results,
        stage_times=layout.stage_times,
        largest_batch=layout.largest_batch,
    )
    return CudaEngine(lambda: TensorRtEngine(plan, passport), session_info(passport), options)


def _refuse_larger_batches(passport: EngineArtifact) -> None:
    smallest, _, largest = passport.build_flags.get("batch") or (1, 1, 1)
    if smallest > 1:
        raise BadInputError(
            "this engine takes no single frame, and frames come one by one",
            found=f"an engine for batches of {smallest} to {largest}",
            expected="an engine for batches from 1 on",
            next_command=f"the same without --min-batch: {passport.rebuild}",
        )
