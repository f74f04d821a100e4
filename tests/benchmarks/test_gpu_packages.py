"""ci/gpu_packages.py: which packages `make gpu` takes, and from where. pip itself is not run."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

TAG = f"cp{sys.version_info[0]}{sys.version_info[1]}"
MANYLINUX = "manylinux2014_x86_64.manylinux_2_17_x86_64"


@pytest.fixture
def gpu_packages(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "ci")
    monkeypatch.setattr(sys, "path", list(sys.path))
    return importlib.import_module("gpu_packages")


class Steps:
    """Notes the steps and answers with an exit code."""

    def __init__(self, **codes: int) -> None:
        self.codes, self.commands = codes, list[tuple[str, Sequence[str]]]()

    def __call__(self, name: str, command: Sequence[str], limit_s: float, **more: str) -> int:
        self.commands.append((name, command))
        return self.codes.get(name.replace(" ", "_"), 0)

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.commands]


def test_wheels_of_other_pythons_and_machines_are_left_out(gpu_packages: Any) -> None:
    mine = ["mako-1-py3-none-any.whl", f"pydantic_core-2-{TAG}-{TAG}-{MANYLINUX}.whl"]
    mine += ["tool-1-py3-none-manylinux_2_28_x86_64.whl", "x-1-cp38-abi3-manylinux_2_28_x86_64.whl"]
    others = [
        f"pydantic_core-2-cp27-cp27-{MANYLINUX}.whl",
        f"a-1-{TAG}-{TAG}-linux_aarch64.whl",
        "old-1-py2-none-any.whl",
    ]
    assert gpu_packages.compatible([*mine, *others], "x86_64") == sorted(mine)
    assert gpu_packages.compatible([*mine, *others], "aarch64") == [others[1], mine[0]]


@pytest.mark.parametrize(
    ("cuda", "wanted"),
    [(12060, "cuda-bindings>=12.6,<13"), (13000, "cuda-bindings>=13,<14"), (None, "cuda-bindings>=13,<14")],
)
def test_cuda_bindings_follow_the_drivers_cuda(gpu_packages: Any, cuda: int | None, wanted: str) -> None:
    assert gpu_packages.cuda_bindings_for(cuda) == wanted


def test_only_what_is_missing_is_asked_for(gpu_packages: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = Steps()
    monkeypatch.setattr(gpu_packages, "is_there", lambda module: module not in ("mako", "cuda.bindings"))
    monkeypatch.setattr(gpu_packages, "driver_cuda", lambda: 12060)
    assert gpu_packages.Packages(tmp_path, [], steps).install()
    ((_, command),) = steps.commands
    assert [part for part in command if part.startswith(("mako", "cuda"))] == ["cuda-bindings>=12.6,<13", "mako"]
    assert "numpy==" in (tmp_path / "held.txt").read_text(), "what is here must stay as it is"


def test_what_was_brought_along_comes_first_and_without_the_index(
    gpu_packages: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mako-1-py3-none-any.whl").touch()
    steps = Steps()
    monkeypatch.setattr(gpu_packages, "is_there", lambda module: True)
    assert gpu_packages.Packages(tmp_path, [tmp_path], steps).install()
    ((name, command),) = steps.commands
    assert name == "install wheels" and "--no-index" in command and str(tmp_path / "mako-1-py3-none-any.whl") in command


def test_pycuda_is_built_only_where_it_does_not_load(gpu_packages: Any, tmp_path: Path) -> None:
    loading = Steps()
    assert gpu_packages.Packages(tmp_path, [], loading).pycuda()
    assert loading.names == ["pycuda loads"]
    (tmp_path / "pycuda-2026.1.tar.gz").touch()
    failing = Steps(pycuda_loads=1, build_pycuda=1)
    assert not gpu_packages.Packages(tmp_path, [tmp_path], failing).pycuda()
    assert failing.names == ["pycuda loads", "build pycuda"]
    build = failing.commands[-1][1]
    assert "--no-build-isolation" in build and str(tmp_path / "pycuda-2026.1.tar.gz") in build
