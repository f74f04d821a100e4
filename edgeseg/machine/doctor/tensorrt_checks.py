"""TensorRT and TensorRT-RTX: pip's, or the system's that a virtual environment does not see."""

from __future__ import annotations

import re
from typing import Any

from edgeseg.machine.doctor.checks import Check
from edgeseg.machine.doctor.gpu_checks import cuda_extra
from edgeseg.machine.doctor.hardware import Hardware
from edgeseg.machine.doctor.machine_view import MachineView
from edgeseg.machine.doctor.requirements import fits, wanted_packages

_PURPOSE = "builds and runs engines of the backend tensorrt"
_RTX_PURPOSE = "builds engines of the backend tensorrt-rtx, without a GPU too"
_SYSTEM_PACKAGES = ("/usr/lib/python3*/dist-packages/tensorrt", "/usr/local/lib/python3*/dist-packages/tensorrt")


def check_tensorrt(view: MachineView, hardware: Hardware, answer: dict[str, Any]) -> Check:
    """TensorRT's Python package and its libraries.

    Args:
        view: The machine.
        hardware: Its board and GPU.
        answer: The answer of the probe ``tensorrt``; asked only where the module is found beside a GPU.
    """
    if not view.has_module("tensorrt"):
        return _without_module(view, hardware)
    if hardware.gpu is None:
        version = view.installed_version("tensorrt") or "installed"
        return _check("not needed here", f"{version}; no GPU here", None)
    if "missing" in answer:
        mend = "sudo ldconfig, or export LD_LIBRARY_PATH=the folder of libnvinfer.so"
        return _check("missing", f"installed, and does not load: {answer['missing']}", mend)
    wanted = next((item.versions for item in wanted_packages(view, "tensorrt")), None)
    if wanted is not None and not fits(answer["version"], wanted):
        return _check("wrong version", f"{answer['version']}; needed: {wanted}", _install(hardware))
    return _check("ok", answer["version"], None)


def _without_module(view: MachineView, hardware: Hardware) -> Check:
    if hardware.gpu is None:
        return _check("not needed here", "not installed; no GPU here", None)
    systems = [path for pattern in _SYSTEM_PACKAGES for path in view.glob(pattern)]
    if systems:
        return _hidden(view, f"/{systems[0].parent.relative_to(view.root)}")
    library = view.run(["dpkg-query", "--show", "--showformat=${Version}", "libnvinfer10"])
    if library:
        found = f"the library libnvinfer10 {library.strip()}, without its Python package"
        return _check("missing", found, "sudo apt install python3-libnvinfer")
    return _check("missing", "not installed", _install(hardware))


def _hidden(view: MachineView, folder: str) -> Check:
    """The system's package is there, and this interpreter does not see it."""
    minor = _minor_of(view, folder)
    if minor is not None and minor != view.python.minor:
        found = f"in {folder} for Python {minor}; this is Python {view.python.minor}, which cannot load it"
        command = f"/usr/bin/python{minor} -m venv --system-site-packages .venv && .venv/bin/pip install ."
        return _check("missing", found, command)
    found = f"in {folder}, which this virtual environment does not see"
    if not view.python.in_venv:
        found = f"in {folder}, which is not on this Python's path"
    command = f"ln -s {folder}/tensorrt* {view.python.site_packages}/"
    return _check("missing", found, f"{command}  (or make the environment with --system-site-packages)")


def _minor_of(view: MachineView, folder: str) -> str | None:
    """Which Python a dist-packages folder is for: its name says it, or the suffix of TensorRT's binary."""
    match = re.search(r"python(3\.\d+)/", folder + "/")
    if match:
        return match[1]
    for path in view.glob(f"{folder}/tensorrt*/*.so"):
        match = re.search(r"cpython-3(\d+)", path.name)
        if match:
            return f"3.{match[1]}"
    return None


def _install(hardware: Hardware) -> str:
    if hardware.is_nvidia_board:
        return "sudo apt install tensorrt python3-libnvinfer"
    major = "13" if hardware.gpu is not None and cuda_extra(hardware.gpu) == "cuda13" else "12"
    return f"pip install tensorrt-cu{major}"


def _check(status: Any, found: str, command: str | None) -> Check:
    return Check(part="TensorRT", name="tensorrt", status=status, found=found, purpose=_PURPOSE, next_command=command)


def check_tensorrt_rtx(view: MachineView, answer: dict[str, Any]) -> Check:
    """TensorRT-RTX; edgeseg uses it on x86-64 only.

    Args:
        view: The machine.
        answer: The answer of the probe ``tensorrt_rtx``; asked only where the module is found.
    """
    install = "pip install '.[rtx]'"
    wanted = wanted_packages(view, "rtx")
    if not view.has_module("tensorrt_rtx"):
        found = "not installed" if wanted or not view.requirements else f"edgeseg has none for {view.python.machine}"
        return _rtx("not needed here", f"{found}; optional", install if wanted else None)
    if "missing" in answer:
        return _rtx("missing", f"installed, and does not load: {answer['missing']}", install)
    if wanted and not fits(answer["version"], wanted[0].versions):
        return _rtx("wrong version", f"{answer['version']}; needed: {wanted[0].versions}", install)
    return _rtx("ok", answer["version"], None)


def _rtx(status: Any, found: str, command: str | None) -> Check:
    return Check(
        part="TensorRT-RTX",
        name="tensorrt-rtx",
        status=status,
        found=found,
        purpose=_RTX_PURPOSE,
        next_command=command,
    )
