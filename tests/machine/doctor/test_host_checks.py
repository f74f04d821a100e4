"""Disk, cache, shared memory, memory that may be locked, ports, cameras."""

from collections.abc import Callable
from typing import Any

import pytest

from edgeseg.machine.doctor.host_checks import (
    check_cache,
    check_cameras,
    check_locked_memory,
    check_port,
    check_shared_memory,
)

Look = Callable[..., Any]
MIB = 1 << 20


def test_the_cache_lies_where_it_is_said_to(look: Look, fake_machine, tmp_path) -> None:
    check = check_cache(look(fake_machine(environment={"XDG_CACHE_HOME": str(tmp_path / "elsewhere")}))[0])
    assert check.status == "ok" and str(tmp_path / "elsewhere" / "edgeseg") in check.found


def test_a_cache_that_cannot_be_written(look: Look, fake_machine) -> None:
    machine = fake_machine(files={"/home/.cache/edgeseg/x": ""}, closed=frozenset({"/home/.cache/edgeseg"}))
    check = check_cache(look(machine)[0])
    assert check.status == "advice" and "XDG_CACHE_HOME" in (check.next_command or "")


@pytest.mark.parametrize(
    ("space", "status"), [((8 << 30, 1 << 30), "advice"), ((8 << 30, 3 << 30), "ok"), (None, "unknown")]
)
def test_room(look: Look, fake_machine, space: tuple[int, int] | None, status: str) -> None:
    assert check_cache(look(fake_machine(space_bytes=space))[0]).status == status


@pytest.mark.parametrize(("megabytes", "status"), [(64, "advice"), (512, "ok")])
def test_shared_memory_of_a_container(look: Look, fake_machine, megabytes: int, status: str) -> None:
    machine = fake_machine(files={"/dev/shm/x": ""}, space_bytes=(megabytes * MIB, megabytes * MIB))
    check = check_shared_memory(look(machine)[0])
    assert check.status == status
    assert (check.next_command is not None) == (status == "advice")


def test_no_shared_memory(look: Look, fake_machine) -> None:
    assert check_shared_memory(look(fake_machine())[0]).status == "advice"


@pytest.mark.parametrize(("limit", "status"), [(None, "ok"), (8 * MIB, "advice"), (1024 * MIB, "ok")])
def test_locked_memory(look: Look, workstation, limit: int | None, status: str) -> None:
    assert check_locked_memory(*look(workstation(memlock_bytes=limit))).status == status


def test_locked_memory_without_a_gpu(look: Look, fake_machine) -> None:
    assert check_locked_memory(*look(fake_machine(memlock_bytes=1))).status == "not needed here"


@pytest.mark.parametrize(("listens", "status"), [(True, "ok"), (False, "advice")])
def test_ports(look: Look, fake_machine, listens: bool, status: str) -> None:
    assert check_port(look(fake_machine(listens=listens))[0]).status == status


def test_cameras(look: Look, fake_machine) -> None:
    assert check_cameras(look(fake_machine())[0]).status == "not needed here"
    files = {"/dev/video0": "", "/dev/video2": ""}
    assert check_cameras(look(fake_machine(files=files))[0]).found == "/dev/video0, /dev/video2"
    check = check_cameras(look(fake_machine(files=files, closed=frozenset({"/dev/video2"})))[0])
    assert check.status == "advice" and "1 of 2" in check.found and "usermod -aG video" in (check.next_command or "")
