"""Python and its packages."""

from collections.abc import Callable
from typing import Any

import pytest

from edgeseg.machine.doctor.checks import Check
from edgeseg.machine.doctor.python_checks import (
    check_base_packages,
    check_bench,
    check_codecs,
    check_edgeseg,
    check_python,
    check_training,
)
from edgeseg.machine.doctor.requirements import wanted_packages

Look = Callable[..., Any]


def named(checks: list[Check], name: str) -> Check:
    return next(check for check in checks if check.name == name)


@pytest.mark.parametrize(("version", "status"), [("3.9.2", "wrong version"), ("3.10.0", "ok"), ("3.13.1", "ok")])
@pytest.mark.parametrize("suffix", ["", "rc1"])
def test_python(look: Look, fake_machine, version: str, suffix: str, status: str) -> None:
    check = check_python(look(fake_machine(python=version + suffix))[0])
    assert check.status == status
    assert (check.next_command is None) == (status == "ok")


def test_a_newer_python_than_ours(look: Look, fake_machine) -> None:
    check = check_python(look(fake_machine(python="3.14.0", venv=False))[0])
    assert check.broken
    assert "needed: <3.14,>=3.10" in check.found and "not in a virtual environment" in check.found


def test_the_base_packages_that_are_there(look: Look, fake_machine) -> None:
    checks = check_base_packages(look(fake_machine())[0])
    assert [check.name for check in checks] == ["av", "onnxruntime", "opencv-python-headless"]
    assert {check.status for check in checks} == {"ok"}


def test_what_only_an_older_python_needs(look: Look, fake_machine) -> None:
    assert "tomli" in [item.name for item in wanted_packages(look(fake_machine(python="3.10.12"))[0])]


def test_a_package_that_is_not_there_or_too_old(look: Look, fake_machine, base_packages) -> None:
    del base_packages["onnxruntime"]
    checks = check_base_packages(look(fake_machine(packages={**base_packages, "av": "19.0.0"}))[0])
    assert (named(checks, "onnxruntime").status, named(checks, "av").status) == ("missing", "wrong version")
    assert named(checks, "onnxruntime").next_command == "pip install ."
    assert named(checks, "av").next_command == "pip install 'av<19,>=14'"


def test_another_build_of_the_same_module_will_do(look: Look, fake_machine, base_packages) -> None:
    del base_packages["onnxruntime"], base_packages["opencv-python-headless"]
    others = {"onnxruntime-gpu": "1.20.0", "opencv-python": "4.11.0.86"}
    checks = check_base_packages(look(fake_machine(packages=base_packages | others))[0])
    assert named(checks, "onnxruntime").found == "1.20.0 (onnxruntime-gpu)"
    assert {check.status for check in checks} == {"ok"}


def test_edgeseg_that_is_not_installed(look: Look, fake_machine) -> None:
    view = look(fake_machine(packages={}, requirements=()))[0]
    assert check_edgeseg(view).broken
    assert check_base_packages(view) == []


def test_codecs() -> None:
    whole = {"ffmpeg": "8.1", "encoders": ["libx264"], "decoders": ["h264"]}
    assert check_codecs(whole).status == "ok"
    assert check_codecs({**whole, "encoders": []}).broken
    broken = check_codecs({"missing": "ImportError: libavcodec.so.62"})
    assert broken.broken and "libavcodec" in broken.found


def test_training_is_not_wanted_on_a_board(look: Look, agx_orin, fake_machine) -> None:
    assert [check.status for check in check_training(*look(agx_orin()))] == ["not needed here"]


def test_training_on_a_workstation(look: Look, fake_machine, base_packages) -> None:
    checks = check_training(*look(fake_machine(packages={**base_packages, "torch": "2.13.0+cpu"})))
    assert (named(checks, "torch").status, named(checks, "kornia").status) == ("ok", "missing")
    assert named(checks, "kornia").next_command == "pip install '.[train]'"


@pytest.mark.parametrize(
    ("machine", "status", "command"),
    [
        ("workstation", "advice", "pip install '.[bench]'"),
        ("agx_orin", "not needed here", None),
        ("fake_machine", "not needed here", None),
    ],
)
def test_sensors_are_advised_beside_a_gpu_that_has_them(
    look: Look, request: pytest.FixtureRequest, machine: str, status: str, command: str | None
) -> None:
    """An Orin's sensors are files; without a GPU there is nothing to read."""
    checks = check_bench(*look(request.getfixturevalue(machine)()))
    nvml, plots = named(checks, "nvidia-ml-py"), named(checks, "matplotlib")
    assert (nvml.status, nvml.next_command) == (status, command)
    assert (plots.status, plots.next_command) == ("not needed here", "pip install '.[bench]'")


def test_what_bench_has(look: Look, workstation, base_packages) -> None:
    packages = {**base_packages, "nvidia-ml-py": "13.580.65", "matplotlib": "3.5.1"}
    nvml, plots = (
        named(check_bench(*look(workstation(packages=packages))), name) for name in ("nvidia-ml-py", "matplotlib")
    )
    assert nvml.status == "ok"
    assert plots.status == "wrong version" and "3.5.1" in plots.found
