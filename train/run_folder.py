"""The RUN folder of a training: made, locked against a second training, checked before it is taken up again."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from edgeseg.errors import BadInputError, MismatchError
from edgeseg.files import write_text
from edgeseg.packages import RUN_CHECKPOINT, RUN_RECIPE
from edgeseg.shell import quoted
from edgeseg.train.checkpoint import LAST, PREVIOUS
from edgeseg.train.recipe import ConcretePrecision, Recipe, read_recipe, recipe_to_toml
from edgeseg.train.record import RUN_RECORD, Origin, RunRecord
from edgeseg.train.resuming import leftovers, remove_leftovers


def check_new(run: Path) -> None:
    """Refuse a folder that holds something.

    Raises:
        BadInputError: It is no folder, or not empty.
    """
    if not run.exists() or (run.is_dir() and set(run.iterdir()) <= {run / RUN_RECORD, *leftovers(run)}):
        return  # a record alone is what a training leaves that was killed before it had a recipe
    resumable = (run / RUN_RECIPE).is_file()
    raise BadInputError(
        f"{run} exists and is not empty",
        expected="a new folder for a new training",
        next_command=f"edgeseg train DATA --out {quoted(run)} --resume continues the one that is there"
        if resumable
        else "choose another --out",
    )


def check_resumable(run: Path, recipe: Recipe, origin: Origin) -> Origin:
    """Refuse a folder that this training cannot be the continuation of.

    Returns:
        What the training was made from in the first place.

    Raises:
        BadInputError: There is no training in it, or its checkpoints are gone.
        MismatchError: It was started with another recipe, other data, or other weights and kept none of its own yet; or
            --qat was, or is, of another RUN.
    """
    if not (run / RUN_RECIPE).is_file():
        raise BadInputError(
            f"there is nothing to resume in {run}",
            expected=f"{RUN_RECIPE} of a training",
            next_command=f"edgeseg train DATA --out {quoted(run)} starts one",
        )
    if read_recipe(run / RUN_RECIPE) != recipe:
        raise MismatchError(
            f"the recipe differs from the one that {run} was started with", expected=str(run / RUN_RECIPE)
        )
    if not (run / RUN_RECORD).is_file():
        return origin
    record = RunRecord.read(run / RUN_RECORD)
    if record.data_sha256 != origin.data_sha256:
        raise MismatchError(
            f"the data differ from those that {run} was started with",
            found=f"data {origin.data_sha256[:12]}",
            expected=f"data {record.data_sha256[:12]}",
        )
    if record.qat_sha256 != origin.qat_sha256:
        raise MismatchError(
            f"{run} was started with {_of_qat(record.qat_sha256)}",
            found=_of_qat(origin.qat_sha256),
            expected=_of_qat(record.qat_sha256),
            next_command=f"edgeseg train DATA --out {quoted(run)} --resume"
            + (" --qat RUN, the RUN that it began with" if record.qat_sha256 else ""),
        )
    kept = any((run / name).exists() for name in (LAST, PREVIOUS))
    if record.epochs and not kept:
        raise BadInputError(
            f"the checkpoints of {run} are gone",
            found=f"{RUN_RECORD} tells of {record.epochs} epochs",
            expected=f"{LAST} or {PREVIOUS}",
            next_command=f"edgeseg train DATA --out ANOTHER --recipe {quoted(run / RUN_RECIPE)}"
            + (f"  ({RUN_CHECKPOINT} stays usable)" if (run / RUN_CHECKPOINT).is_file() else ""),
        )
    if not kept and record.start_sha256 != origin.start_sha256:
        raise MismatchError(
            f"{run} holds no checkpoint yet and was to start from other weights",
            found=f"--start with weights {origin.start_sha256[:12]}" if origin.start_sha256 else "no --start",
            expected=f"--start with weights {record.start_sha256[:12]}" if record.start_sha256 else "no --start",
        )
    return Origin(record.data_sha256, record.start_sha256, record.precision_reason, record.qat_sha256)


def _of_qat(sha256: str | None) -> str:
    return f"--qat and weights {sha256[:12]}" if sha256 else "no --qat"


def start(run: Path, recipe: Recipe, record: RunRecord) -> None:
    """Make the folder of a new training."""
    run.mkdir(parents=True, exist_ok=True)
    remove_leftovers(run)
    record.write(run / RUN_RECORD)
    write_text(run / RUN_RECIPE, recipe_to_toml(recipe))  # last: what it is written beside can be resumed


def kept_precision(run: Path) -> ConcretePrecision | None:
    """The precision that a RUN was begun with; None where there is no RUN yet."""
    if not (run / RUN_RECIPE).is_file():
        return None
    precision = read_recipe(run / RUN_RECIPE).training.precision
    return None if precision == "auto" else precision


@contextlib.contextmanager
def locked(run: Path) -> Iterator[None]:
    """Keep other trainings out of a RUN folder; the lock ends with the process, however that ends.

    Raises:
        BadInputError: A training is at work in it.
    """
    descriptor = os.open(run, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BadInputError(
                f"another training is at work in {run}", next_command="wait for it, or choose another --out"
            ) from error
        except OSError:  # some network file systems lock no folders; then nobody watches
            pass
        yield
    finally:
        os.close(descriptor)
