"""Processes that share a study: no trial twice, none lost, whatever is killed."""

import subprocess
import sys
import time
import uuid
from collections.abc import Mapping
from pathlib import Path

import pytest

from edgeseg.train.studies.journal import JournalLock
from edgeseg.train.studies.ledger import Ledger, LostClaimError, Outcome
from edgeseg.train.studies.points import Point
from edgeseg.train.studies.study_file import Pruning
from edgeseg.train.studies.study_storage import JOURNAL, FolderStorage
from tests.train.studies.ledger_worker import storage_at

WORKER = Path(__file__).with_name("ledger_worker.py")
COUNT = 12


@pytest.fixture(params=["folder", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The place of a new study: a folder's path, or a database's URL and the study's name."""
    if request.param == "folder":
        return str(tmp_path)
    return f"{request.getfixturevalue('postgresql').url()} {uuid.uuid4().hex}"


in_processes = pytest.mark.parametrize(
    "place", ["folder", pytest.param("postgresql", marks=pytest.mark.long)], indirect=True
)


def start(place: str, log: Path, name: str, seconds: float) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, str(WORKER), place, str(log), name, str(seconds)])


def lines(log: Path) -> list[str]:
    return log.read_text().splitlines() if log.is_file() else []


def plan_of(*points: Point):  # type: ignore[no-untyped-def]
    def plan(known: Mapping[str, float]) -> tuple[Point, ...]:
        return points

    return plan


@pytest.mark.slow
@in_processes
def test_two_processes_train_no_trial_twice(place: str, tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    workers = [start(place, log, name, 0.05) for name in ("a", "b")]
    assert [worker.wait(120) for worker in workers] == [0, 0]
    trained = [line.split()[1] for line in lines(log)]
    assert len(trained) == len(set(trained)) == COUNT
    assert {line.split()[0] for line in lines(log)} == {"a", "b"}


@pytest.mark.slow
@in_processes
def test_a_killed_processs_trial_is_taken_up_and_nothing_else_is_repeated(place: str, tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    for number in range(3):
        worker = start(place, log, f"killed{number}", 0.3)
        deadline = time.monotonic() + 60
        while len(lines(log)) < 2 * number + 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        worker.kill()  # SIGKILL, in the middle of a trial
        worker.wait(10)
    assert start(place, log, "last", 0.0).wait(120) == 0
    trained = [line.split()[1] for line in lines(log)]
    assert set(trained) == set(dict.fromkeys(trained)) and len(set(trained)) == COUNT
    assert len(trained) <= COUNT + 3  # one trial a kill, at most


def test_while_a_process_holds_a_trial_no_other_gets_it(place: str) -> None:
    point = Point(("only",), 0, {})
    outcome = Outcome("finished", 0.7, 3, 2, 1.5, (0.6, 0.7))
    first, second = (Ledger(storage_at(place), plan_of(point)) for _ in range(2))
    assert first.running() == 0
    with first.claimed() as held:
        assert held is not None and first.running() == second.running() == 1
        with second.claimed() as other:
            assert other is None
    with second.claimed() as taken:  # the first one let go without an outcome
        assert taken is not None and taken.point == point
        second.settle(taken, outcome)
    assert first.outcomes() == {point.key: outcome} and first.running() == 0
    with first.claimed() as none:
        assert none is None


def test_who_lost_a_claim_hears_of_it_and_changes_nothing(place: str) -> None:
    point = Point(("only",), 0, {})
    first, second = (Ledger(storage_at(place), plan_of(point)) for _ in range(2))
    with first.claimed() as lost:
        assert lost is not None and not lost.gives_up(1, 0.3)
    with second.claimed() as taken:
        assert taken is not None
        with pytest.raises(LostClaimError):
            lost.gives_up(2, 0.4)
        with pytest.raises(LostClaimError):
            first.settle(lost, Outcome("finished", 0.4, 2, 2, 1.0))
        assert second.outcomes() == {}
        second.settle(taken, Outcome("finished", 0.9, 2, 2, 1.0))
    assert [outcome.dice for outcome in first.outcomes().values()] == [0.9]


@pytest.mark.parametrize("cut", [1, 7, 40])
def test_a_journal_that_was_cut_off_in_a_line_is_read_and_written_on(tmp_path: Path, cut: int) -> None:
    points = [Point((name,), 0, {}) for name in ("a", "b")]
    ledger = Ledger(FolderStorage(tmp_path), plan_of(*points))
    with ledger.claimed() as claim:
        assert claim is not None
        ledger.settle(claim, Outcome("finished", 0.7, 3, 4, 1.5))
    journal = tmp_path / JOURNAL
    whole = journal.read_bytes()
    last = whole[:-1].rfind(b"\n") + 1
    journal.write_bytes(whole[: min(last + cut, len(whole) - 1)])
    again = Ledger(FolderStorage(tmp_path), plan_of(*points))
    while len(again.outcomes()) < len(points):
        with again.claimed() as claim:
            assert claim is not None
            again.settle(claim, Outcome("finished", 0.8, 3, 4, 1.5))
    assert set(Ledger(FolderStorage(tmp_path), plan_of(*points)).outcomes()) == {point.key for point in points}


def test_the_lock_keeps_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    path.write_bytes(b'{"a":1}\n{"b":2}\n{"c"')
    lock = JournalLock(path)
    lock.acquire()
    lock.release()
    assert path.read_bytes() == b'{"a":1}\n{"b":2}\n'


def test_hopeless_trials_are_given_up_and_good_ones_are_not(place: str) -> None:
    points = [Point((str(index),), 0, {}) for index in range(6)]
    ledger = Ledger(storage_at(place), plan_of(*points), Pruning(first_epoch=2, keep=0.5))
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
