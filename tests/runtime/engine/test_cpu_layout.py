"""The layout that is faster is chosen; one that needs more sessions for nothing is not."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeseg.runtime.engine import cpu_layout
from edgeseg.runtime.engine.cpu_layout import CpuLayout, candidates, fastest_engine, frames_per_second
from edgeseg.runtime.engine.local_engine import LocalEngine
from edgeseg.runtime.engine.session import SessionInfo
from edgeseg.runtime.opener.engine_from_file import open_engine
from edgeseg.runtime.opener.use import Use


class Counted:
    """A session that takes 10 ms, and knows its threads and whether it was closed."""

    def __init__(self, info: SessionInfo, threads: int, log: list[Counted]) -> None:
        self.info, self.threads, self.closed = info, threads, False
        log.append(self)

    def infer(self, frames: Any) -> Any:
        time.sleep(0.01)
        return np.zeros((1, 1, 4, 4), np.float32)

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def info(tiny_engine: Path) -> SessionInfo:
    return open_engine(tiny_engine, Use(1)).info


@pytest.mark.parametrize(
    ("fps", "expected"),
    [
        ({(2, 1): 50.0, (2, 2): 60.0, (4, 1): 100.0}, CpuLayout(4, 1)),
        ({(2, 1): 50.0, (2, 2): 99.0, (4, 1): 101.0}, CpuLayout(2, 2)),
        ({(2, 1): 50.0, (2, 2): 20.0, (4, 1): 51.0}, CpuLayout(2, 1)),
    ],
    ids=["the fastest", "few threads over as fast sessions", "few sessions over as fast many"],
)
def test_the_layout_that_is_clearly_faster_is_chosen(
    info: SessionInfo, monkeypatch: pytest.MonkeyPatch, fps: dict[tuple[int, int], float], expected: CpuLayout
) -> None:
    opened: list[Counted] = []
    monkeypatch.setattr(
        cpu_layout, "frames_per_second", lambda engine: fps[(engine.capacity // 2, engine._sessions[0].threads)]
    )
    engine = fastest_engine(lambda threads: Counted(info, threads, opened), cores=4)
    left = [session for session in opened if not session.closed]
    assert (CpuLayout(len(left), left[0].threads), engine.capacity) == (expected, 2 * len(left))
    engine.close()
    assert len(opened) == 2 + 2 + 4 and all(session.closed for session in opened)


def test_throughput_is_no_more_than_the_sessions_give(info: SessionInfo) -> None:
    opened: list[Counted] = []
    engine = LocalEngine(lambda: Counted(info, 1, opened), sessions=2, waiting=2)
    fps = frames_per_second(engine, seconds=0.1)
    assert 0 < fps <= 2 / 0.01
    assert engine.poll() == [], "nothing is left under way"
    engine.close()


def test_two_cores_take_two_sessions_with_no_trial() -> None:
    assert candidates(2) == (CpuLayout(2, 1),)
