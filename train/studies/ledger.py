"""Who trains what: the trials of a study, shared by processes, none of them trained twice.

The next process that asks takes a trial up where its RUN folder stands when the one that trained it has died.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from edgeseg.optional import require
from edgeseg.train.studies.points import Point
from edgeseg.train.studies.study_file import Pruning
from edgeseg.train.studies.study_storage import Release, StudyStorage

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
    curve: tuple[float, ...] = ()
    """Validation Dice of each epoch; empty in a study that was begun before curves were kept with the trials."""


class LostClaimError(Exception):
    """Another process holds the trial now, because the storage took this one for dead."""


@dataclass(frozen=True, eq=False)
class Claim:
    """A trial that this process may train; of use inside `Ledger.claimed`."""

    point: Point
    _trial: Any

    def gives_up(self, epoch: int, dice: float) -> bool:
        """Tell of an epoch's validation Dice, and hear whether the trial is hopeless.

        Raises:
            LostClaimError: Another process has taken the trial over.
        """
        with _lost_claim_named():
            self._trial.report(dice, epoch)
        return bool(self._trial.should_prune())


class Ledger:
    """The trials of one study.

    Args:
        storage: Where they are kept.
        plan: Says which points are wanted.
        pruning: When a trial is given up; None never does.
    """

    def __init__(self, storage: StudyStorage, plan: Plan, pruning: Pruning | None = None) -> None:
        self._storage, self._plan = storage, plan
        with storage.alone():  # others wait while trials are chosen
            self._study = storage.open(_pruner(pruning))

    def outcomes(self) -> dict[str, Outcome]:
        """Key -> what became of the trials that are over."""
        found = {}
        for trial in self._study.get_trials(deepcopy=False):
            if "ending" in trial.user_attrs:
                kept = {name: trial.user_attrs[name] for name in _FIELDS if name in trial.user_attrs}
                found[trial.user_attrs["point"]] = Outcome(**{**kept, "curve": tuple(kept.get("curve", ()))})
        return found

    def running(self) -> int:
        """How many trials processes are training now."""
        outcomes = self.outcomes()
        with self._storage.alone():
            return self._storage.count_claimed(point.key for point in self.wanted() if point.key not in outcomes)

    def wanted(self) -> list[Point]:
        """The points that are to be trained, as far as is known now."""
        return list(self._plan({key: outcome.dice for key, outcome in self.outcomes().items()}))

    @contextlib.contextmanager
    def claimed(self) -> Iterator[Claim | None]:
        """Take the next trial that nobody trains; None where there is none at the moment."""
        with self._storage.alone():
            held = self._take()
        if held is None:
            yield None
            return
        claim, release = held
        try:
            yield claim
        finally:
            release()

    def settle(self, claim: Claim, outcome: Outcome) -> None:
        """Keep what a trial came to; after this it is over for all processes.

        Raises:
            LostClaimError: Another process has taken the trial over; nothing is kept.
        """
        states = require("optuna").trial.TrialState
        trial = claim._trial
        with self._storage.alone(), _lost_claim_named():
            for name in _FIELDS:
                if name != "ending":
                    trial.set_user_attr(name, getattr(outcome, name))
            trial.set_user_attr("ending", outcome.ending)  # last: what has an ending is over, whatever happens next
            if outcome.ending == "pruned":
                self._study.tell(trial, state=states.PRUNED)
            else:
                self._study.tell(trial, outcome.dice)

    def _take(self) -> tuple[Claim, Release] | None:
        outcomes = self.outcomes()
        open_points = {point.key: point for point in self.wanted() if point.key not in outcomes}
        held = self._storage.claim_first(open_points)
        if held is None:
            return None
        key, release = held
        with contextlib.ExitStack() as undo:
            undo.callback(release)
            self._close_dead(key)
            trial = self._study.ask()
            trial.set_user_attr("point", key)
            undo.pop_all()
        return Claim(open_points[key], trial), release

    def _close_dead(self, key: str) -> None:
        """Close what a process that died left open; its claim is ours now."""
        states = require("optuna").trial.TrialState
        for trial in self._study.get_trials(deepcopy=False):
            if trial.user_attrs.get("point") == key and not trial.state.is_finished():
                self._study.tell(trial.number, state=states.FAIL)


_FIELDS = [field.name for field in dataclasses.fields(Outcome)]


@contextlib.contextmanager
def _lost_claim_named() -> Iterator[None]:
    """Turn Optuna's refusal to change a trial that another process has closed into `LostClaimError`."""
    try:
        yield
    except require("optuna").exceptions.UpdateFinishedTrialError as error:
        raise LostClaimError(str(error)) from error


def _pruner(pruning: Pruning | None) -> Any:
    pruners = require("optuna").pruners
    if pruning is None:
        return pruners.NopPruner()
    return pruners.PercentilePruner(100 * pruning.keep, n_startup_trials=2, n_warmup_steps=pruning.first_epoch + 1)
