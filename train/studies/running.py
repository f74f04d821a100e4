"""Trains the trials of a study, one after the other, together with whatever other processes do the same."""

from __future__ import annotations

import contextlib
import functools
import logging
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeseg.files import check_writable
from edgeseg.progress import Say, Track, quiet, silent
from edgeseg.proof.verdict.evaluation import NotFiniteError
from edgeseg.train.arithmetic import settled
from edgeseg.train.checkpoint import LAST, PREVIOUS
from edgeseg.train.loss_watch import DivergedError
from edgeseg.train.recipe import Recipe
from edgeseg.train.record import RUN_RECORD, Epoch, RunRecord, read_history
from edgeseg.train.shared_pictures import SharedPictures, share_pictures
from edgeseg.train.studies.ledger import Claim, Ledger, LostClaimError, Outcome
from edgeseg.train.studies.points import grid_of, points_of
from edgeseg.train.studies.postgresql_storage import PostgresqlStorage
from edgeseg.train.studies.study_file import Settings, StudyFile, hash_of, recipe_of
from edgeseg.train.studies.study_header import HEADER, Header, agree_in_folder
from edgeseg.train.studies.study_storage import FolderStorage
from edgeseg.train.training import train
from edgeseg.train.training_data import TrainingData, find_data

TRIALS = "trials"
PICTURES = "pictures"
CHECKPOINT_S = 30.0
"""A trial that is killed loses at most the epochs of so long."""
POLL_S = 1.0
"""How often a process that has nothing to do looks whether another one has died."""


@dataclass(frozen=True)
class StudyRun:
    """A study on its way: what is compared, on which data, in which folder."""

    study: StudyFile
    full: bool
    data: Path
    out: Path
    settings: Settings
    """Recipe keys that every trial has besides."""
    precision: str
    """The arithmetic of all trials, settled once."""
    shared: dict[int, SharedPictures]
    """Number of classes -> the decoded pictures."""
    ledger: Ledger

    @property
    def axes(self) -> list[str]:
        """Names of the axes."""
        return [axis.name for axis in self.study.axes]

    def recipe_of(self, settings: Settings) -> Recipe:
        """The recipe of a point's settings."""
        return recipe_of(self.study, {**settings, **self.settings}, self.precision)

    def run_of(self, key: str) -> Path:
        """The RUN folder of a trial."""
        return self.out / TRIALS / key


class _Pruned(Exception):  # noqa: N818  no error: the trial is hopeless
    """The trial is given up."""


def open_study(
    study: StudyFile,
    data: Path,
    out: Path,
    *,
    full: bool = False,
    prune: bool = True,
    settings: Settings | None = None,
    server: PostgresqlStorage | None = None,
    say: Say = quiet,
    track: Track = silent,
) -> StudyRun:
    """Check everything that a study needs, decode its pictures once, and open its folder.

    Args:
        study: What is compared.
        data: A data set with the splits train and validation.
        out: The study's folder: new, or that of the same study on the same data.
        full: The full form instead of the reduced one.
        prune: Whether hopeless trials may be given up, where the study says when.
        settings: Recipe keys that all trials have besides, such as fewer epochs for a try.
        server: Keeps the trials for workers on several machines; None keeps them in the study's folder.
        say: Takes lines for the person.
        track: Shows progress.

    Raises:
        BadInputError: The data, a key that is none, a fraction that takes no image.
        MismatchError: The folder or the server holds another study, or this one on other data.
        MissingComponentError: Optuna is not installed; the server cannot be reached.
    """
    check_writable(out / HEADER)
    settings = settings or {}
    grid = grid_of(study, full)
    recipes = [recipe_of(study, {**point.settings, **settings}) for point in grid]
    first, arithmetic = settled(recipes[0])
    precision = first.training.precision
    if arithmetic.worth_saying:
        say(str(arithmetic))
    inputs = _found(data, recipes, track)
    origin = {"study_sha256": hash_of(study, full), "data_sha256": inputs.sha256(), "settings": settings}
    header: Header = {"title": study.title, "full": full, "precision": precision, **origin}
    if server is not None:
        header = server.agree(header)
    out.mkdir(parents=True, exist_ok=True)
    header = agree_in_folder(out, header)
    folder = out / PICTURES
    shared = {
        classes: share_pictures(inputs, folder, classes, track)
        for classes in sorted({recipe.model.out_channels for recipe in recipes})
    }
    plan = functools.partial(points_of, study, full)
    ledger = Ledger(server or FolderStorage(out), plan, study.pruning if prune else None)
    return StudyRun(study, full, data, out, settings, header["precision"], shared, ledger)


def run_trials(run: StudyRun, say: Say = quiet, track: Track = silent) -> None:
    """Train until every trial is over; other processes on the same folder or server share the work.

    Args:
        run: What `open_study` gave.
        say: Hears of every trial, with the time that is left.
        track: Shows the progress of a trial's epochs.
    """
    while True:
        with run.ledger.claimed() as claim, _fabric_silenced():
            if claim is not None:
                say(_settled(run, claim, track))
                continue
        if not _left(run):
            return
        time.sleep(POLL_S)


def _settled(run: StudyRun, claim: Claim, track: Track) -> str:
    """Train a trial, keep what it came to, and tell it in a line."""
    try:
        outcome = _trained(run, claim, track)
        run.ledger.settle(claim, outcome)
    except LostClaimError:
        return f"{claim.point.title(run.axes)}: another process took this trial over while the server did not answer"
    return _told(run, claim, outcome)


@contextlib.contextmanager
def _fabric_silenced() -> Iterator[None]:
    """Keep Fabric from telling its precision for every trial anew."""
    logger = logging.getLogger("lightning_fabric")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


def _found(data: Path, recipes: list[Recipe], track: Track) -> TrainingData:
    """The pairs, checked for every number of classes and every fraction that the trials need."""
    classes = {recipe.model.out_channels for recipe in recipes}
    inputs = find_data(data, None, (), track, max(classes))
    for fraction in sorted({recipe.training.fraction for recipe in recipes}):
        inputs.drawn(fraction, recipes[0].training.seed)
    return inputs


def _trained(run: StudyRun, claim: Claim, track: Track) -> Outcome:
    recipe = run.recipe_of(claim.point.settings)
    folder = run.run_of(claim.point.key)
    resume = any((folder / name).is_file() for name in (LAST, PREVIOUS))
    if not resume and folder.exists():
        shutil.rmtree(folder)  # what was begun there was never kept

    def report(row: Epoch, record: RunRecord) -> None:
        if claim.gives_up(row.epoch, row.validation_dice) and not record.finished:
            raise _Pruned

    ending: Any = "finished"
    try:
        train(
            run.data,
            folder,
            recipe,
            resume=resume,
            shared=run.shared[recipe.model.out_channels],
            epoch_checkpoint_s=CHECKPOINT_S,
            report=report,
            track=track,
        )
    except _Pruned:
        ending = "pruned"
    except (DivergedError, NotFiniteError):
        ending = "diverged"
    for name in (LAST, PREVIOUS):
        with contextlib.suppress(FileNotFoundError):
            (folder / name).unlink()
    history = read_history(folder) if (folder / RUN_RECORD).is_file() else []
    best = max(history, key=lambda row: row.validation_dice, default=None)
    return Outcome(
        ending,
        0.0 if best is None else best.validation_dice,
        0 if best is None else best.epoch,
        len(history),
        sum(row.seconds for row in history),
        tuple(row.validation_dice for row in history),
    )


def _left(run: StudyRun) -> int:
    return len(run.ledger.wanted()) - len(run.ledger.outcomes())


def _told(run: StudyRun, claim: Claim, outcome: Outcome) -> str:
    outcomes = run.ledger.outcomes()
    left, workers = _left(run), run.ledger.running()
    mean_s = sum(one.seconds for one in outcomes.values()) / max(len(outcomes), 1)
    eta = "" if not left else f"; {left} left, about {_duration(left * mean_s / max(workers, 1))}"
    best = max(one.dice for one in outcomes.values())
    ending = "" if outcome.ending == "finished" else f", {outcome.ending} after {outcome.epochs} epochs"
    return (
        f"trial {len(outcomes)}: {claim.point.title(run.axes)}: Dice {outcome.dice:.4f} "
        f"(best so far {best:.4f}){ending}, "
        f"{outcome.seconds:.0f} s{eta}"
    )


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
