"""The small inputs that once failed, where they lie beside the repository (EDGESEG_CASES, default ../shared/cases).

Each kind has tests with inputs of its own beside the code that it concerns; these hold the very files.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgeseg.cli import run

CASES = Path(os.environ.get("EDGESEG_CASES", Path(__file__).parents[2].parent / "shared" / "cases"))
Command = Callable[..., tuple[int, Any, str]]


@pytest.fixture(scope="session")
def case() -> Callable[[str], Path]:
    """Give a case's file or folder, or skip the test."""

    def find(name: str) -> Path:
        if not (CASES / name).exists():
            pytest.skip(f"no case {name} in {CASES}; EDGESEG_CASES names the folder")
        return CASES / name

    return find


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str]) -> Command:
    """Run a command with --json; gives its exit code, its document (None without one) and what it said."""

    def call(*arguments: object) -> tuple[int, Any, str]:
        capfd.readouterr()
        code = run([*map(str, arguments), "--json"])
        output = capfd.readouterr()
        return code, json.loads(output.out) if output.out else None, output.err

    return call


@pytest.fixture(scope="session")
def red_engine(case: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An engine that marks what is red: the oracle of pictures and videos."""
    folder = tmp_path_factory.mktemp("red")
    assert run(["import-onnx", str(case("red-network/red_raw.onnx")), "--out", str(folder / "red.onnx")]) == 0
    engine = folder / "red.engine"
    assert run(["build-engine", str(folder / "red.onnx"), "--precision", "fp32", "--out", str(engine)]) == 0
    return engine
