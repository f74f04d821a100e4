"""Who trains what: the trials of a study, shared by processes, none of them trained twice.

A trial belongs to a process as long as that process holds the lock of the trial's claim file. A process that dies, by
whatever means, lets go of it, and the next one that asks takes the trial up where its RUN folder stands.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from edgeseg.file_locks import alone_in
from edgeseg.optional import require
from edgeseg.train.studies.journal import open_journal
from edgeseg.train.studies.points import Point
from edgeseg.train.studies.study_file import Pruning

JOURNAL = "study.journal"
CLAIMS = "claims"
Ending = Literal["finished", "pruned", "diverged"]
Plan = Callable[[Mapping[str, float]], Sequence[Point]]
"""Gives the points that are wanted, from the validation Dice of those that are over, by key."""


@dataclass(frozen=True)
class Outcome:
    """The result of a trial."""

    ending: Ending
    dice: float
    """The best validation Dice; 0 of a training that diverged before its first epoch was over."""
    best_epoch: int
    epochs: int
    seconds: float
    """Duration of the epochs, of training and validation."""


@dataclass(frozen=True, eq=False)
class Claim:
    """A trial that this process may train; of use inside `Ledger.claimed`."""

    point: Point
    _trial: Any

    def gives_up(self, epoch: int, dice: float) -> bool:
        """Tell of an epoch's validation Dice, and hear whether the trial is hopeless."""
        self._trial.report(dice, epoch)
        return bool(self._trial.should_prune())


class Ledger:
    """The trials of one study folder.

    Args:
        folder: The study's folder; exists.
        plan: Says which points are wanted.
        pruning: When a trial is given up; None never does.
    """

    def __init__(self, folder: Path, plan: Plan, pruning: Pruning | None = None) -> None:
        self._folder, self._plan = folder, plan
        (folder / CLAIMS).mkdir(exist_ok=True)
        (folder / JOURNAL).touch()
        with alone_in(self._folder / CLAIMS):  # others wait while trials are chosen
            self._study = open_journal(folder / JOURNAL, _pruner(pruning))

    def outcomes(self) -> dict[str, Outcome]:
        """Key -> what became of the trials that are over."""
        found = {}
        for trial in self._study.get_trials(deepcopy=False):
            if "ending" in trial.user_attrs:
                found[trial.user_attrs["point"]] = Outcome(
                    **{name: trial.user_attrs[name] for name in Outcome.__dataclass_fields__}
                )
        return found

    def running(self) -> int:
        """How many trials processes are training now."""
        outcomes = self.outcomes()
        with alone_in(self._folder / CLAIMS):  # others wait while trials are chosen
            return sum(self._is_held(point.key) for point in self.wanted() if point.key not in outcomes)

    def wanted(self) -> list[Point]:
        """The points that are to be trained, as far as is known now."""
        return list(self._plan({key: outcome.dice for key, outcome in self.outcomes().items()}))

    @contextlib.contextmanager
    def claimed(self) -> Iterator[Claim | None]:
        """Take the next trial that nobody trains; None where there is none at the moment."""
        with alone_in(self._folder / CLAIMS):  # others wait while trials are chosen
            held = self._take()
        if held is None:
            yield None
            return
        claim, descriptor = held
        try:
            yield claim
        finally:
            os.close(descriptor)

    def settle(self, claim: Claim, outcome: Outcome) -> None:
        """Keep what a trial came to; after this it is over for all processes."""
        states = require("optuna").trial.TrialState
        trial = claim._trial
        for name in Outcome.__dataclass_fields__:
            if name != "ending":
                trial.set_user_attr(name, getattr(outcome, name))
        trial.set_user_attr("ending", outcome.ending)  # last: what has an ending is over, whatever happens next
        if outcome.ending == "pruned":
            self._study.tell(trial, state=states.PRUNED)
        else:
            self._study.tell(trial, outcome.dice)

    def _take(self) -> tuple[Claim, int] | None:
        outcomes = self.outcomes()
        for point in self.wanted():
            if point.key in outcomes or (descriptor := self._hold(point.key)) is None:
                continue
            self._close_dead(point.key)
            trial = self._study.ask()
            trial.set_user_attr("point", point.key)
            return Claim(point, trial), descriptor
        return None

    def _close_dead(self, key: str) -> None:
        """Close what a process that died left open; its claim is ours now."""
        states = require("optuna").trial.TrialState
        for trial in self._study.get_trials(deepcopy=False):
            if trial.user_attrs.get("point") == key and not trial.state.is_finished():
                self._study.tell(trial.number, state=states.FAIL)

    def _hold(self, key: str) -> int | None:
        descriptor = os.open(self._folder / CLAIMS / key, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return descriptor

    def _is_held(self, key: str) -> bool:
        descriptor = self._hold(key)
        if descriptor is not None:
            os.close(descriptor)
        return descriptor is None


def _pruner(pruning: Pruning | None) -> Any:
    pruners = require("optuna").pruners
    if pruning is None:
        return pruners.NopPruner()
    return pruners.PercentilePruner(100 * pruning.keep, n_startup_trials=2, n_warmup_steps=pruning.first_epoch + 1)
