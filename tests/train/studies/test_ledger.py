"""Processes that share a study: no trial twice, none lost, whatever is killed."""

import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from edgeseg.train.studies.journal import JournalLock
from edgeseg.train.studies.ledger import JOURNAL, Ledger, Outcome
from edgeseg.train.studies.points import Point
from edgeseg.train.studies.study_file import Pruning

WORKER = Path(__file__).with_name("ledger_worker.py")
COUNT = 12


def start(folder: Path, name: str, seconds: float) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, str(WORKER), str(folder), name, str(seconds)])


def lines(folder: Path) -> list[str]:
    path = folder / "log.txt"
    return path.read_text().splitlines() if path.is_file() else []


def plan_of(*points: Point):  # type: ignore[no-untyped-def]
    def plan(known: Mapping[str, float]) -> tuple[Point, ...]:
        return points

    return plan


@pytest.mark.slow
def test_two_processes_train_no_trial_twice(tmp_path: Path) -> None:
    workers = [start(tmp_path, name, 0.05) for name in ("a", "b")]
    assert [worker.wait(120) for worker in workers] == [0, 0]
    trained = [line.split()[1] for line in lines(tmp_path)]
    assert len(trained) == len(set(trained)) == COUNT
    assert {line.split()[0] for line in lines(tmp_path)} == {"a", "b"}


@pytest.mark.slow
def test_a_killed_processs_trial_is_taken_up_and_nothing_else_is_repeated(tmp_path: Path) -> None:
    for number in range(3):
        worker = start(tmp_path, f"killed{number}", 0.3)
        deadline = time.monotonic() + 60
        while len(lines(tmp_path)) < 2 * number + 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        worker.kill()  # SIGKILL, in the middle of a trial
        worker.wait(10)
    assert start(tmp_path, "last", 0.0).wait(120) == 0
    trained = [line.split()[1] for line in lines(tmp_path)]
    assert set(trained) == set(dict.fromkeys(trained)) and len(set(trained)) == COUNT
    assert len(trained) <= COUNT + 3  # one trial a kill, at most


def test_while_a_process_holds_a_trial_no_other_gets_it(tmp_path: Path) -> None:
    point = Point(("only",), 0, {})
    first, second = Ledger(tmp_path, plan_of(point)), Ledger(tmp_path, plan_of(point))
    with first.claimed() as held:
        assert held is not None and first.running() == 1
        with second.claimed() as other:
            assert other is None
    with second.claimed() as taken:  # the first one let go without an outcome
        assert taken is not None and taken.point == point
        second.settle(taken, Outcome("finished", 0.7, 3, 4, 1.5))
    assert first.outcomes() == {point.key: Outcome("finished", 0.7, 3, 4, 1.5)}
    with first.claimed() as none:
        assert none is None


@pytest.mark.parametrize("cut", [1, 7, 40])
def test_a_journal_that_was_cut_off_in_a_line_is_read_and_written_on(tmp_path: Path, cut: int) -> None:
    points = [Point((name,), 0, {}) for name in ("a", "b")]
    ledger = Ledger(tmp_path, plan_of(*points))
    with ledger.claimed() as claim:
        assert claim is not None
        ledger.settle(claim, Outcome("finished", 0.7, 3, 4, 1.5))
    journal = tmp_path / JOURNAL
    whole = journal.read_bytes()
    last = whole[:-1].rfind(b"\n") + 1
    journal.write_bytes(whole[: min(last + cut, len(whole) - 1)])
    again = Ledger(tmp_path, plan_of(*points))
    while len(again.outcomes()) < len(points):
        with again.claimed() as claim:
            assert claim is not None
            again.settle(claim, Outcome("finished", 0.8, 3, 4, 1.5))
    assert set(Ledger(tmp_path, plan_of(*points)).outcomes()) == {point.key for point in points}


def test_the_lock_keeps_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    path.write_bytes(b'{"a":1}\n{"b":2}\n{"c"')
    lock = JournalLock(path)
    lock.acquire()
    lock.release()
    assert path.read_bytes() == b'{"a":1}\n{"b":2}\n'


def test_hopeless_trials_are_given_up_and_good_ones_are_not(tmp_path: Path) -> None:
    points = [Point((str(index),), 0, {}) for index in range(6)]
    ledger = Ledger(tmp_path, plan_of(*points), Pruning(first_epoch=2, keep=0.5))
    given_up = []
    for index, dice in enumerate((0.8, 0.6, 0.75, 0.1, 0.2, 0.9)):
        with ledger.claimed() as claim:
            assert claim is not None
            verdicts = [claim.gives_up(epoch, dice * epoch / 4) for epoch in range(1, 5)]
            assert not any(verdicts[:2])  # the first epochs are no evidence
            given_up.append(any(verdicts))
            ending = "pruned" if given_up[index] else "finished"
            ledger.settle(claim, Outcome(ending, dice, 4, 4, 1.0))
    assert given_up == [False, False, False, True, True, False]
