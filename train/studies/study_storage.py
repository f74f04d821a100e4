"""The place where a study's trials are kept, and who may train which.

A trial belongs to a process as long as that process holds the trial's claim. A claim is a lock that ends with its
process, by whatever means that ends: a lock on a file in the study's folder, or one that a database server holds for a
connection (`postgresql_storage.py`).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from edgeseg.file_locks import alone_in
from edgeseg.train.studies.journal import open_journal

JOURNAL = "study.journal"
CLAIMS = "claims"
Release = Callable[[], None]
"""Lets go of a claim."""


class StudyStorage(Protocol):
    """The trials of one study, and the claims on them."""

    def open(self, pruner: Any) -> Any:
        """Open or make the study.

        Args:
            pruner: One of Optuna's.

        Returns:
            An `optuna.study.Study` that maximises.
        """

    def alone(self) -> AbstractContextManager[None]:
        """Let one process at a time into the block, over all that share the study."""

    def claim_first(self, keys: Iterable[str]) -> tuple[str, Release] | None:
        """Claim the first of some trials that no process holds; None where all are held."""

    def count_claimed(self, keys: Iterable[str]) -> int:
        """How many of some trials processes hold now, this one included."""


class FolderStorage:
    """A study in a folder: Optuna's journal, and an empty file a trial whose lock is the claim.

    Args:
        folder: The study's folder; exists, on a file system with locks.
    """

    def __init__(self, folder: Path) -> None:
        self._journal, self._claims = folder / JOURNAL, folder / CLAIMS
        self._claims.mkdir(exist_ok=True)
        self._journal.touch()

    def open(self, pruner: Any) -> Any:
        """Open or make the study.

        Raises:
            BadInputError: The journal is damaged.
        """
        return open_journal(self._journal, pruner)

    def alone(self) -> AbstractContextManager[None]:
        """Let one process at a time into the block."""
        return alone_in(self._claims)

    def claim_first(self, keys: Iterable[str]) -> tuple[str, Release] | None:
        """Claim the first trial whose file nobody has locked."""
        for key in keys:
            if (release := self._hold(key)) is not None:
                return key, release
        return None

    def count_claimed(self, keys: Iterable[str]) -> int:
        """How many of the trials' files are locked."""
        count = 0
        for key in keys:
            release = self._hold(key)
            if release is None:
                count += 1
            else:
                release()
        return count

    def _hold(self, key: str) -> Release | None:
        descriptor = os.open(self._claims / key, os.O_RDWR | os.O_CREAT, 0o666)
        with contextlib.ExitStack() as undo:
            undo.callback(os.close, descriptor)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return None
            return undo.pop_all().close
