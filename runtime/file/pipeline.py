"""Takes a file's frames through an engine: decoding, inference and writing have threads and short queues.

Every frame gets its own mask, in order; one whose engine process dies is handed to the next. The decoding thread makes
the network's small input as well, unless the engine takes the decoder's planes. The main thread infers;
`QUEUED_FRAMES` at most wait on either side of it and the engine's capacity between, which bounds memory. The first
failure stops all threads and is raised.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import cv2

from edgeseg.artifacts import LatencyReport
from edgeseg.frames import Mask, Probability, confidence_of
from edgeseg.progress import Track, silent
from edgeseg.runtime.engine.engine import Engine
from edgeseg.runtime.engine.inputs import EngineInput
from edgeseg.runtime.engine.latency import LatencyRecorder
from edgeseg.runtime.engine.lossless import LosslessFrames
from edgeseg.runtime.engine.outcomes import Segmented
from edgeseg.runtime.engine.session import SessionInfo, marked_at_frame, mask_at_frame
from edgeseg.runtime.video.channel import Channel
from edgeseg.runtime.video.engine_input import network_input_of, planes_for
from edgeseg.runtime.video.one_thread import opencv_on_one_thread
from edgeseg.runtime.video.overlay import OverlayMode, caption, draw
from edgeseg.runtime.video.persistence import MarkPersistence
from edgeseg.runtime.video.picture import Picture
from edgeseg.runtime.video.sinks import Sinks
from edgeseg.runtime.video.source import Source, SourceFrame

QUEUED_FRAMES = 2


@dataclass(frozen=True)
class StreamResult:
    """The result of one run over a source."""

    frames: int
    frames_with_mask: int
    """Frames with at least one marked pixel."""
    damaged_frames: int
    """Frames whose missing parts the decoder patched with guesses, or that follow a lost one up to a key frame."""
    lost_frames: int
    """Pictures that could not be decoded and were left out."""
    latency: LatencyReport


@dataclass(frozen=True)
class ArrivedFrame:
    """A frame, when it came out of the decoder, and what the network sees of it."""

    source: SourceFrame
    arrived_ns: int
    engine_input: EngineInput
    """Its planes, or the network's input, uint8 [h,w,3] RGB."""


@dataclass(frozen=True)
class SegmentedFrame:
    """A frame with its own mask."""

    source: SourceFrame
    arrived_ns: int
    mask: Mask
    area_fraction: float
    """The marked part of the picture, 0 to 1."""
    probability: Probability
    """float32 [C,h,w] at the network's size."""
    infer_ms: float


def run_stream(
    engine: Engine,
    source: Source,
    sinks: Sinks,
    max_frames: int | None = None,
    track: Track = silent,
    overlay: OverlayMode = "contour",
    persistence: MarkPersistence | None = None,
    threaded: bool = True,
) -> StreamResult:
    """Infer every frame of a source and write what comes of it.

    A frame's end-to-end time is the time its decoding took plus the time from then until its picture and mask
    were written, waiting included. Files have no deadline, so none is missed.

    Args:
        engine: An engine opened for files; it stays the caller's to close.
        source: An open source; this consumes it.
        sinks: The receivers of pictures and masks; they must stay open until this returns.
        max_frames: Stop after so many frames.
        track: Shows progress.
        overlay: The way that masks are drawn on the pictures for `sinks.pictures`.
        persistence: Withholds marks that do not last; None leaves every frame to itself.
        threaded: False does one thing after another in this thread, for a process that has one core to itself.

    Raises:
        EdgesegError: The source, the engine or a sink failed.
    """
    stages = _Stages(engine, sinks, LatencyRecorder(), overlay, persistence)
    frames, total = islice(source.frames(), max_frames), _expected_frames(source, max_frames)
    if threaded:
        _run_threaded(stages, frames, track, total)
    else:
        with opencv_on_one_thread(), contextlib.closing(_tracked(track, stages.arrived(frames), total)) as arrived:
            for segmented in stages.segment(arrived):
                stages.write(segmented)
    return stages.result(source.lost_frames)


def _run_threaded(stages: _Stages, frames: Iterable[SourceFrame], track: Track, total: int | None) -> None:
    """Decode and write on a thread each; this one infers."""
    decoded: Channel[ArrivedFrame] = Channel(QUEUED_FRAMES)
    segmented: Channel[SegmentedFrame] = Channel(QUEUED_FRAMES)
    with opencv_on_one_thread(), ThreadPoolExecutor(2, thread_name_prefix="edgeseg-stream") as pool:
        try:
            reading = pool.submit(stages.read_all, frames, decoded)
            writing = pool.submit(stages.write_all, segmented)
            with contextlib.closing(_tracked(track, decoded, total)) as arrived:
                for frame in stages.segment(arrived):
                    if not segmented.put(frame):
                        break
            decoded.abort()
            segmented.close()
            reading.result()
            writing.result()
        except BaseException:  # Ctrl-C too: the threads must end before the sinks may be closed
            decoded.abort()
            segmented.abort()
            raise


class _Stages:
    """The work on each frame; each stage is timed by the thread that does it."""

    def __init__(
        self,
        engine: Engine,
        sinks: Sinks,
        recorder: LatencyRecorder,
        overlay: OverlayMode,
        persistence: MarkPersistence | None,
    ) -> None:
        self._engine, self._info = engine, engine.info
        self._under_way: LosslessFrames[ArrivedFrame] = LosslessFrames(engine)
        self._overlay: OverlayMode = overlay
        self._sinks = sinks
        self._recorder, self._persistence = recorder, persistence
        self._frames = self._with_mask = self._damaged = 0

    def read_all(self, frames: Iterable[SourceFrame], decoded: Channel[ArrivedFrame]) -> None:
        try:
            for frame in self.arrived(frames):
                if not decoded.put(frame):
                    return
        finally:
            decoded.close()

    def arrived(self, frames: Iterable[SourceFrame]) -> Iterator[ArrivedFrame]:
        for frame in frames:
            arrived_ns = time.monotonic_ns()
            self._recorder.add("decode", frame.decode_ns)
            yield ArrivedFrame(frame, arrived_ns, self._engine_input(frame.picture))

    def _engine_input(self, picture: Picture) -> EngineInput:
        planes = planes_for(picture, self._info)
        if planes is not None:
            return planes
        with self._recorder.measure("pre"):
            return network_input_of(picture, self._info)

    def segment(self, frames: Iterable[ArrivedFrame]) -> Iterator[SegmentedFrame]:
        under_way = self._under_way
        for frame in frames:
            under_way.add(frame, frame.engine_input)
            while under_way.is_full:
                yield self._mask(*under_way.take())
        while under_way:
            yield self._mask(*under_way.take())

    def _mask(self, frame: ArrivedFrame, segmented: Segmented) -> SegmentedFrame:
        height, width = frame.source.picture.height, frame.source.picture.width
        self._recorder.add_ms("infer", segmented.infer_ms)
        with self._recorder.measure("post"):
            probability = segmented.probability
            if self._persistence is not None:
                probability = self._persistence.update(probability)
            mask = mask_at_frame(self._info, probability, height, width)
            area_fraction = cv2.countNonZero(mask) / mask.size
        self._frames += 1
        self._with_mask += area_fraction > 0
        self._damaged += frame.source.damaged
        return SegmentedFrame(frame.source, frame.arrived_ns, mask, area_fraction, probability, segmented.infer_ms)

    def write_all(self, segmented: Channel[SegmentedFrame]) -> None:
        try:
            for frame in segmented:
                self.write(frame)
        finally:
            segmented.abort()

    def write(self, frame: SegmentedFrame) -> None:
        shown = frame.source.picture
        if self._sinks.pictures:
            with self._recorder.measure("draw"):
                shown = self._drawn(frame)
        if self._sinks.pictures or self._sinks.masks or self._sinks.raw or self._sinks.results:
            with self._recorder.measure("encode"):
                for raw in self._sinks.raw:
                    raw.write(frame.source, frame.source.picture)
                for pictures in self._sinks.pictures:
                    pictures.write(frame.source, shown)
                for masks in self._sinks.masks:
                    masks.write(frame.source, frame.mask)
                for results in self._sinks.results:
                    results.write(frame.source, frame.mask, frame.probability)
        waited_ns = time.monotonic_ns() - frame.arrived_ns
        self._recorder.add("end_to_end", frame.source.decode_ns + waited_ns)

    def _drawn(self, frame: SegmentedFrame) -> Picture:
        picture, lines = frame.source.picture, _caption_of(self._info, frame)
        if self._overlay == "heat":
            probability = marked_at_frame(self._info, frame.probability, picture.height, picture.width)
            return draw(picture, frame.mask, lines, "heat", probability)
        return draw(picture, frame.mask if frame.area_fraction else None, lines, self._overlay)

    def result(self, lost_frames: int) -> StreamResult:
        latency = self._recorder.report(
            self._info,
            frames=self._frames,
            inferences=self._frames,
            device=self._engine.device_name,
            retries=self._under_way.retries,
            restarts=self._engine.restarts,
        )
        return StreamResult(self._frames, self._with_mask, self._damaged, lost_frames, latency)


def _caption_of(info: SessionInfo, frame: SegmentedFrame) -> tuple[str, ...]:
    structure = info.model.classes[0] if info.model.output == "sigmoid" else "marked"
    confidence = confidence_of(frame.probability)
    return caption(structure, frame.area_fraction, confidence, f"{info.backend} {info.precision}", frame.infer_ms)


def _expected_frames(source: Source, max_frames: int | None) -> int | None:
    known = [count for count in (source.frame_count, max_frames) if count is not None]
    return min(known, default=None)


def _tracked(track: Track, frames: Iterable[ArrivedFrame], total: int | None) -> Generator[ArrivedFrame, None, None]:
    """Track frames as a generator: closing it takes the progress bar down before an error is printed."""
    yield from track(frames, "frames", total)
