"""Jetson and IGX."""

from collections.abc import Callable
from typing import Any

import pytest

from edgeseg.machine.doctor.board_checks import check_board, check_clocks, check_jetpack, check_power_mode

Look = Callable[..., Any]
CONF = "/etc/nvpmodel.conf"
GPU = "/sys/class/devfreq/17000000.gpu"


def test_a_machine_that_is_no_board(look: Look, workstation) -> None:
    assert check_board(*look(workstation())) == []


def test_an_orin_with_jetpack_6(look: Look, agx_orin) -> None:
    jetpack, mode, clock = check_board(*look(agx_orin()))
    assert jetpack.status == "ok"
    assert jetpack.found == "NVIDIA Jetson AGX Orin Developer Kit, JetPack 6.2+b77, Jetson Linux 36.4.3"
    assert mode.status == "advice" and (mode.next_command or "").startswith("sudo nvpmodel -m 0")
    assert clock.status == "advice" and clock.found == "306 to 1300 MHz, as the load asks"


@pytest.mark.parametrize(
    ("release", "status"),
    [
        ("# R35 (release), REVISION: 4.1", "wrong version"),
        ("# R36 (release), REVISION: 3.0", "wrong version"),
        ("# R36 (release), REVISION: 4.3", "advice"),
        ("# R38 (release), REVISION: 2.0", "advice"),
        ("# R39 (release), REVISION: 2.10", "advice"),
        ("# R44 (release), REVISION: 1.0", "unknown"),
    ],
)
def test_releases(look: Look, fake_machine, release: str, status: str) -> None:
    """Without the package nvidia-jetpack the release is known, and the package advised."""
    view, hardware = look(fake_machine(files={"/etc/nv_tegra_release": release}))
    assert check_jetpack(view, hardware).status == status


def test_an_igx_without_jetson_linux_is_a_board(look: Look, fake_machine) -> None:
    files = {"/proc/device-tree/model": "NVIDIA IGX Orin Development Kit\0"}
    jetpack = check_board(*look(fake_machine(files=files)))[0]
    assert jetpack.status == "unknown" and "IGX Orin" in jetpack.found


def test_an_arm_board_of_somebody_else_is_none(look: Look, fake_machine) -> None:
    assert check_board(*look(fake_machine(files={"/proc/device-tree/model": "Raspberry Pi 5"}))) == []


@pytest.mark.parametrize(
    ("mode", "conf", "status", "command"),
    [
        ("MAXN\n0", "< POWER_MODEL ID=0 NAME=MAXN >", "ok", None),
        ("25W\n1", "< POWER_MODEL ID=1 NAME=25W >\n< POWER_MODEL ID=2 NAME=MAXN_SUPER >", "advice", "nvpmodel -m 2"),
        ("120W\n1", "", "ok", None),
        ("15W\n0", "< POWER_MODEL ID=3 NAME=MAXN >\n< POWER_MODEL ID=4 NAME=MAXN_SUPER >", "advice", "nvpmodel -m 4"),
    ],
)
def test_power_modes(look: Look, agx_orin, mode: str, conf: str, status: str, command: str | None) -> None:
    machine = agx_orin(files={CONF: conf}, commands={"nvpmodel -q": f"NV Power Mode: {mode}\n"})
    check = check_power_mode(look(machine)[0])
    assert check.status == status
    assert command is None or command in (check.next_command or "")


def test_a_board_that_does_not_tell(look: Look, agx_orin) -> None:
    view, _ = look(agx_orin(files={}, commands={}))
    assert (check_power_mode(view).status, check_clocks(view).status) == ("unknown", "unknown")


def test_the_mode_of_a_container_is_read_from_nvpmodels_file(look: Look, agx_orin, fake_machine) -> None:
    files = {**agx_orin().files, "/var/lib/nvpmodel/status": "pmode:0002 fmode:quiet\n"}
    check = check_power_mode(look(agx_orin(files=files, commands={}))[0])
    assert (check.status, check.found) == ("advice", "MODE_30W (mode 2)")
    assert (check.next_command or "").startswith("sudo nvpmodel -m 0")


def test_held_clocks(look: Look, agx_orin) -> None:
    files = {f"{GPU}/min_freq": "1300500000\n", f"{GPU}/max_freq": "1300500000\n"}
    check = check_clocks(look(agx_orin(files=files))[0])
    assert (check.status, check.found) == ("ok", "held at 1300 MHz")


def test_thors_clock_has_another_name(look: Look, agx_orin) -> None:
    folder = "/sys/class/devfreq/gpu-gpc-0"
    files = {f"{folder}/min_freq": "315000000", f"{folder}/max_freq": "1575000000"}
    assert check_clocks(look(agx_orin(files=files))[0]).found == "315 to 1575 MHz, as the load asks"
