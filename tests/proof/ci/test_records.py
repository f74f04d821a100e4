"""`edgeseg verify --junit --summary` with the tiny engine."""

from __future__ import annotations

from pathlib import Path

import pytest
from junitparser import JUnitXml

from edgeseg.cli import run
from edgeseg.errors import UsageError
from edgeseg.files import UnwritableError
from edgeseg.proof.ci.records import check_records
from tests.cli.test_verify import call as call
from tests.cli.test_verify import labelled as labelled
from tests.cli.test_verify import shift_bias
from tests.cli.test_verify_clips import clips as clips


def test_the_records_of_a_run(call, tiny_engine: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "github.md"))
    summary, junit = tmp_path / "new" / "summary.md", tmp_path / "new" / "verdict.xml"
    assert call() == 0
    assert not (tmp_path / "github.md").exists(), "what was not asked for is not written"
    assert call("--summary", str(summary), "--junit", str(junit)) == 0
    first, suite = summary.read_text(), next(iter(JUnitXml.fromfile(str(junit))))
    names = [case.name for case in suite]
    assert len(names) == len(set(names)) >= 9 and suite.failures == 0
    shift_bias(tiny_engine, -20)
    assert call("--summary", str(summary), "--junit", str(junit)) == 3
    assert summary.read_text().startswith(first + "\n## ✗ failed"), "a summary is appended to"
    suite = next(iter(JUnitXml.fromfile(str(junit))))
    assert [case.name for case in suite] == names, "the same rules in every run"
    assert [case.name for case in suite if case.is_failure] == ["mean Dice drop", "float32's own masks"]


def test_clips_alone_have_records_too(clips: Path, tiny_engine: Path, tiny_onnx: Path, tmp_path: Path, capsys) -> None:
    junit = tmp_path / "verdict.xml"
    words = ["verify", str(tiny_engine), "--reference", str(tiny_onnx), "--clips", str(clips), "--junit", str(junit)]
    assert run([*words, "--summary", str(tmp_path / "summary.md")]) == 0
    suite = next(iter(JUnitXml.fromfile(str(junit))))
    assert {case.classname for case in suite} == {"edgeseg.verify.clips"} and suite.tests == 9
    assert "| lesions found | 1 of 1 |" in (tmp_path / "summary.md").read_text()


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(UnwritableError, match="cannot write"):
        check_records(tmp_path, None)
    (tmp_path / "file").write_text("")
    with pytest.raises(UnwritableError):
        check_records(None, tmp_path / "file" / "summary.md")
    for junit, summary in (("one", "one"), ("file", None), (None, "file")):
        with pytest.raises(UsageError):
            check_records(junit and tmp_path / junit, summary and tmp_path / summary, None, tmp_path / "file")
