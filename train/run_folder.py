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
from edgeseg.train.checkpoint import LAST, PREVIOUS
from edgeseg.train.recipe import Recipe, read_recipe, recipe_to_toml
from edgeseg.train.record import RUN_RECORD, RunRecord
from edgeseg.train.resuming import leftovers, remove_leftovers


def check_new(run: Path) -> None:
    """Refuse a folder that holds something.

    Raises:
        BadInputError: It is no folder, or not empty.
    """
    if not run.exists() or (run.is_dir() and set(run.iterdir()) <= set(leftovers(run))):
        return
    resumable = (run / RUN_RECIPE).is_file()
    raise BadInputError(
        f"{run} exists and is not empty",
        expected="a new folder for a new training",
        next_command=f"edgeseg train DATA --out {run} --resume goes on with the one that is there"
        if resumable
        else "choose another --out",
    )


def check_resumable(run: Path, recipe: Recipe, data_sha256: str) -> None:
    """Refuse a folder that this training cannot be the continuation of.

    Raises:
        BadInputError: There is no training in it, or its checkpoints are gone.
        MismatchError: It was started with another recipe or other data.
    """
    if not (run / RUN_RECIPE).is_file():
        raise BadInputError(
            f"there is nothing to resume in {run}",
            expected=f"{RUN_RECIPE} of a training",
            next_command=f"edgeseg train DATA --out {run} starts one",
        )
    if read_recipe(run / RUN_RECIPE) != recipe:
        raise MismatchError(
            f"the recipe differs from the one that {run} was started with", expected=str(run / RUN_RECIPE)
        )
    if not (run / RUN_RECORD).is_file():  # killed between the first two files: nothing was trained
        return
    record = RunRecord.read(run / RUN_RECORD)
    if record.data_sha256 != data_sha256:
        raise MismatchError(
            f"the data differ from those that {run} was started with",
            found=f"data {data_sha256[:12]}",
            expected=f"data {record.data_sha256[:12]}",
        )
    if record.epochs and not any((run / name).exists() for name in (LAST, PREVIOUS)):
        raise BadInputError(
            f"the checkpoints of {run} are gone",
            found=f"{RUN_RECORD} tells of {record.epochs} epochs",
            expected=f"{LAST} or {PREVIOUS}",
            next_command=f"edgeseg train DATA --out ANOTHER --recipe {run / RUN_RECIPE}"
            + (f"  ({RUN_CHECKPOINT} stays usable)" if (run / RUN_CHECKPOINT).is_file() else ""),
        )


def start(run: Path, recipe: Recipe, record: RunRecord) -> None:
    """Make the folder of a new training."""
    run.mkdir(parents=True, exist_ok=True)
    remove_leftovers(run)
    write_text(run / RUN_RECIPE, recipe_to_toml(recipe))
    record.write(run / RUN_RECORD)


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
