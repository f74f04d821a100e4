"""A study on a PostgreSQL server: Optuna's tables, and advisory locks for claims.

A session-level advisory lock (PostgreSQL, "Explicit Locking") ends with its connection, as a lock on a file ends with
its process. So a claim is a connection: where its process is killed the server notices at once, and where its machine
is gone or cut off, after `SILENT_S` seconds. Optuna's own heartbeat works with `Study.optimize` alone, says its
documentation, and a study asks and tells.
"""

from __future__ import annotations

import contextlib
import hashlib
import uuid
from collections.abc import Iterable, Iterator
from typing import Any

from edgeseg.errors import MismatchError
from edgeseg.optional import require
from edgeseg.train.studies.postgresql_connection import Address, naming_server_errors
from edgeseg.train.studies.study_header import Header, check_same
from edgeseg.train.studies.study_storage import Release

_HEADER = "edgeseg"
"""The key of the study's header among the study's user attributes."""
_COUNT = """
    SELECT count(*) FROM pg_locks
    WHERE locktype = 'advisory' AND granted AND objsubid = 1
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND ((classid::bigint << 32) | objid::bigint) = ANY(%s)
"""


class PostgresqlStorage:
    """One study in a database that other studies, and other programs, may share.

    Args:
        url: ``postgresql://USER[:PASSWORD]@HOST[:PORT]/DATABASE``, as libpq reads it.
        name: The study's name in the database.

    Raises:
        UsageError: The URL is none of PostgreSQL.
        MissingComponentError: psycopg is not installed.
    """

    def __init__(self, url: str, name: str) -> None:
        self._address, self._name = Address(url), name

    def agree(self, header: Header) -> Header:
        """Write what the study is for, or read it back.

        Args:
            header: That of the study which this process was asked for.

        Returns:
            The server's header, with the `server_id` that its first process gave it.

        Raises:
            MismatchError: The server's study of this name is another one, or has other data or settings.
            MissingComponentError: The server cannot be reached, or does not let this user in.
        """
        with self.alone():
            study = self.open(None)
            found = study.user_attrs.get(_HEADER)
            if found is None and study.get_trials(deepcopy=False):
                raise MismatchError(
                    f"the server's study '{self._name}' was not made by edgeseg study",
                    next_command=self._another_name(),
                )
            if found is None:
                found = {**header, "server_id": uuid.uuid4().hex}
                study.set_user_attr(_HEADER, found)
        asked = {**header, "server_id": found.get("server_id")}
        check_same(f"the server's study '{self._name}' is", found, asked, self._another_name())
        return dict(found)

    def open(self, pruner: Any) -> Any:
        """Open or make the study, and Optuna's tables where there are none.

        Raises:
            MissingComponentError: The server cannot be reached, does not let this user in, or lets him make no tables.
            MismatchError: Another version of Optuna made the tables.
        """
        optuna = require("optuna")
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        try:
            storage = optuna.storages.RDBStorage("postgresql+psycopg://", {"creator": self._address.connect})
        except RuntimeError as error:
            raise MismatchError(
                "the server's tables belong to another version of Optuna",
                found=str(error).splitlines()[0][:200],
                expected=f"tables of Optuna {optuna.__version__}",
                next_command="pip install --upgrade optuna  (or: optuna storage upgrade)",
            ) from error
        except require("sqlalchemy").exc.DBAPIError as error:
            raise self._address.refused(error.orig) from error
        naming_server_errors(storage.engine, self._address)
        return optuna.create_study(
            study_name=self._name,
            storage=storage,
            direction="maximize",
            pruner=pruner,
            sampler=optuna.samplers.RandomSampler(seed=0),
            load_if_exists=True,
        )

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Let one process at a time into the block, over all machines."""
        with contextlib.closing(self._address.connect(autocommit=True)) as connection:
            self._address.ask(connection, "SELECT pg_advisory_lock(%s)", self._number(""))
            yield

    def claim_first(self, keys: Iterable[str]) -> tuple[str, Release] | None:
        """Claim the first trial that no connection holds; the claim is a connection of its own."""
        with contextlib.ExitStack() as undo:
            connection = undo.enter_context(contextlib.closing(self._address.connect(autocommit=True)))
            for key in keys:
                if self._address.ask(connection, "SELECT pg_try_advisory_lock(%s)", self._number(key)):
                    return key, undo.pop_all().close
        return None

    def count_claimed(self, keys: Iterable[str]) -> int:
        """How many of the trials connections hold now, as the server lists them."""
        with contextlib.closing(self._address.connect(autocommit=True)) as connection:
            return int(self._address.ask(connection, _COUNT, [self._number(key) for key in keys]))

    def _number(self, key: str) -> int:
        """The 64-bit number of a trial's lock; that of the empty key is the study's."""
        digest = hashlib.sha256(f"edgeseg study\0{self._name}\0{key}".encode()).digest()
        return int.from_bytes(digest[:8], "big", signed=True)

    def _another_name(self) -> str:
        return f"the same command with --study-name ANOTHER (beside {self._name})"
