"""ci/gpu.py, the command behind `make gpu`, but for what only a GPU shows."""

from __future__ import annotations

import importlib.util
import sys
import time
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "ci" / "gpu.py"


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(SCRIPT.parent)
    spec = importlib.util.spec_from_file_location("gpu_command", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "WORK", tmp_path)
    monkeypatch.setattr(module, "LOG", tmp_path / "gpu.log")
    monkeypatch.setattr(module, "JUNIT", tmp_path / "tests.xml")
    monkeypatch.setattr(module, "RESULTS", tmp_path / "results")
    (tmp_path / "gpu.log").touch()
    return module


def test_a_step_that_hangs_is_ended_and_logged(command: Any) -> None:
    started_s = time.monotonic()
    code = command._step(
        "sleep", [sys.executable, "-c", "print('begun', flush=True); import time; time.sleep(60)"], 2.0
    )
    assert code == 124 and time.monotonic() - started_s < 30
    log = command.LOG.read_text()
    assert "begun" in log and "not done in time" in log


def test_a_failing_step_gives_its_exit_code_and_no_time_runs_nothing(command: Any) -> None:
    assert command._step("fail", [sys.executable, "-c", "raise SystemExit(3)"], 60.0) == 3
    assert command._step("late", [sys.executable, "-c", "raise SystemExit(3)"], -1.0) == 124


def test_without_a_gpu_nothing_begins(command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "_no_gpu", lambda: "none")
    monkeypatch.setattr(command, "_step", lambda *_, **__: pytest.fail("a step was run"))
    assert command.main([]) == 4


@pytest.mark.parametrize("broken", ["tests", "benchmarks"])
def test_what_fails_is_said_and_the_rest_runs(
    command: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, broken: str, capsys: Any
) -> None:
    ran: list[str] = []

    def step(name: str, command: Any, limit_s: float, **more: str) -> int:
        ran.append(name)
        return int(name == broken)

    monkeypatch.setattr(command, "_no_gpu", lambda: None)
    monkeypatch.setattr(command, "_step", step)
    monkeypatch.setattr(command.Packages, "install", lambda packages: True)
    monkeypatch.setenv("OUT", str(tmp_path / "out"))
    assert command.main([]) == 1
    assert ran == ["pycuda loads", "tests", "benchmarks"]
    assert f"FAILED: {broken}" in capsys.readouterr().out
    assert (tmp_path / "out" / "gpu.log").is_file()


def test_a_limit_that_is_not_met_shows_in_the_exit_code(
    command: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(command, "_no_gpu", lambda: None)
    monkeypatch.setattr(command, "_step", lambda name, *_, **__: 3 if name == "benchmarks" else 0)
    monkeypatch.setattr(command.Packages, "install", lambda packages: True)
    assert command.main([]) == 3
    assert "a limit NOT MET" in capsys.readouterr().out


def test_the_report_of_pytest_in_a_line(command: Any) -> None:
    assert "ended early" in command._test_summary(command.JUNIT)
    command.JUNIT.write_text('<testsuites><testsuite tests="10" failures="1" errors="1" skipped="3"/></testsuites>')
    assert command._test_summary(command.JUNIT) == "5 passed, 2 failed, 3 skipped"
