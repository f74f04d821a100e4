from __future__ import annotations

import multiprocessing
from typing import Any

import pytest

from edgeseg.runtime.worker.ring import FrameRing, RingLayout
from edgeseg.runtime.worker.worker_loop import run_worker


def test_a_worker_whose_parent_ended_while_it_started_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    layout = RingLayout(1, 12, (1, 1, 1))
    ring = FrameRing.create(layout)
    name = ring.name
    ring.close()
    _, theirs = multiprocessing.Pipe()

    def never() -> Any:
        raise AssertionError("no session is opened")

    process = multiprocessing.get_context("fork").Process(target=run_worker, args=(never, name, layout, theirs))
    process.start()
    process.join(30)
    assert process.exitcode == 0
    assert "Traceback" not in capfd.readouterr().err
