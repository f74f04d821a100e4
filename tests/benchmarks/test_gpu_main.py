"""`python -m benchmarks.gpu`: which engine is measured, and what the exit code says. No section is run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.gpu import __main__ as command
from benchmarks.gpu.real_driver import RealGpu
from edgeseg.artifacts import Conditions
from edgeseg.errors import MissingComponentError

PACKAGE = Path(__file__).parents[2] / "models" / "kvasir-small"


class Sections:
    """Answers for the sections' processes."""

    def __init__(self, runs: tuple[str, ...] = (), growth_bytes: int = 0, failing: tuple[str, ...] = ()) -> None:
        self.runs, self.growth_bytes, self.failing = runs, growth_bytes, failing
        self.engines: dict[str, str] = {}

    def __call__(self, section: str, engine: str, package: Path, limit_s: float) -> dict[str, Any]:
        self.engines[section] = engine
        if section.startswith("probe-"):
            backend = section.removeprefix("probe-")
            return {"backend": backend, "step": "run", "runs": backend in self.runs, "said": "words"}
        if section in self.failing:
            return {"error": "broken"}
        growth = {"device_growth_bytes": self.growth_bytes, "resident_growth_bytes": 0}
        named = {"name": engine, "stand_in": engine == "torch"}
        return {"figures": {"frames": 100_000, **growth}, "engine": named, "conditions": Conditions().model_dump()}


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Runs the command on a made-up GPU with the soak as its only section; gives the exit code and the document."""

    def run(sections: Sections) -> tuple[int, dict[str, Any]]:
        limits = {"probe-tensorrt": 9, "probe-tensorrt-rtx": 9, "soak": 9}
        monkeypatch.setattr(command, "LIMITS_S", limits)
        monkeypatch.setattr(command, "real_gpu", lambda: RealGpu("Made Up", "9.0", "none"))
        monkeypatch.setattr(command, "section_apart", sections)
        code = command.main(["--package", str(PACKAGE), "--out", str(tmp_path)])
        path = tmp_path / "made-up.json"
        return code, json.loads(path.read_text()) if path.exists() else {}

    return run


@pytest.mark.parametrize(
    ("runs", "engine"),
    [((), "torch"), (("tensorrt-rtx",), "tensorrt-rtx"), (("tensorrt", "tensorrt-rtx"), "tensorrt")],
)
def test_torch_stands_in_only_where_no_tensorrt_runs(measured: Any, runs: tuple[str, ...], engine: str) -> None:
    sections = Sections(runs)
    code, document = measured(sections)
    assert code == 0 and sections.engines["soak"] == engine
    assert document["engine"]["stand_in"] is (engine == "torch")
    assert [probe["runs"] for probe in document["probes"]] == [name in runs for name in ("tensorrt", "tensorrt-rtx")]


def test_a_limit_that_is_not_met_is_exit_code_3(measured: Any) -> None:
    code, document = measured(Sections(growth_bytes=1 << 30))
    assert code == 3
    assert [line["verdict"] for line in document["targets"] if line["met"] is not None] == ["NOT MET"]


def test_nothing_measured_writes_nothing(measured: Any) -> None:
    assert measured(Sections(failing=("soak",))) == (1, {})


def test_no_gpu_is_exit_code_4(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def none() -> RealGpu:
        raise MissingComponentError("no GPU")

    monkeypatch.setattr(command, "real_gpu", none)
    assert command.main(["--out", str(tmp_path)]) == 4
    assert not list(tmp_path.iterdir())
