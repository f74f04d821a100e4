"""The steps of the example workflow run as plain scripts, one after another, on a tiny network."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from junitparser import JUnitXml

sys.path.insert(0, str(Path(__file__).parent))
from documents import Command
from test_documented_commands import parsed

from edgeseg.cli import run
from edgeseg.images import write_png

EXAMPLE = Path(__file__).parents[2] / "docs" / "how-to" / "ci"
STEPS = [
    step for step in yaml.safe_load((EXAMPLE / "workflow.yml").read_text())["jobs"]["verify"]["steps"] if "run" in step
]


def test_its_commands_parse() -> None:
    lines = "\n".join(step["run"] for step in STEPS).replace("\\\n", "").splitlines()
    typed = [shlex.split(line) for line in lines if line.startswith("edgeseg ")]
    assert [words[1] for words in typed] == ["build-engine", "verify", "history"]
    for words in typed:
        parsed(Command(EXAMPLE / "workflow.yml", 0, tuple(words), True))


@pytest.fixture
def checkout(tmp_path: Path, tiny_onnx: Path, capsys) -> Path:
    """A checkout as the workflow expects it: a network, images, a protocol, a former verdict and the suite."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    shutil.copy(tiny_onnx, folder / "model.onnx")
    shutil.copy(EXAMPLE / "test_engine.py", folder)
    for index in range(8):
        frame = np.full((32, 32, 3), 20 + index, np.uint8)
        frame[:8] = 230
        write_png(folder / "DATA" / "test" / "images" / f"{index}.png", frame)
        write_png(folder / "DATA" / "test" / "masks" / f"{index}.png", np.uint8(frame[..., 0] > 100) * 255)
    words = ["--data", str(folder / "DATA"), "--max-dice-drop", "0.001", "--max-lost-polyps", "0"]
    assert run(["protocol", "--out", str(folder / "protocol.toml"), "--by", "the clinic", *words]) == 0
    return folder


@pytest.mark.long
def test_its_steps_run(checkout: Path, tiny_engine: Path, tiny_onnx: Path, tmp_path: Path, capsys) -> None:
    former = ["verify", str(tiny_engine), "--reference", str(tiny_onnx), "--data", str(checkout / "DATA")]
    assert run([*former, "--report", str(tmp_path / "former")]) == 0
    (checkout / "history").mkdir()
    shutil.copy(tmp_path / "former" / "verdict.json", checkout / "history" / "0.1.json")
    (checkout / "pytest.ini").write_text("[pytest]\n")
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
    }
    assert [step["name"] for step in STEPS] == ["Install", "Build", "Verify", "Suite", "History"]
    for step in STEPS[1:]:
        words = ["bash", "-e", "-o", "pipefail", "-c", step["run"]]
        done = subprocess.run(words, cwd=checkout, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{step['name']}: {done.stdout}{done.stderr}"
    assert "## ✓ passed" in (tmp_path / "summary.md").read_text()
    assert "| kept |" in (tmp_path / "summary.md").read_text()
    (verdict,), (suite,) = (JUnitXml.fromfile(str(checkout / name)) for name in ("verdict.xml", "suite.xml"))
    assert (verdict.failures, suite.tests, suite.failures, suite.skipped) == (0, 4, 0, 0)
    assert "2 verdicts" in (checkout / "proof" / "history.html").read_text()
