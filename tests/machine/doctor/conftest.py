"""Machines for the doctor: a file tree, commands with their answers, packages, and what the child processes say."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from edgeseg.machine.doctor.hardware import Hardware, read_hardware
from edgeseg.machine.doctor.machine_view import MachineView, PythonFacts

NO_DRIVER = {"missing": "no NVIDIA driver (libcuda.so.1: cannot open shared object file)"}
CODECS = {"ffmpeg": "8.1", "encoders": ["libx264"], "decoders": ["h264", "hevc"]}
RTX_4000 = {
    "name": "NVIDIA RTX 4000 Ada",
    "compute_capability": "8.9",
    "driver": "580.65.06",
    "cuda": "13.0",
    "integrated": False,
    "memory_bytes": 20 << 30,
    "count": 1,
}
ORIN = {
    "name": "Orin",
    "compute_capability": "8.7",
    "driver": "540.4.0",
    "cuda": "12.6",
    "integrated": True,
    "memory_bytes": 64 << 30,
    "count": 1,
}
BASE_PACKAGES = {
    "edgeseg": "0.1.0",
    "av": "14.2.0",
    "jinja2": "3.1.6",
    "numpy": "2.2.0",
    "onnx": "1.17.0",
    "onnxruntime": "1.20.1",
    "opencv-python-headless": "4.10.0.84",
    "pydantic": "2.9.2",
    "rich": "13.9.4",
    "tomli": "2.0.1",
    "typer": "0.15.1",
}
REQUIREMENTS = (
    "av<19,>=14",
    "onnxruntime>=1.20",
    "opencv-python-headless>=4.10",
    'tomli>=2; python_version < "3.11"',
    'torch>=2.6; extra == "train"',
    'kornia>=0.8; extra == "train"',
    'cuda-bindings<13,>=12.6; extra == "cuda12"',
    'pycuda>=2025.1; extra == "cuda12"',
    'cuda-bindings<14,>=13; extra == "cuda13"',
    'pycuda>=2025.1; extra == "cuda13"',
    'tensorrt>=10.3; extra == "tensorrt"',
    'openvino>=2025.0; extra == "openvino"',
    'matplotlib>=3.9; extra == "bench"',
    'nvidia-ml-py>=12.535; extra == "bench"',
    "tensorrt-rtx-cu13==1.7.1.116; (sys_platform == 'linux' and platform_machine == 'x86_64') and extra == 'rtx'",
)
AGX_ORIN_FILES = {
    "/proc/device-tree/model": "NVIDIA Jetson AGX Orin Developer Kit\0",
    "/etc/nv_tegra_release": "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64\n",
    "/etc/nvpmodel.conf": "< POWER_MODEL ID=0 NAME=MAXN >\nCPU_ONLINE CORE_0 1\n< POWER_MODEL ID=2 NAME=MODE_30W >\n",
    "/sys/class/devfreq/17000000.gpu/min_freq": "306000000\n",
    "/sys/class/devfreq/17000000.gpu/max_freq": "1300500000\n",
    "/sys/class/devfreq/15340000.vic/min_freq": "115200000\n",
    "/sys/class/devfreq/15340000.vic/max_freq": "115200000\n",
    "/usr/local/cuda/bin/nvcc": "",
}
AGX_ORIN_COMMANDS = {
    "nvpmodel -q": "NV Power Mode: MODE_30W\n2\n",
    "dpkg-query --show --showformat=${Version} nvidia-jetpack": "6.2+b77",
    "/usr/local/cuda/bin/nvcc --version": "Cuda compilation tools, release 12.6, V12.6.68\n",
}


@dataclass(frozen=True)
class FakeMachine:
    """Describe a machine; `view(folder)` lays its files into a folder."""

    files: Mapping[str, str] = field(default_factory=dict)
    commands: Mapping[str, str] = field(default_factory=dict)
    packages: Mapping[str, str] = field(default_factory=lambda: dict(BASE_PACKAGES))
    modules: frozenset[str] = frozenset({"av"})
    probes: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    python: str = "3.11.7"
    machine: str = "x86_64"
    venv: bool = True
    environment: Mapping[str, str] = field(default_factory=dict)
    memlock_bytes: int | None = None
    space_bytes: tuple[int, int] | None = (100 << 30, 50 << 30)
    closed: frozenset[str] = frozenset()
    """Paths that this user may not open."""
    listens: bool = True
    requirements: tuple[str, ...] = REQUIREMENTS

    def view(self, root: Path) -> MachineView:
        for path, text in self.files.items():
            place = root / path.lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)
        probes = {"gpu": NO_DRIVER, "codecs": CODECS, **self.probes}

        def run(command: Sequence[str]) -> str | None:
            return self.commands.get(" ".join(command))

        def access(path: Path, mode: int) -> bool:
            return (
                f"/{path.relative_to(root)}" not in self.closed if path.is_relative_to(root) else os.access(path, mode)
            )

        return MachineView(
            python=PythonFacts(
                version=self.python,
                executable="/venv/bin/python",
                prefix="/venv" if self.venv else "/usr",
                base_prefix="/usr",
                site_packages="/venv/lib/python/site-packages",
                machine=self.machine,
            ),
            root=root,
            environment=self.environment,
            home=root / "home",
            requirements=self.requirements,
            requires_python="<3.14,>=3.10",
            memlock_bytes=self.memlock_bytes,
            run=run,
            which=lambda name: None,
            installed_version=self.packages.get,
            has_module=self.modules.__contains__,
            probe=lambda name: probes.get(name, {"missing": "not asked"}),
            space_bytes=lambda path: self.space_bytes,
            access=access,
            can_listen=lambda: self.listens,
        )


@pytest.fixture
def fake_machine() -> type[FakeMachine]:
    return FakeMachine


@pytest.fixture
def look(tmp_path: Path) -> Callable[[FakeMachine], tuple[MachineView, Hardware]]:
    """Lay a machine out; gives its view and what it is."""

    def lay_out(machine: FakeMachine) -> tuple[MachineView, Hardware]:
        view = machine.view(tmp_path / "root")
        return view, read_hardware(view, view.probe("gpu"))

    (tmp_path / "root").mkdir()
    return lay_out


@pytest.fixture
def gpus() -> dict[str, dict[str, Any]]:
    """Give what the GPU probe says of some GPUs."""
    return {"rtx": dict(RTX_4000), "orin": dict(ORIN), "none": dict(NO_DRIVER)}


@pytest.fixture
def base_packages() -> dict[str, str]:
    return dict(BASE_PACKAGES)


@pytest.fixture
def workstation() -> Callable[..., FakeMachine]:
    return _workstation


@pytest.fixture
def agx_orin() -> Callable[..., FakeMachine]:
    return _agx_orin


def _workstation(**changes: Any) -> FakeMachine:
    """x86, an RTX GPU, TensorRT of pip, everything for the CUDA runtime."""
    described: dict[str, Any] = {
        "files": {"/usr/local/cuda/bin/nvcc": ""},
        "commands": {"/usr/local/cuda/bin/nvcc --version": "Cuda compilation tools, release 13.0, V13.0.48\n"},
        "packages": {**BASE_PACKAGES, "pycuda": "2026.1", "cuda-bindings": "13.0.1", "tensorrt": "10.13.3.9"},
        "modules": frozenset({"av", "pycuda", "tensorrt"}),
        "probes": {"gpu": RTX_4000, "tensorrt": {"version": "10.13.3.9"}, "pycuda": {"cuda": "13.0"}},
    }
    return FakeMachine(**described | changes)


def _agx_orin(**changes: Any) -> FakeMachine:
    """JetPack 6.2, its TensorRT in the system's Python and not seen by the virtual environment."""
    described: dict[str, Any] = {
        "files": {**AGX_ORIN_FILES, "/usr/lib/python3.10/dist-packages/tensorrt/__init__.py": ""},
        "commands": AGX_ORIN_COMMANDS,
        "packages": {**BASE_PACKAGES, "pycuda": "2026.1", "cuda-bindings": "12.6.2"},
        "modules": frozenset({"av", "pycuda"}),
        "probes": {"gpu": ORIN, "pycuda": {"cuda": "12.6"}},
        "python": "3.10.12",
        "machine": "aarch64",
    }
    return FakeMachine(**described | changes)
