"""Connections to a PostgreSQL server, and their failures in words that hold no password."""

from __future__ import annotations

from typing import Any

from edgeseg.errors import EdgesegError, MissingComponentError, UsageError
from edgeseg.optional import require
from edgeseg.runtime.live.credentials import without_credentials, without_secrets_of
from edgeseg.shell import quoted

CONNECT_S = 10
SILENT_S = 60
"""After so long a peer that says nothing counts as gone: half of it idle, then three questions 10 s apart."""
_KEEPALIVE = {"keepalives_idle": SILENT_S // 2, "keepalives_interval": 10, "keepalives_count": 3}
_SCHEMES = ("postgresql://", "postgres://")
_NO_PRIVILEGE = "42501"


class ServerError(MissingComponentError):
    """The database server cannot be reached, refuses the login, or has gone."""


class Address:
    """A PostgreSQL database and who logs in.

    Args:
        url: As libpq reads it; a password that it lacks comes from `~/.pgpass` or `PGPASSWORD`.

    Raises:
        UsageError: It is none of PostgreSQL.
        MissingComponentError: psycopg is not installed.
    """

    def __init__(self, url: str) -> None:
        if not url.startswith(_SCHEMES):
            raise _no_address("--storage takes the URL of a PostgreSQL server", url)
        self._psycopg = require("psycopg")
        self._url = url
        try:
            self._parameters = require("psycopg.conninfo").conninfo_to_dict(url)
        except self._psycopg.ProgrammingError:  # its words may hold the password
            raise _no_address("libpq cannot read the URL of --storage", url) from None

    def connect(self, autocommit: bool = False) -> Any:
        """A new connection, which ends with this process and after `SILENT_S` without a word from the other side.

        Args:
            autocommit: Whether each statement is a transaction of its own.

        Returns:
            A `psycopg.Connection`.

        Raises:
            ServerError: The server cannot be reached or does not let this user in.
        """
        of_server = " ".join(f"-c tcp_{name}={value}" for name, value in _KEEPALIVE.items())
        options = " ".join(filter(None, [self._parameters.get("options"), of_server]))
        defaults = {
            "connect_timeout": CONNECT_S,
            "application_name": "edgeseg",
            "client_encoding": "utf8",
            **_KEEPALIVE,
        }
        try:
            return self._psycopg.connect(**{**defaults, **self._parameters, "options": options}, autocommit=autocommit)
        except self._psycopg.OperationalError as error:
            raise self._refusal(error) from error

    def ask(self, connection: Any, query: str, *parameters: object) -> Any:
        """The first value of a query's answer.

        Args:
            connection: What `connect` gave.
            query: SQL with a ``%s`` for each parameter.
            parameters: Their values.

        Raises:
            ServerError: The connection is lost.
        """
        try:
            return connection.execute(query, parameters).fetchone()[0]
        except self._psycopg.OperationalError as error:
            raise self.lost(error) from error

    def without_secrets(self, text: object) -> str:
        """A text in one line in which nothing of the URL shows that must not be seen."""
        return without_secrets_of(without_credentials(" ".join(str(text).split())), [self._url])[:300]

    def _refusal(self, error: Any) -> ServerError:
        """The error for a connection that did not come about."""
        connection = error.pgconn
        if connection is not None and (connection.used_password or connection.needs_password):
            return ServerError(
                "the database server does not let this user in",
                found=self.without_secrets(error),
                expected="user, password and database as the server knows them; ~/.pgpass keeps passwords",
                next_command=f"{self._with_program('psql', dbname='--dbname', user='--username')} -c 'SELECT 1'",
            )
        return ServerError(
            "no connection to the database server",
            found=self.without_secrets(error),
            expected="a PostgreSQL server there that knows this user and this database",
            next_command=self._with_program("pg_isready"),
        )

    def _with_program(self, program: str, **more: str) -> str:
        """A command of PostgreSQL's with this server's address, for the person to type."""
        names = {"host": "--host", "port": "--port", **more}
        known = {flag: self._parameters.get(name) for name, flag in names.items()}
        return " ".join([program, *(f"{flag}={quoted(str(value))}" for flag, value in known.items() if value)])

    def lost(self, error: object) -> EdgesegError:
        """The error for a connection that broke, with what the driver said of it."""
        return ServerError(
            "the connection to the database server is lost",
            found=self.without_secrets(error),
            expected="a server that stays; what it was told before is kept",
            next_command="the same command, which goes on where this one stopped",
        )

    def refused(self, error: object) -> EdgesegError:
        """The error for a statement that the server refuses, mostly because this user may not do it."""
        return ServerError(
            "the database server refuses to read or write the study",
            found=self.without_secrets(error),
            expected="a user who may create tables in the database, or read and write those of Optuna",
            next_command="as an administrator: GRANT ALL ON SCHEMA public TO USER",
        )


def _no_address(what: str, url: str) -> UsageError:
    return UsageError(
        what,
        found=without_credentials(url),
        expected="postgresql://USER@HOST:PORT/DATABASE",
        next_command="the same command with --storage postgresql://USER@HOST:PORT/DATABASE",
    )


def naming_server_errors(engine: Any, address: Address) -> None:
    """Say in words what goes wrong on an engine, wherever it is used.

    Args:
        engine: A `sqlalchemy.Engine`; its sessions then raise `ServerError`.
        address: The server that it connects to.
    """

    def say(context: Any) -> None:
        if context.is_disconnect:
            raise address.lost(context.original_exception) from context.original_exception
        if getattr(context.original_exception, "sqlstate", None) == _NO_PRIVILEGE:
            raise address.refused(context.original_exception) from context.original_exception

    require("sqlalchemy").event.listen(engine, "handle_error", say)
