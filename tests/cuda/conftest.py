"""These tests run on a test double of the CUDA driver, in a pytest process of their own: libcuda is one a process.

EDGESEG_CUDA_DOUBLE names the folder that tests/cuda_double/build.sh has filled; without it, or beside a real driver,
they skip. Nothing here says anything about speed.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edgeseg.artifacts import EngineArtifact
from edgeseg.cli import run as edgeseg
from edgeseg.runtime.passport.passports import passport_path

FOLDER = Path(__file__).parent


sys.path.insert(0, str(FOLDER.parent / "cuda_double"))
from loading import load_double  # noqa: E402

REASON = load_double()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if REASON is not None:
        for item in items:
            if FOLDER in item.path.parents:
                item.add_marker(pytest.mark.skip(reason=REASON))


class Double:
    """The double's control calls."""

    def __init__(self) -> None:
        self._library: Any = ctypes.CDLL("libcuda.so.1")
        for name in ("count", "live_allocs", "live_bytes", "live_handles"):
            getattr(self._library, f"cudadouble_{name}").restype = ctypes.c_long
        self._lost = self._held()

    def faults(self, spec: str) -> None:
        """Which uses of which calls and operations fail from now on; see tests/cuda_double/README.md."""
        self._library.cudadouble_faults(spec.encode())

    def set(self, name: str, value: int) -> None:
        """A setting, without its prefix and in lower case."""
        assert self._library.cudadouble_set(name.encode(), ctypes.c_long(value))

    def count(self, *calls: str) -> int:
        """How often the calls were made."""
        return sum(self._library.cudadouble_count(call.encode()) for call in calls)

    def heal(self) -> None:
        """Undo a sticky error, which on a GPU only a new process does."""
        self._library.cudadouble_heal()

    def live(self) -> tuple[int, int]:
        """Allocations, and other handles (registered memory, streams, events, modules, graphs), not given back.

        Without those that were there before: a sticky error leaves some, for the process to take along.
        """
        allocations, handles = self._held()
        return allocations - self._lost[0], handles - self._lost[1]

    def _held(self) -> tuple[int, int]:
        return self._library.cudadouble_live_allocs(), self._library.cudadouble_live_handles()


@pytest.fixture
def double() -> Iterator[Double]:
    """The double with its settings reset before and after."""
    control = Double()
    _reset(control)
    yield control
    _reset(control)


def _reset(control: Double) -> None:
    control.faults("")
    control.heal()
    defaults = {"delay_us": 0, "seed": 0, "lock": 0, "integrated": 0, "devices": 1, "mem_mb": 4096}
    for name, value in defaults.items():
        control.set(name, value)


@pytest.fixture
def standin(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """`open_standin` of a module that spawned processes can import too."""
    monkeypatch.syspath_prepend(FOLDER)
    import standin_engine

    return standin_engine.open_standin


@pytest.fixture
def library(double: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """The stand-ins for TensorRT and TensorRT-RTX instead of the packages; the file that their calls are noted in."""
    for folder in (FOLDER, FOLDER / "standins"):
        monkeypatch.syspath_prepend(folder)
    for name in ("tensorrt", "tensorrt_rtx"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    log = tmp_path / "calls.log"
    monkeypatch.setenv("EDGESEG_STANDIN_LOG", str(log))
    monkeypatch.setenv("XDG_CACHE_HOME", os.environ["XDG_CACHE_HOME"])
    yield log
    for name in ("tensorrt", "tensorrt_rtx"):
        sys.modules.pop(name, None)


@pytest.fixture
def build(library: Path, small_onnx: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Path]:
    """`edgeseg build-engine` of the small network; a passport may be changed afterwards."""

    def command(backend: str = "tensorrt", *flags: str, **changes: Any) -> Path:
        out = tmp_path / "engines" / f"{backend}.engine"
        words = ["build-engine", str(small_onnx), "--precision", "fp32", "--backend", backend, "--out", str(out)]
        assert edgeseg([*words, *flags]) == 0
        capsys.readouterr()
        passport = EngineArtifact.read(passport_path(out))
        assert passport.backend_version.endswith("+standin")
        if backend == "tensorrt-rtx":  # the double is of compute capability 8.7 and has no driver file
            binding = passport.binding.model_copy(update={"compute_capabilities": ("8.7",)})
            changes = {"binding": binding} | changes
        passport.model_copy(update=changes).write(passport_path(out))
        return out

    return command


@pytest.fixture
def parent(double: Any) -> Callable[[], int]:
    """How often this process has initialised CUDA."""
    return lambda: int(double.count("cuInit"))
