"""GPU, driver, toolkit, pycuda and cuda-bindings."""

from collections.abc import Callable
from typing import Any

import pytest

from edgeseg.machine.doctor.checks import Check
from edgeseg.machine.doctor.gpu_checks import (
    check_cuda_packages,
    check_gpu,
    check_persistence,
    check_toolkit,
    gpu_memory_bytes,
)

Look = Callable[..., Any]
QUERY = "nvidia-smi --id=0 --query-gpu=persistence_mode,clocks.sm,clocks.max.sm,power.limit,temperature.gpu"
QUERY += " --format=csv,noheader"


def test_a_gpu_is_described(look: Look, workstation) -> None:
    check = check_gpu(*look(workstation()))
    assert check.status == "ok"
    for part in ("RTX 4000", "8.9", "20.0 GiB", "memory of its own", "580.65.06", "CUDA up to 13.0"):
        assert part in check.found


def test_the_first_of_several(look: Look, workstation, gpus) -> None:
    check = check_gpu(*look(workstation(probes={"gpu": {**gpus["rtx"], "count": 2}})))
    assert "first of 2 GPUs" in check.found


@pytest.mark.parametrize(("capability", "status"), [("7.2", "wrong version"), ("7.5", "ok"), ("12.1", "ok")])
def test_turing_is_the_oldest_generation(look: Look, workstation, gpus, capability: str, status: str) -> None:
    gpu = {**gpus["rtx"], "compute_capability": capability}
    check = check_gpu(*look(workstation(probes={"gpu": gpu})))
    assert check.status == status
    assert (check.next_command is None) == (status == "ok")


def test_a_driver_that_is_too_old(look: Look, workstation, gpus) -> None:
    check = check_gpu(*look(workstation(probes={"gpu": {**gpus["rtx"], "cuda": "11.8", "driver": "520.61"}})))
    assert check.status == "wrong version"
    assert check.next_command is not None and "580" in check.next_command


@pytest.mark.parametrize(
    ("files", "status", "command"),
    [
        ({}, "not needed here", None),
        ({"/sys/class/drm/card0/device/vendor": "0x8086\n"}, "not needed here", None),
        ({"/sys/class/drm/card0/device/vendor": "0x10de\n"}, "missing", "ubuntu-drivers"),
        ({"/proc/driver/nvidia/version": "NVRM"}, "missing", "nvidia-smi"),
        ({"/etc/nv_tegra_release": "# R36 (release), REVISION: 4.3"}, "missing", "nvidia-jetpack"),
        ({"/etc/nv_tegra_release": "# R36 (release), REVISION: 4.3", "/.dockerenv": ""}, "missing", "--runtime nvidia"),
    ],
)
def test_no_gpu(look: Look, fake_machine, files: dict[str, str], status: str, command: str | None) -> None:
    check = check_gpu(*look(fake_machine(files=files)))
    assert check.status == status
    assert "no NVIDIA driver" in check.found
    assert (check.next_command is None) if command is None else (command in (check.next_command or ""))


@pytest.mark.parametrize(("mode", "status"), [("Enabled", "ok"), ("Disabled", "advice")])
def test_persistence_mode(look: Look, workstation, mode: str, status: str) -> None:
    (check,) = check_persistence(*look(workstation(commands={QUERY: f"{mode}, 210 MHz, 2175 MHz, 130.00 W, 41\n"})))
    assert check.status == status
    assert "210 MHz of 2175 MHz" in check.found and "41 °C" in check.found


def test_persistence_where_nvidia_smi_is_not_or_the_gpu_is_integrated(look: Look, workstation, agx_orin) -> None:
    assert [check.status for check in check_persistence(*look(workstation()))] == ["unknown"]
    assert check_persistence(*look(agx_orin())) == []


@pytest.mark.parametrize(
    ("release", "status"), [("11.8", "wrong version"), ("12.6", "ok"), ("13.0", "ok"), ("14.0", "wrong version")]
)
def test_the_toolkit_against_the_driver(look: Look, workstation, release: str, status: str) -> None:
    answer = {"/usr/local/cuda/bin/nvcc --version": f"Cuda compilation tools, release {release}, V1"}
    check = check_toolkit(*look(workstation(commands=answer)))
    assert check.status == status
    if status != "ok":
        assert check.next_command is not None and "cuda-toolkit-13-0" in check.next_command


def test_cuda_home_comes_first(look: Look, workstation) -> None:
    check = check_toolkit(
        *look(
            workstation(
                files={"/opt/cuda/bin/nvcc": "", "/usr/local/cuda/bin/nvcc": ""},
                commands={"/opt/cuda/bin/nvcc --version": "release 12.9, V12.9.1"},
                environment={"CUDA_HOME": "/opt/cuda"},
            )
        )
    )
    assert check.found == "CUDA 12.9 (/opt/cuda/bin/nvcc)"


def test_no_nvcc(look: Look, agx_orin, fake_machine) -> None:
    assert check_toolkit(*look(agx_orin(files={}))).next_command is not None
    assert check_toolkit(*look(fake_machine())).status == "not needed here"


def statuses(checks: list[Check]) -> dict[str, str]:
    return {check.name: check.status for check in checks}


@pytest.mark.parametrize(
    ("gpu", "bindings", "status"),
    [("rtx", "13.0.1", "ok"), ("rtx", "12.9.0", "ok"), ("orin", "12.6.2", "ok"), ("orin", "13.0.1", "wrong version")],
)
def test_bindings_of_the_drivers_cuda_or_an_older(
    look: Look, workstation, gpus, gpu: str, bindings: str, status: str
) -> None:
    machine = workstation(packages={"pycuda": "2026.1", "cuda-bindings": bindings}, probes={"gpu": gpus[gpu]})
    checks = check_cuda_packages(*look(machine), {"cuda": gpus[gpu]["cuda"]})
    assert statuses(checks) == {"pycuda": "ok", "cuda-bindings": status}


def test_the_extra_is_of_the_drivers_cuda(look: Look, agx_orin, workstation) -> None:
    for machine, extra in ((agx_orin, "cuda12"), (workstation, "cuda13")):
        checks = check_cuda_packages(*look(machine(packages={})), {"missing": "not installed"})
        assert statuses(checks) == {"pycuda": "missing", "cuda-bindings": "missing"}
        assert all(extra in (check.next_command or "") for check in checks)


@pytest.mark.parametrize(
    ("answer", "status"),
    [({"cuda": "12.6"}, "ok"), ({"cuda": "13.0"}, "wrong version"), ({"missing": "libcuda.so.1"}, "missing")],
)
def test_pycuda_is_held_against_the_driver(look: Look, agx_orin, answer: dict[str, str], status: str) -> None:
    checks = check_cuda_packages(*look(agx_orin()), answer)
    assert statuses(checks)["pycuda"] == status


def test_nothing_of_cuda_is_needed_without_a_gpu(look: Look, fake_machine) -> None:
    checks = check_cuda_packages(*look(fake_machine()), {"missing": "x"})
    assert set(statuses(checks).values()) == {"not needed here"}


@pytest.mark.parametrize(("answer", "expected"), [("1234\n", 1234 << 20), ("[N/A]\n", None), (None, None)])
def test_gpu_memory(look: Look, workstation, answer: str | None, expected: int | None) -> None:
    query = "nvidia-smi --id=0 --query-gpu=memory.used --format=csv,noheader,nounits"
    view, hardware = look(workstation(commands={query: answer} if answer else {}))
    assert gpu_memory_bytes(view, hardware.gpu) == expected
    assert gpu_memory_bytes(view, None) is None


def test_nvidia_smi_is_asked_for_the_gpu_that_cuda_calls_first(look: Look, workstation, gpus) -> None:
    """Its own numbers follow the PCI bus, CUDA's the speed."""
    query = "nvidia-smi --id=0000:65:00.0 --query-gpu=memory.used --format=csv,noheader,nounits"
    gpu = {**gpus["rtx"], "count": 2, "bus_id": "0000:65:00.0"}
    view, hardware = look(
        workstation(probes={"gpu": gpu}, commands={query: "7", query.replace("0000:65:00.0", "0"): "9"})
    )
    assert gpu_memory_bytes(view, hardware.gpu) == 7 << 20
