"""Video through edgeseg against the loop that a competent user writes, and a threaded one; same engine, cores, encoder.

Usage: python benchmarks/stream.py ENGINE... [--clip FILE] [--frames 300] [--rounds 3] [--json FILE]

H.264 in, H.264 (libx264 ultrafast) with the mask's outline out. Each runner is a process of its own; the runners take
turns, and a ratio is the median over the rounds. `bare` is the session alone over frames of the network's size, on all
cores: no video can be faster with that layout. Without --clip, a synthetic 1280x720 clip is made.

Processor time outside inference is that of the whole process less that of as many inferences, measured in the same
process by the threads that infer.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import queue
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

ENCODER = ("libx264", {"preset": "ultrafast"})


@dataclass(frozen=True)
class Result:
    """What one runner did."""

    runner: str
    engine: str
    frames: int
    inferences: int
    seconds: float
    cpu_seconds: float
    inference_cpu_seconds: float
    load: float

    @property
    def fps(self) -> float:
        """Frames a second."""
        return self.frames / self.seconds

    @property
    def other_cpu_ms(self) -> float:
        """Processor time a frame that is not inference."""
        return 1e3 * (self.cpu_seconds - self.inference_cpu_seconds) / self.frames


class Session:
    """ONNX Runtime as a user opens it: the file, so many threads, nothing else; its processor time is counted."""

    def __init__(self, engine: Path, threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session: Any = onnxruntime.InferenceSession(str(engine), options, providers=["CPUExecutionProvider"])
        source = self._session.get_inputs()[0]
        self._name, (_, self.height, self.width, _) = source.name, source.shape
        self.count = 0

    def probability(self, frame: Any) -> Any:
        """uint8 [H,W,3] RGB at the network's size -> float32 [H,W]."""
        self.count += 1
        return self._session.run(None, {self._name: frame[None]})[0][0, 0]


def bare(engine: Path, clip: Path, out: Path, frames: int) -> tuple[int, int]:
    """The session alone."""
    session = Session(engine, len(os.sched_getaffinity(0)))
    frame = np.zeros((session.height, session.width, 3), np.uint8)
    for _ in range(frames):
        session.probability(frame)
    return frames, session.count


def plain(engine: Path, clip: Path, out: Path, frames: int) -> tuple[int, int]:
    """Read, resize, infer, resize the mask, draw, write: one after another."""
    session = Session(engine, len(os.sched_getaffinity(0)))
    writer = Writer(out)
    count = 0
    for picture in read(clip, frames):
        writer.write(drawn(picture, session.probability(prepared(picture, session))))
        count += 1
    writer.close()
    return count, session.count


def threaded(engine: Path, clip: Path, out: Path, frames: int) -> tuple[int, int]:
    """A thread that reads, two that infer on a core each, one that draws and writes in order."""
    sessions = [Session(engine, 1) for _ in range(2)]
    todo: queue.Queue[Any] = queue.Queue(4)
    done: queue.Queue[Any] = queue.Queue(8)
    threads = [threading.Thread(target=_infer, args=(session, todo, done)) for session in sessions]
    written: list[int] = []
    threads.append(threading.Thread(target=_write_in_order, args=(done, len(sessions), out, written)))
    for thread in threads:
        thread.start()
    for item in enumerate(read(clip, frames)):
        todo.put(item)
    for _ in sessions:
        todo.put(None)
    for thread in threads:
        thread.join()
    return len(written), sum(session.count for session in sessions)


def _infer(session: Session, todo: queue.Queue[Any], done: queue.Queue[Any]) -> None:
    while (item := todo.get()) is not None:
        index, picture = item
        done.put((index, picture, session.probability(prepared(picture, session))))
    done.put(None)


def _write_in_order(done: queue.Queue[Any], senders: int, out: Path, written: list[int]) -> None:
    writer = Writer(out)
    waiting: dict[int, tuple[Any, Any]] = {}
    while senders:
        item = done.get()
        if item is None:
            senders -= 1
            continue
        waiting[item[0]] = item[1:]
        while len(written) in waiting:
            writer.write(drawn(*waiting.pop(len(written))))
            written.append(len(written))
    writer.close()


def ours(engine: Path, clip: Path, out: Path, frames: int) -> tuple[int, int]:
    """What `edgeseg run ENGINE CLIP --out OUT` runs."""
    from edgeseg.runtime.loading import open_engine
    from edgeseg.runtime.stream.outputs import Outputs
    from edgeseg.runtime.stream.pipeline import run_stream
    from edgeseg.runtime.stream.sources import open_source

    session = open_engine(engine, streaming=True)
    outputs = Outputs(out)
    with open_source(clip) as source, outputs.open(source.timing) as sinks:
        result = run_stream(session, source, sinks, frames)
    session.close()
    return result.frames, result.latency.inferences


RUNNERS: dict[str, Callable[[Path, Path, Path, int], tuple[int, int]]] = {
    "bare": bare,
    "plain loop": plain,
    "threaded loop": threaded,
    "edgeseg": ours,
}


def read(clip: Path, frames: int) -> Iterator[Any]:
    """Frames of a clip by OpenCV, uint8 [H,W,3] BGR."""
    capture = cv2.VideoCapture(str(clip))
    for _ in range(frames):
        good, picture = capture.read()
        if not good:
            break
        yield picture
    capture.release()


def prepared(picture: Any, session: Session) -> Any:
    """As the network wants it."""
    return cv2.cvtColor(cv2.resize(picture, (session.width, session.height)), cv2.COLOR_BGR2RGB)


def drawn(picture: Any, probability: Any) -> Any:
    """The mask at the frame's size, its outline and a caption on the picture."""
    height, width = picture.shape[:2]
    mask = (cv2.resize(probability, (width, height)) >= 0.5).astype(np.uint8)
    contours, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    cv2.drawContours(picture, contours, -1, (233, 180, 86), 3, cv2.LINE_AA)
    cv2.putText(picture, f"{mask.mean():.1%}", (20, height - 20), 0, 0.8, (255, 255, 255), 1, cv2.LINE_AA)
    return picture


class Writer:
    """H.264 by PyAV: the wheel of OpenCV has no encoder for it."""

    def __init__(self, out: Path) -> None:
        import av

        self._av: Any = av
        self._container = av.open(str(out), "w")
        self._stream: Any = None

    def write(self, picture: Any) -> None:
        """Encode one BGR picture."""
        if self._stream is None:
            self._stream = self._container.add_stream(ENCODER[0], rate=25, options=dict(ENCODER[1]))
            self._stream.height, self._stream.width = picture.shape[:2]
            self._stream.pix_fmt = "yuv420p"
        self._mux(self._av.VideoFrame.from_ndarray(picture, format="bgr24"))

    def close(self) -> None:
        """Finish the file."""
        self._mux(None)
        self._container.close()

    def _mux(self, frame: Any) -> None:
        for packet in self._stream.encode(frame):
            self._container.mux(packet)


def inference_cpu_s(engine: Path, threads: int, count: int = 60) -> float:
    """Processor seconds of one inference of a layout, alone in this process."""
    session = Session(engine, threads)
    frame = np.zeros((session.height, session.width, 3), np.uint8)
    for _ in range(5):
        session.probability(frame)
    before = time.process_time()
    for _ in range(count):
        session.probability(frame)
    return (time.process_time() - before) / count


def child(runner: str, engine: Path, clip: Path, frames: int, answers: Any) -> None:
    """Run one runner and say how it went; the clip is read once before, so that it is in memory."""
    clip.read_bytes()
    threads = len(os.sched_getaffinity(0)) if runner in ("bare", "plain loop") else 1
    each_s = inference_cpu_s(engine, threads)
    with tempfile.TemporaryDirectory() as folder:
        load = os.getloadavg()[0]
        wall, cpu = time.perf_counter(), time.process_time()
        count, inferences = RUNNERS[runner](engine, clip, Path(folder, "out.mp4"), frames)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        if runner != "bare":
            assert sum(1 for _ in read(Path(folder, "out.mp4"), frames)) == count, "a frame is missing in the file"
    answers.put(Result(runner, engine.name, count, inferences, wall, cpu, each_s * inferences, load))


def run(runner: str, engine: Path, clip: Path, frames: int) -> Result:
    """One runner in a fresh process."""
    context = multiprocessing.get_context("spawn")
    answers: Any = context.Queue()
    process = context.Process(target=child, args=(runner, engine, clip, frames, answers))
    process.start()
    result: Result = answers.get()
    process.join()
    return result


def synthetic_clip(path: Path, frames: int) -> None:
    """1280x720 H.264 at 25 fps: noise over drifting colour fields, so that the codec has work."""
    rng = np.random.default_rng(0)
    field = cv2.GaussianBlur(rng.integers(0, 256, (900, 1500, 3), np.uint8), (0, 0), 25)
    field = cv2.normalize(field, None, 20, 235, cv2.NORM_MINMAX)
    noise = rng.integers(0, 12, (720, 1280, 3), np.uint8)
    writer = Writer(path)
    for index in range(frames):
        window = field[index % 180 : index % 180 + 720, index % 220 : index % 220 + 1280]
        writer.write(np.ascontiguousarray(cv2.add(window, np.roll(noise, 7 * index, axis=1))))
    writer.close()


def table(results: list[Result]) -> str:
    """Median of the rounds, ratios to the plain loop and to the bare session."""
    lines = [
        f"{'engine':32} {'runner':14} {'fps':>7} {'of plain':>9} {'of bare':>8} {'other CPU ms':>13} {'frames':>7}"
    ]
    for engine in dict.fromkeys(result.engine for result in results):
        rounds = {
            runner: [result for result in results if (result.engine, result.runner) == (engine, runner)]
            for runner in RUNNERS
        }
        for runner, own in rounds.items():
            of_plain, of_bare = (
                statistics.median(a.fps / b.fps for a, b in zip(own, rounds[peer], strict=True))
                for peer in ("plain loop", "bare")
            )
            fps = statistics.median(result.fps for result in own)
            other_ms = statistics.median(result.other_cpu_ms for result in own)
            lines.append(
                f"{engine:32} {runner:14} {fps:7.1f} {of_plain:9.2f} {of_bare:8.2f} {other_ms:13.1f} "
                f"{own[0].frames:3}/{own[0].inferences}"
            )
    return "\n".join(lines)


def main() -> None:
    """Run all runners in turns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("engines", nargs="+", type=Path)
    parser.add_argument("--clip", type=Path)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    results: list[Result] = []
    with tempfile.TemporaryDirectory() as folder:
        clip = chosen.clip or Path(folder, "synthetic.mp4")
        if chosen.clip is None:
            synthetic_clip(clip, chosen.frames)
        for engine in chosen.engines:
            for _ in range(chosen.rounds):
                results += [run(runner, engine, clip, chosen.frames) for runner in RUNNERS]
    print(table(results))
    loads = [result.load for result in results]
    print(f"load average before each run: {min(loads):.1f} to {max(loads):.1f}")
    if chosen.json:
        chosen.json.write_text(json.dumps([asdict(result) for result in results], indent=2) + "\n")


if __name__ == "__main__":
    main()
