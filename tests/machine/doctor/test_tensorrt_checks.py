"""TensorRT: pip's, the system's that is hidden, and what does not load."""

from collections.abc import Callable
from typing import Any

import pytest

from edgeseg.machine.doctor.tensorrt_checks import check_tensorrt, check_tensorrt_rtx

Look = Callable[..., Any]
NOT_ASKED = {"missing": "not installed"}
DIST = "/usr/lib/python3.10/dist-packages"


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ({"version": "10.13.3.9"}, "ok"),
        ({"version": "10.3.0"}, "ok"),
        ({"version": "8.6.2"}, "wrong version"),
        ({"missing": "ImportError: libnvinfer.so.10"}, "missing"),
    ],
)
def test_versions(look: Look, workstation, answer: dict[str, str], status: str) -> None:
    check = check_tensorrt(*look(workstation()), answer)
    assert check.status == status
    assert (check.next_command is None) == (status == "ok")


def test_without_a_gpu_none_is_needed(look: Look, fake_machine) -> None:
    assert check_tensorrt(*look(fake_machine()), NOT_ASKED).status == "not needed here"
    machine = fake_machine(modules=frozenset({"tensorrt"}), packages={"tensorrt": "10.13.0"})
    check = check_tensorrt(*look(machine), NOT_ASKED)
    assert check.status == "not needed here" and "10.13.0" in check.found


def test_the_systems_package_that_the_venv_does_not_see(look: Look, agx_orin) -> None:
    check = check_tensorrt(*look(agx_orin()), NOT_ASKED)
    assert check.status == "missing" and "does not see" in check.found
    command = check.next_command or ""
    assert command.startswith(f"ln -s {DIST}/tensorrt* /venv/lib/python/site-packages/")
    assert "--system-site-packages" in command


def test_the_systems_package_is_for_another_python(look: Look, agx_orin) -> None:
    check = check_tensorrt(*look(agx_orin(python="3.11.9")), NOT_ASKED)
    assert "for Python 3.10; this is Python 3.11" in check.found
    assert (check.next_command or "").startswith("/usr/bin/python3.10 -m venv --system-site-packages")


def test_a_binary_tells_its_python_where_the_folder_does_not(look: Look, agx_orin) -> None:
    files = {"/usr/lib/python3/dist-packages/tensorrt/tensorrt.cpython-312-aarch64-linux-gnu.so": ""}
    assert "for Python 3.12" in check_tensorrt(*look(agx_orin(files=files)), NOT_ASKED).found


def test_a_python_of_ones_own_without_a_venv(look: Look, agx_orin) -> None:
    assert "not on this Python's path" in check_tensorrt(*look(agx_orin(venv=False)), NOT_ASKED).found


def test_the_library_without_its_python_package(look: Look, agx_orin) -> None:
    query = "dpkg-query --show --showformat=${Version} libnvinfer10"
    check = check_tensorrt(*look(agx_orin(files={}, commands={query: "10.3.0.30-1+cuda12.5"})), NOT_ASKED)
    assert "10.3.0.30" in check.found and check.next_command == "sudo apt install python3-libnvinfer"


@pytest.mark.parametrize(
    ("cuda", "command"), [("13.0", "pip install tensorrt-cu13"), ("12.8", "pip install tensorrt-cu12")]
)
def test_pips_package_is_of_the_drivers_cuda(look: Look, workstation, gpus, cuda: str, command: str) -> None:
    machine = workstation(modules=frozenset(), probes={"gpu": {**gpus["rtx"], "cuda": cuda}})
    assert check_tensorrt(*look(machine), NOT_ASKED).next_command == command


def test_a_board_takes_it_from_apt(look: Look, agx_orin) -> None:
    board = {"/etc/nv_tegra_release": "# R36 (release), REVISION: 4.3"}
    check = check_tensorrt(*look(agx_orin(files=board)), NOT_ASKED)
    assert check.next_command == "sudo apt install tensorrt python3-libnvinfer"


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ({"version": "1.7.1.116"}, "ok"),
        ({"version": "1.4.0"}, "wrong version"),
        ({"missing": "OSError"}, "missing"),
    ],
)
def test_tensorrt_rtx(look: Look, fake_machine, answer: dict[str, str], status: str) -> None:
    view, _ = look(fake_machine(modules=frozenset({"tensorrt_rtx"})))
    assert check_tensorrt_rtx(view, answer).status == status


def test_tensorrt_rtx_is_optional_and_for_x86(look: Look, fake_machine, agx_orin) -> None:
    check = check_tensorrt_rtx(look(fake_machine())[0], NOT_ASKED)
    assert (check.status, check.next_command) == ("not needed here", "pip install '.[rtx]'")
    check = check_tensorrt_rtx(look(agx_orin())[0], NOT_ASKED)
    assert (check.status, check.next_command) == ("not needed here", None)
    assert "aarch64" in check.found
