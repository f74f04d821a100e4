"""Engine processes that die, hang or run out of memory under a stream: every frame comes out."""

from __future__ import annotations

import functools
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgeseg.runtime.live.live_stream import LiveOptions
from edgeseg.runtime.live.presenter import PresenterOptions
from edgeseg.runtime.opener.engine_from_file import start_workers
from edgeseg.runtime.opener.use import live_use
from edgeseg.runtime.worker.worker_engine import WorkerEngine
from edgeseg.runtime.worker.worker_loop import DIE_FIRST
from tests.runtime.live.faults.conftest import Running, Shown, longest_run, until

Play = Callable[..., Running]
SLOW_CAMERA = "synthetic:160x120@10"
"""A period of 100 ms, so that a busy machine's delays are few frames."""


def whole(shown: list[Shown]) -> bool:
    """Tell whether every frame came out, once and in order."""
    return [frame.index for frame in shown] == list(range(len(shown)))


def gaps(shown: list[Shown]) -> dict[str, int]:
    """The longest runs of frames that, from the first mask on, went without.

    ``bare``: shown without any mask, the age limit of older masks being the stream's own. ``unseen``: no mask was made
    of the frame itself and shown. ``pass_through``: shown in that state.
    """
    first = next(position for position, frame in enumerate(shown) if frame.mask_index is not None)
    frames = shown[first:]
    seen = {frame.mask_index for frame in frames}
    last = max(index for index in seen if index is not None)
    return {
        "bare": longest_run([frame.mask_index is None for frame in frames]),
        "unseen": longest_run([frame.index not in seen for frame in frames if frame.index <= last]),
        "pass_through": longest_run([frame.state == "pass-through" for frame in frames]),
    }


def kill_at_random(run: Running, times: int, seed: int = 7) -> None:
    """SIGKILL to the process that has the frames, at a random moment of a frame period, whenever a spare is ready."""
    rng = random.Random(seed)
    for _ in range(times):
        run.until(lambda: run.spares() == 2)
        start = len(run.shown)
        run.until(lambda start=start: len(run.shown) > start + 3)  # type: ignore[misc]
        time.sleep(rng.uniform(0.0, 0.1))
        os.kill(run.engine.worker_pids[0], signal.SIGKILL)
        run.until(lambda: run.spares() < 2)
    run.until(lambda: run.spares() == 2)
    run.until_masks()


KILLS = [3, pytest.param(50, marks=[pytest.mark.long, pytest.mark.timeout(1800)])]


@pytest.mark.parametrize("times", KILLS)
def test_a_process_killed_at_random_costs_the_frame_that_it_had(
    play: Play, times: int, engines: Any, tiny_onnx: Path
) -> None:
    """Each frame waits for its own mask in synchronous mode, so that a busy machine's delays make no gap."""
    factory = functools.partial(engines.open_slow, tiny_onnx, 0.05)  # half a period: half of the kills hit a frame
    options = LiveOptions(PresenterOptions(sync_ms=2500.0))
    run = play(SLOW_CAMERA, factory=factory, options=options)
    run.until_masks()
    kill_at_random(run, times)
    status = run.end()
    assert whole(run.shown) and status.skipped == 0
    assert status.restarts == times
    own = [frame.mask_index == frame.index for frame in run.shown]
    begun = own.index(True)
    bare = [not answer for answer in own[begun:-30]]  # the end does not wait
    found = gaps(run.shown)
    print(
        f"{times} kills, {status.frames} frames: {status.lost} lost with an engine, {sum(bare)} without their mask,",
        f"at most {longest_run(bare)} in a row; pass-through {found['pass_through']}",
    )
    assert found["pass_through"] == 0, run.said
    assert longest_run(bare) <= 2
    assert sum(bare) <= times + status.drops


@pytest.mark.parametrize("times", KILLS)
def test_at_low_latency_a_killed_process_costs_two_frames_at_most(
    play: Play, times: int, engines: Any, tiny_onnx: Path
) -> None:
    run = play("synthetic:160x120@5", factory=functools.partial(engines.open_slow, tiny_onnx, 0.1))
    run.until_masks()
    kill_at_random(run, times)
    status = run.end()
    assert whole(run.shown) and status.skipped == 0
    assert status.restarts == times
    found = gaps(run.shown)
    print(times, "kills,", status.frames, "frames,", status.lost, "lost with an engine; longest runs:", found)
    assert found["pass_through"] == 0, run.said
    assert found["bare"] <= 2 and found["unseen"] <= 2, found


def test_both_processes_killed_at_once_pass_through_and_masks_return(play: Play) -> None:
    run = play(SLOW_CAMERA)
    run.until_masks()
    for pid in run.engine.worker_pids:
        os.kill(pid, signal.SIGKILL)
    run.until(lambda: any(f.state == "pass-through" and f.mask_index is None for f in run.shown))
    assert "pass-through: the engine is starting again" in run.said
    run.until_masks()
    run.until(lambda: run.shown[-1].state != "pass-through")
    status = run.end()
    assert whole(run.shown) and status.skipped == 0
    assert status.restarts == 2


def test_a_process_that_hangs_is_killed_and_the_spare_takes_over(play: Play) -> None:
    run = play(SLOW_CAMERA)
    run.until_masks()
    hung = run.engine.worker_pids[0]
    os.kill(hung, signal.SIGSTOP)
    run.until(lambda: run.spares() < 2)
    run.until_masks()
    status = run.end()
    assert hung not in run.engine.worker_pids
    assert whole(run.shown) and status.skipped == 0
    assert (status.lost, status.restarts) == (1, 1)


def test_an_engine_that_runs_out_of_memory_is_replaced(
    play: Play, engines: Any, tiny_onnx: Path, tmp_path: Path
) -> None:
    """A limit on its address space makes its next large allocation fail, as an overcommitted machine does not."""
    flag = tmp_path / "starve"
    run = play(SLOW_CAMERA, factory=functools.partial(engines.open_starved, tiny_onnx, flag))
    run.until_masks()
    flag.touch()
    run.until(lambda: not flag.exists() and run.spares() < 2)
    run.until_masks()
    failure = str(run.engine.failure)
    status = run.end()
    assert "MemoryError" in failure
    assert whole(run.shown) and status.skipped == 0
    assert (status.lost, status.restarts) == (1, 1)


def test_a_process_has_run_the_network_before_it_is_called_ready(engines: Any, tiny_onnx: Path, tmp_path: Path) -> None:
    """Otherwise a spare that takes over would wait for what libraries set up at the first inference."""
    log = tmp_path / "inferences"
    engine = start_workers(tiny_onnx, live_use(spares=1, threads=1))
    info, options = engine.info, engine._options
    engine.close()
    engine = WorkerEngine(functools.partial(engines.open_noted, tiny_onnx, log), info, options)
    try:
        until(lambda: not engine.poll() and all(worker.state == "ready" for worker in engine._workers))
        assert log.read_bytes() == b".."
    finally:
        engine.close()


def test_the_kernel_is_told_to_kill_engines_before_the_picture(play: Play) -> None:
    """An OOM kill does to the stream what any SIGKILL does; this is whom it hits."""
    run = play(SLOW_CAMERA)
    own, *others = (int(Path(f"/proc/{pid}/oom_score_adj").read_text()) for pid in ("self", *run.engine.worker_pids))
    assert others == [min(1000, own + DIE_FIRST)] * 2
    run.end()
