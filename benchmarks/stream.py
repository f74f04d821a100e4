"""Video through edgeseg against the loop that a competent user writes, and a threaded one; same engine, cores, encoder.

Usage: python benchmarks/stream.py ENGINE... [--clip FILE] [--frames 300] [--rounds 3] [--json FILE]

H.264 in, H.264 (libx264 ultrafast) with the mask's outline out. Each runner is a process of its own; the runners take
turns, and a ratio is the median over the rounds. `bare` is the session alone over frames of the network's size, on all
cores: no video can be faster with that layout. Without --clip, a synthetic 1280x720 clip is made.

Processor time outside inference is that of the whole process less what the inferences took in the same run: that of
the thread that infers where a session has one thread, else that of the process while the session runs.
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
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from stream_video import Writer, drawn, read, synthetic_clip

WARM_FRAMES = 10


@dataclass(frozen=True)
class Result:
    """The work of one runner, and its times."""

    runner: str
    engine: str
    seconds: float
    cpu_seconds: float
    load: float
    frames: int
    inferences: int
    inference_cpu_seconds: float

    @property
    def fps(self) -> float:
        """Frames a second."""
        return self.frames / self.seconds

    @property
    def other_cpu_ms(self) -> float:
        """Processor time a frame that is not inference."""
        return 1e3 * (self.cpu_seconds - self.inference_cpu_seconds) / self.frames


@dataclass
class Work:
    """The frames that a runner got done."""

    frames: int = 0
    inferences: int = 0
    inference_cpu_seconds: float = 0.0


class Session:
    """ONNX Runtime as a user opens it: the file, so many threads, nothing else; its processor time is counted."""

    def __init__(self, engine: Path, threads: int) -> None:
        from edgeseg.optional import require

        onnxruntime: Any = require("onnxruntime")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session: Any = onnxruntime.InferenceSession(str(engine), options, providers=["CPUExecutionProvider"])
        source = self._session.get_inputs()[0]
        self._name, (_, self.height, self.width, _) = source.name, source.shape
        self._clock = time.process_time if threads > 1 else time.thread_time
        self.work = Work()

    def probability(self, frame: Any) -> Any:
        """uint8 [H,W,3] RGB at the network's size -> float32 [H,W]."""
        before = self._clock()
        probability = self._session.run(None, {self._name: frame[None]})[0][0, 0]
        self.work.inference_cpu_seconds += self._clock() - before
        self.work.inferences += 1
        return probability


def bare(engine: Path, clip: Path, out: Path, frames: int) -> Work:
    """The session alone."""
    session = Session(engine, len(os.sched_getaffinity(0)))
    frame = np.zeros((session.height, session.width, 3), np.uint8)
    for _ in range(frames):
        session.probability(frame)
        session.work.frames += 1
    return session.work


def plain(engine: Path, clip: Path, out: Path, frames: int) -> Work:
    """Read, resize, infer, resize the mask, draw, write: one after another."""
    session = Session(engine, len(os.sched_getaffinity(0)))
    writer = Writer(out)
    for picture in read(clip, frames):
        writer.write(drawn(picture, session.probability(prepared(picture, session))))
        session.work.frames += 1
    writer.close()
    return session.work


def threaded(engine: Path, clip: Path, out: Path, frames: int) -> Work:
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
    works = [session.work for session in sessions]
    return Work(len(written), sum(w.inferences for w in works), sum(w.inference_cpu_seconds for w in works))


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


def ours(engine: Path, clip: Path, out: Path, frames: int) -> Work:
    """Run what `edgeseg run ENGINE CLIP --out OUT` runs."""
    from edgeseg.runtime.file.outputs import Outputs
    from edgeseg.runtime.file.pipeline import run_stream
    from edgeseg.runtime.onnxruntime.onnxruntime_session import OnnxRuntimeSession
    from edgeseg.runtime.opener.engine_from_file import open_engine
    from edgeseg.runtime.opener.use import FILE
    from edgeseg.runtime.video.video_files import open_source

    infer, took_s = OnnxRuntimeSession.infer, []

    def timed(session: Any, batch: Any) -> Any:
        before = time.thread_time()
        probability = infer(session, batch)
        took_s.append(time.thread_time() - before)
        return probability

    session = open_engine(engine, FILE)  # from four cores on, layouts are tried here
    OnnxRuntimeSession.infer = timed  # type: ignore[method-assign]
    outputs = Outputs(out)
    with open_source(clip) as source, outputs.open(source.timing) as sinks:
        result = run_stream(session, source, sinks, frames)
    session.close()
    OnnxRuntimeSession.infer = infer  # type: ignore[method-assign]
    assert len(took_s) == result.latency.inferences
    return Work(result.frames, len(took_s), sum(took_s))


RUNNERS: dict[str, Callable[[Path, Path, Path, int], Work]] = {
    "bare": bare,
    "plain loop": plain,
    "threaded loop": threaded,
    "edgeseg": ours,
}


def prepared(picture: Any, session: Session) -> Any:
    """Resize a picture to the network's input."""
    return cv2.cvtColor(cv2.resize(picture, (session.width, session.height)), cv2.COLOR_BGR2RGB)


def child(runner: str, engine: Path, clip: Path, frames: int, answers: Any) -> None:
    """Run one runner and say how it went; a few frames go before, so that imports and the clip are in memory."""
    with tempfile.TemporaryDirectory() as folder:
        RUNNERS[runner](engine, clip, Path(folder, "warm.mp4"), WARM_FRAMES)
        load = os.getloadavg()[0]
        wall, cpu = time.perf_counter(), time.process_time()
        work = RUNNERS[runner](engine, clip, Path(folder, "out.mp4"), frames)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        if runner != "bare":
            assert sum(1 for _ in read(Path(folder, "out.mp4"), frames)) == work.frames, (
                "a frame is missing in the file"
            )
    answers.put(Result(runner, engine.name, wall, cpu, load, **asdict(work)))


def run(runner: str, engine: Path, clip: Path, frames: int) -> Result:
    """One runner in a fresh process."""
    context = multiprocessing.get_context("spawn")
    answers: Any = context.Queue()
    process = context.Process(target=child, args=(runner, engine, clip, frames, answers))
    process.start()
    result: Result = answers.get()
    process.join()
    return result


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
