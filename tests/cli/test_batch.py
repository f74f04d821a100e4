"""`edgeseg batch` without Ray: one worker of this process stands in for the crew (tests/runtime/batch has Ray's)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edgeseg import cli
from edgeseg.cli import batch_progress
from edgeseg.runtime.batch.batch_driver import BatchProgress
from tests.clips import NumberedImages, Videos

pytest.importorskip("pyarrow", reason="archives need the extra `cluster`")


@pytest.fixture(autouse=True)
def without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    from edgeseg.runtime.batch.batch_worker import WorkerOptions
    from edgeseg.runtime.batch.crew import LocalCrew

    class Crew(LocalCrew):
        size = 1

        def __init__(self, options: WorkerOptions, workers: int | None, address: str | None) -> None:
            super().__init__(options)

    monkeypatch.setattr("edgeseg.runtime.batch.ray_crew.RayCrew", Crew)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    folder = tmp_path / "archive"
    folder.mkdir()
    Videos.write(folder / "a.mp4", [NumberedImages.draw(number) for number in range(5)])
    (folder / "notes.doc").write_text("words")
    return folder


def batch(*words: object) -> int:
    return cli.run(["batch", *map(str, words)])


def test_a_whole_archive(tiny_engine: Path, archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert batch(tiny_engine, archive, "--out", tmp_path / "out") == 0
    text, said = capsys.readouterr()
    assert "1 of 1 sources: 5 frames, 0 lesions" in text
    assert "passed over 1 .doc" in said
    assert batch(tiny_engine, archive, "--out", tmp_path / "out", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["sources_done_before"], document["clips_done"], document["frames"]) == (1, 0, 5)
    assert "exit_code" not in document


def test_a_source_that_fails_is_told_and_costs_the_exit_code(
    tiny_engine: Path, archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (archive / "b.mp4").write_bytes(b"no video")
    assert batch(tiny_engine, archive, "--out", tmp_path / "out") == 5
    text, said = capsys.readouterr()
    assert "1 of 2 sources" in text and "1 without a result" in text
    assert f"error: {archive / 'b.mp4'} is no video" in said
    assert batch(tiny_engine, archive, "--out", tmp_path / "out", "--json") == 5
    document = json.loads(capsys.readouterr().out)
    assert document["exit_code"] == 5
    assert [failure["name"] for failure in document["failures"]] == [str(archive / "b.mp4")]


@pytest.mark.parametrize(("name", "code"), [("gone.mp4", 5), ("notes.doc", 5), ("*.mov", 5)])
def test_sources_that_are_none(name: str, code: int, tiny_engine: Path, archive: Path, tmp_path: Path) -> None:
    assert batch(tiny_engine, archive / name, "--out", tmp_path / "out") == code
    frames = tmp_path / "out" / "frames"
    assert not frames.exists()


def test_an_engine_that_is_none_and_results_of_another(
    tiny_engine: Path, tiny_onnx: Path, archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert batch(tmp_path / "none.engine", archive, "--out", tmp_path / "out") == 5
    assert not (tmp_path / "out").exists()
    assert batch(tiny_engine, archive, "--out", tmp_path / "out") == 0
    assert batch(tiny_engine, archive, "--out", tmp_path / "out", "--deinterlace", "off") == 6
    assert "choose another --out" in capsys.readouterr().err


def test_a_flag_that_means_nothing(tiny_engine: Path, archive: Path, tmp_path: Path) -> None:
    assert batch(tiny_engine, archive, "--out", tmp_path / "out", "--workers", 0) == 2


def test_the_missing_extra(
    tiny_engine: Path,
    archive: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    assert batch(tiny_engine, archive, "--out", tmp_path / "out") == 4
    assert "pip install 'edgeseg[cluster]'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (59.6, "1 min"), (3 * 3600 + 61, "3 h 1 min"), (90_000, "1 d 1 h"), (86_400 + 5, "1 d 5 s")],
)
def test_times_in_words(seconds: float, words: str) -> None:
    assert batch_progress.duration(seconds) == words


def test_progress_in_a_log(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    now: list[Any] = [0.0]
    monkeypatch.setattr(batch_progress.time, "monotonic", lambda: now[0])
    with batch_progress.batch_progress() as report:
        for now[0] in (30.0, 61.0, 90.0):
            report(BatchProgress(10, 4, 0.5, 0.25, 1000, 20.0))
    assert capsys.readouterr().err == "50.0 %, 4/10 sources, 50.0 frames/s, 40 s left\n"
