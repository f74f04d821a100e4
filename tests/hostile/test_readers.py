"""Every reader takes a few hostile files for what they are; `python -m benchmarks.fuzz` tries a hundred thousand."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies as st

from benchmarks.fuzz import __main__ as fuzzing
from benchmarks.fuzz.cases import ACCEPTED, FINDING, lay_out
from benchmarks.fuzz.hostile_bytes import mutated_bytes
from benchmarks.fuzz.parsers import PARSERS, Parser
from edgeseg.errors import EdgesegError
from edgeseg.optional import is_installed

NEED_TORCH = ("recipe", "study", "study journal", "run.json", "history.csv", "checkpoint")
SLOW = ("foreign ONNX", "engine, signed again", "COCO", "LabelMe", "YOLO", "video", "DICOM", "data set by table")
QUICK_CASES, SLOW_CASES, SEED = 12, 3, 11
NEED_SIGNING = ("signable", "envelope", "public key", "private key")
missing = (() if is_installed("torch") else NEED_TORCH) + (() if is_installed("securesystemslib") else NEED_SIGNING)
usable = [parser for parser in PARSERS if parser.name not in missing]
DOCUMENTS = [parser for parser in usable if Path(parser.file).suffix == ".json" and "/" not in parser.file]


@pytest.mark.timeout(60)
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("parser", usable, ids=lambda parser: parser.name)
def test_a_hostile_file_is_read_rightly_or_refused(parser: Parser, tmp_path: Path) -> None:
    seeds = list(parser.seeds())
    for index in range(SLOW_CASES if parser.name in SLOW else QUICK_CASES):
        path = lay_out(parser, index, SEED, tmp_path / "case", seeds)
        try:
            parser.parse(path)
        except EdgesegError as error:
            assert error.exit_code > 1, f"case {index}: {error}"
            assert index or parser.name == "DICOM", f"a sound file was refused: {error}"
        except Exception as error:
            raise AssertionError(f"case {index} of {parser.name}") from error


@pytest.mark.parametrize("parser", DOCUMENTS, ids=lambda parser: parser.name)
@hypothesis.settings(max_examples=10)
@hypothesis.given(data=st.binary(max_size=300) | st.text(max_size=100).map(str.encode))
def test_anything_in_place_of_a_document_is_refused(
    parser: Parser, data: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("any") / parser.file
    path.write_bytes(data)
    try:
        parser.parse(path)
    except EdgesegError as error:
        assert error.exit_code > 1
    else:
        raise AssertionError(f"{data!r} was taken")


def test_a_case_is_the_same_for_the_same_seed(tmp_path: Path) -> None:
    parser = PARSERS[0]
    seeds = list(parser.seeds())
    first, again, other = (
        lay_out(parser, 7, seed, tmp_path / f"{number}", seeds).read_bytes() for number, seed in enumerate((1, 1, 2))
    )
    assert first == again != other


def test_mutated_bytes_differ_and_stay_small() -> None:
    rng, data = random.Random(0), bytes(range(256)) * 4
    mutated = [mutated_bytes(data, rng) for _ in range(200)]
    assert sum(one != data for one in mutated) > 180
    assert max(map(len, mutated)) < 100 * len(data)


BROKEN = """
import os, socket, sys
from pathlib import Path
import benchmarks.fuzz.cases as cases
from benchmarks.fuzz.parsers import Parser

def parse(path):
    act = path.read_bytes()
    if act == b"write":
        Path(sys.argv[5]).parent.joinpath("elsewhere").write_text("x")
    elif act == b"connect":
        socket.create_connection(("127.0.0.1", 9), 1)
    elif act == b"run":
        os.system("true")
    elif act == b"crash":
        os.abort()
    elif act == b"hang":
        while True:
            pass
    elif act == b"memory":
        bytearray(2**33)
    elif act == b"raise":
        raise KeyError("a")

ACTS = [b"fine", b"write", b"connect", b"run", b"crash", b"hang", b"memory", b"raise"]
acts = iter(ACTS[int(sys.argv[3]):] if int(sys.argv[3]) else ACTS)
cases.named = lambda name: Parser("broken", "a", lambda: [b"fine"], lambda data, rng: next(acts), parse)
cases.UNUSUAL = 0.0
if not int(sys.argv[3]):
    next(acts)
cases.main()
"""


@pytest.mark.long
def test_whatever_a_reader_does_wrong_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken.py").write_text(BROKEN)
    popen = subprocess.Popen

    def broken(command: list[str], **options: object) -> subprocess.Popen[bytes]:
        assert command[1:3] == ["-m", "benchmarks.fuzz.cases"]
        return popen([sys.executable, str(tmp_path / "broken.py"), *command[3:]], **options)  # type: ignore[call-overload]

    monkeypatch.setattr(subprocess, "Popen", broken)
    monkeypatch.setattr(fuzzing, "HANG_S", 2.0)
    monkeypatch.setenv("PYTHONPATH", str(Path.cwd()))
    outcomes, peak = fuzzing.tried(PARSERS[0], 8, 0, tmp_path)
    assert outcomes.total() == 8 and outcomes[ACCEPTED] == 1 and peak > 0
    words = " ".join(outcome for outcome in outcomes if outcome.startswith(FINDING))
    for sign in ("open /", "socket.", "os.system", "ended with -6", "no answer", "MemoryError", "KeyError"):
        assert sign in words
