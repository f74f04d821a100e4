"""Optuna's journal in a form that survives a process that is killed at any moment."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Any

from edgeseg.errors import BadInputError
from edgeseg.optional import require

STUDY = "study"
"""The study's name inside the journal."""


class JournalLock:
    """A lock that ends with its process, and that removes the half line that a killed writer left.

    It has the two methods of Optuna's own locks, of which the one by symbolic link outlives a killed process by half a
    minute.

    Args:
        path: The journal.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._descriptor = path, -1

    def acquire(self) -> bool:
        """Wait for the lock, then see that the journal ends with a whole line."""
        self._descriptor = os.open(self._path, os.O_RDWR)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        _remove_half_line(self._descriptor)
        return True

    def release(self) -> None:
        """Let others in."""
        os.close(self._descriptor)


def _remove_half_line(descriptor: int) -> None:
    size = os.fstat(descriptor).st_size
    if size == 0 or os.pread(descriptor, 1, size - 1) == b"\n":
        return
    whole = os.pread(descriptor, size, 0).rfind(b"\n") + 1
    os.ftruncate(descriptor, whole)


def open_journal(path: Path, pruner: Any) -> Any:
    """Open or make the study in a journal file.

    Args:
        path: The journal.
        pruner: One of Optuna's.

    Returns:
        An `optuna.study.Study` that maximises.

    Raises:
        BadInputError: The journal is damaged.
    """
    optuna = require("optuna")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    backend = require("optuna.storages.journal").JournalFileBackend(str(path), lock_obj=JournalLock(path))
    try:
        return optuna.create_study(
            study_name=STUDY,
            storage=optuna.storages.JournalStorage(backend),
            direction="maximize",
            pruner=pruner,
            sampler=optuna.samplers.RandomSampler(seed=0),
            load_if_exists=True,
        )
    except Exception as error:  # optuna replays the journal line by line, and trips over any of them
        raise BadInputError(
            f"the journal {path} is damaged",
            found=f"{type(error).__name__} {error}".splitlines()[0][:200],
            expected="the lines that edgeseg study wrote",
            next_command="edgeseg study STUDY --data DATA --out ANOTHER",
        ) from error
