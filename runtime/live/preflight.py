"""Checks before the first frame what a stream needs to go on once it has started."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from edgeseg.errors import UsageError
from edgeseg.files import UnwritableError, check_writable
from edgeseg.progress import Say
from edgeseg.runtime.engine.failures import EngineDownError
from edgeseg.runtime.engine.inputs import EngineInput, NetworkInput
from edgeseg.runtime.engine.outcomes import Segmented
from edgeseg.runtime.engine.planes import PlanarForm, PlanarFrame
from edgeseg.runtime.engine.session import SessionInfo
from edgeseg.runtime.live.drawing import draw_live
from edgeseg.runtime.live.settings import LiveSettings, OutputSettings
from edgeseg.runtime.live.sources.source_opening import is_live_name
from edgeseg.runtime.video.picture import Picture
from edgeseg.runtime.worker.worker_engine import WorkerEngine

MIN_FREE_BYTES = 256 * 2**20
"""Free space demanded on a disk that is recorded to: some minutes of video."""
WARM_FRAMES = 10
READY_S = 120.0
SYNC_MARGIN = 1.5
"""Delay that masks may take in synchronous mode, over the slowest warm-up inference."""
_ANSWER_S = 10.0
_DOCTOR = "edgeseg doctor"


def check_outputs(*streams: LiveSettings) -> None:
    """Refuse outputs that cannot be written, are inputs, or lie on a full disk; nothing is created.

    Args:
        streams: The streams of a box.

    Raises:
        UsageError: An output is an input or another output, or of a kind that live video is not kept as.
        UnwritableError: It cannot be written, or there is no room.
    """
    inputs = [path for settings in streams for path in _inputs_of(settings)]
    taken = {path.resolve() for path in inputs if path is not None and path.exists()}
    for settings in streams:
        _check_kinds(settings.outputs)
    for path in [path for settings in streams for path in settings.outputs.files()]:
        resolved = path.resolve()
        if resolved in taken:
            raise UsageError("an output is an input or another output", found=path, expected="a path of its own")
        taken.add(resolved)
        check_writable(path)
        folder = next(parent for parent in resolved.parents if parent.exists())
        free_bytes = shutil.disk_usage(folder).free
        if free_bytes < MIN_FREE_BYTES:
            raise UnwritableError(
                f"there is too little room to record to {path}",
                found=f"{free_bytes / 2**20:.0f} MiB free",
                expected=f"at least {MIN_FREE_BYTES // 2**20} MiB",
                next_command="make room, or choose another disk",
            )


def _inputs_of(settings: LiveSettings) -> tuple[Path | None, ...]:
    source = None if is_live_name(settings.source) else Path(settings.source)  # a pipeline may be too long for a name
    watch = settings.watch
    return settings.engine, source, watch.reference, watch.statistics, settings.roll_out.shadow


def _check_kinds(outputs: OutputSettings) -> None:
    for option, path, suffix in (
        ("--out", outputs.overlay, ".mp4"),
        ("--record", outputs.raw, ".mp4"),
        ("--events", outputs.events, ".jsonl"),
    ):
        if path is not None and path.suffix.lower() != suffix:
            raise UsageError(f"{option} of live video is another kind of file", found=path, expected=f"FILE{suffix}")


def warm_up(engine: WorkerEngine, say: Say) -> float:
    """Wait for the engine and time it on a few frames; what the first drawing sets up is set up beside it.

    Returns:
        The slowest inference but the first, in milliseconds.

    Raises:
        EdgesegError: It does not come up or does not answer.
    """
    started_s = time.monotonic()
    draw_live(Picture.of_bgr(np.zeros((64, 64, 3), np.uint8)).planar(), None, ("edgeseg",), "contour")
    engine.wait_ready(READY_S)
    model = engine.info.model
    times_ms = list(_inferences_ms(engine, _typical_frame(engine.info)))
    if not times_ms:
        raise engine.failure or EngineDownError("the engine answered none of its first frames", next_command=_DOCTOR)
    slowest_ms = max(times_ms[1:], default=times_ms[0])
    say(
        f"engine ready after {time.monotonic() - started_s:.1f} s: {engine.info.backend} {engine.info.precision}, "
        f"{model.width}x{model.height}, {np.median(times_ms):.1f} ms a frame"
    )
    return slowest_ms


def _typical_frame(info: SessionInfo) -> EngineInput:
    """1080p where whole planes are taken, so that their way to the GPU is timed, too; else the network's input."""
    height, width = 1080, 1920
    crop = info.preprocess.crop
    if info.takes_planes and (crop is None or (crop.top + crop.height <= height and crop.left + crop.width <= width)):
        return PlanarFrame(np.full((height * 3 // 2, width), 128, np.uint8), PlanarForm(height, width, "bt709", False))
    return NetworkInput(np.zeros((info.model.height, info.model.width, 3), np.uint8))


def _inferences_ms(engine: WorkerEngine, frame: EngineInput) -> Iterator[float]:
    for _ in range(WARM_FRAMES):
        if engine.submit(frame) is not None:
            for outcome in engine.poll(_ANSWER_S):
                if isinstance(outcome, Segmented):
                    yield outcome.infer_ms
