"""A PostgreSQL server in a folder of its own, which goes with it."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

USER, PASSWORD = "student", "rather-secret"
RUN_AS = "postgres"
"""Debian's user; the server refuses to run as root."""


@dataclass(frozen=True)
class Server:
    """A running server, whose administrator is `USER`."""

    port: int
    process: subprocess.Popen[bytes]

    def url(self, database: str = "postgres", password: str = PASSWORD, user: str = USER) -> str:
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{database}"

    def ask(self, query: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            return connection.execute(query.encode()).fetchall()

    def new_database(self) -> str:
        name = f"studies_{uuid.uuid4().hex}"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return name


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def started(initdb: str) -> Iterator[Server]:
    """A new server on the loopback, up inside the block.

    Args:
        initdb: The program that lays out its data; the server's lies beside it.
    """
    folder = Path(tempfile.mkdtemp(prefix="edgeseg-postgresql-"))
    is_root = os.geteuid() == 0
    owner = RUN_AS if is_root else getpass.getuser()
    words = folder / "password"
    words.write_text(PASSWORD)
    for path in (folder, words):
        shutil.chown(path, owner)
    as_owner: dict[str, Any] = {"cwd": folder, **({"user": owner, "extra_groups": []} if is_root else {})}
    options = ["--auth=scram-sha-256", f"--username={USER}", f"--pwfile={words}", "--no-sync", "--locale=C"]
    data, port, log = folder / "data", free_port(), folder / "log"
    settings = ("fsync=off", f"port={port}", "listen_addresses=127.0.0.1", f"unix_socket_directories={folder}")
    server = [str(Path(initdb).with_name("postgres")), "-D", str(data)]
    server += [word for setting in settings for word in ("-c", setting)]
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder)
        subprocess.run([initdb, *options, str(data)], check=True, capture_output=True, **as_owner)
        stream = stack.enter_context(log.open("w"))
        process = subprocess.Popen(server, stderr=stream, **as_owner)
        stack.callback(process.wait, 30)
        stack.callback(process.send_signal, signal.SIGINT)  # PostgreSQL's fast shutdown
        yield _when_up(Server(port, process), log)


def _when_up(server: Server, log: Path) -> Server:
    deadline = time.monotonic() + 60
    while True:
        assert server.process.poll() is None, log.read_text()
        try:
            psycopg.connect(server.url(), connect_timeout=2).close()
            return server
        except psycopg.OperationalError:
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
