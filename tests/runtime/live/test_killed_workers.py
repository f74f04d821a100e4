from __future__ import annotations

import os
import signal
import time
from typing import Any

from edgeseg.runtime.live.live_stream import LiveOptions
from edgeseg.runtime.live.presenter import PresenterOptions
from edgeseg.runtime.worker.worker_engine import WorkerEngine
from tests.runtime.live.ended_run import Open, Run, source_of, value_of


def test_workers_killed_again_and_again_cost_at_most_two_frames_of_mask_each(open_workers: Open, script: Any) -> None:
    engine = open_workers(spares=2)
    holder: dict[str, Run] = {}
    killed_at: list[int] = []

    def strike(index: int) -> None:
        if index >= 50 and index % 75 == 50:
            os.kill(engine.worker_pids[0], signal.SIGKILL)
            killed_at.append(index)

    source = source_of(script, [script.ANSWER] * 400, before=strike)
    holder["run"] = run = Run(source, engine, LiveOptions(PresenterOptions(mask_limit_ms=1000.0)))
    _wait_all_ready(engine)
    run.run()
    assert [shown.frame.index for shown in run.shown] == list(range(400))
    assert len(killed_at) == 5
    assert run.status is not None
    assert run.status.restarts >= 4
    seen = {value_of(shown) for shown in run.shown if shown.mask is not None}
    for index in killed_at:
        assert seen & set(range(index + 1, index + 12)), "masks of new frames soon after"
    assert all(shown.mask is not None for shown in run.shown[40:])


def _wait_all_ready(engine: WorkerEngine) -> None:
    until_s = time.monotonic() + 60.0
    while any(session.state != "ready" for session in engine._workers) and time.monotonic() < until_s:
        engine.poll()
        time.sleep(0.02)
