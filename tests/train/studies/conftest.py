from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.train.studies.postgresql_server import Server, started


@pytest.fixture(scope="session")
def postgresql(system_program: Callable[..., str]) -> Iterator[Server]:
    """A PostgreSQL server of the tests' own."""
    folders = map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True))
    with started(system_program("initdb", "postgresql", *folders)) as server:
        yield server
