"""A reader that has seen enough ends a command without a word, and nothing is half written."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edgeseg.cli.closed_pipe import CLOSED_PIPE, has_no_reader
from edgeseg.images import write_png

EDGESEG = [sys.executable, "-c", "from edgeseg.cli import main; main()"]


def into_closed_pipe(*words: str, errors_too: bool = False) -> tuple[int, str]:
    """Run a command whose stdout has no reader."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        result = subprocess.run(
            [*EDGESEG, *words],
            stdout=writing,
            stderr=writing if errors_too else subprocess.PIPE,
            text=True,
            timeout=120,
            check=False,
        )
    finally:
        os.close(writing)
    return result.returncode, result.stderr or ""


@pytest.mark.parametrize("words", [["inspect"], ["inspect", "--json"]], ids=" ".join)
def test_a_short_answer(tiny_engine: Path, words: list[str]) -> None:
    assert into_closed_pipe(*words, str(tiny_engine)) == (CLOSED_PIPE, "")


def test_help_and_an_answer_that_is_larger_than_the_buffer(tmp_path: Path) -> None:
    for index in range(400):
        folder = tmp_path / "data" / "test"
        write_png(folder / "images" / f"{index:0150d}.png", np.full((4, 4, 3), index % 256, np.uint8))
        write_png(folder / "masks" / f"{index:0150d}.png", np.zeros((4, 4), np.uint8))
    for words in (["live", "--help"], ["data", "inspect", str(tmp_path / "data"), "--json"]):
        code, errors = into_closed_pipe(*words)
        assert code == CLOSED_PIPE and "Traceback" not in errors and "BrokenPipe" not in errors


def test_what_is_written_is_whole_although_nobody_reads_the_words(tiny_engine: Path, tmp_path: Path) -> None:
    write_png(tmp_path / "images" / "a.png", np.zeros((32, 32, 3), np.uint8))
    out = tmp_path / "masks"
    code, _ = into_closed_pipe("run", str(tiny_engine), str(tmp_path / "images"), "--masks", str(out), errors_too=True)
    assert code == CLOSED_PIPE
    assert [path.name for path in out.iterdir()] == ["a.png"]
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_an_error_keeps_its_exit_code_although_nobody_reads_it(tmp_path: Path) -> None:
    assert into_closed_pipe("inspect", str(tmp_path / "nothing"), errors_too=True)[0] == 5


def test_streams_and_their_readers(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream:
        assert not has_no_reader(stream)
        os.close(reading)
        assert has_no_reader(stream)
    with (tmp_path / "file").open("w") as stream:
        assert not has_no_reader(stream)
    assert not has_no_reader(stream) and not has_no_reader(None)
