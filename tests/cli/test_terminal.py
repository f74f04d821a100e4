"""Terminals that lack our signs: no command may end because of them, and names stay readable."""

from __future__ import annotations

import ast
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import rich.box

from edgeseg.cli.terminal import PLAIN, fit_streams

ROOT = Path(__file__).parents[2]
STRANGE = "größe → 1 €"
Environment = dict[str, str]


@pytest.fixture(scope="module")
def locales(tmp_path_factory: pytest.TempPathFactory, system_program: Callable[..., str]) -> Path:
    """A folder with German locales in character sets of old."""
    folder = tmp_path_factory.mktemp("locales")
    program = system_program("localedef", package="locales")
    for charset in ("ISO-8859-1", "ANSI_X3.4-1968"):
        command = [program, "-i", "de_DE", "-f", charset, folder / f"de_DE.{charset}"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode > 1:  # 1 is a warning
            system_program("the source of a locale", package="locales")
    return folder


@pytest.fixture(params=["ascii", "latin-1", "cp1252", "de_DE.ISO-8859-1", "de_DE.ANSI_X3.4-1968"])
def environment(request: pytest.FixtureRequest) -> Environment:
    """The environment of a process whose streams have this encoding, or whose locale this is."""
    plain = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PYTHONUTF8": "0", "COLUMNS": "100"}
    if request.param.startswith("de_DE"):
        folder = request.getfixturevalue("locales")
        return plain | {"LOCPATH": str(folder), "LC_ALL": request.param, "PYTHONCOERCECLOCALE": "0"}
    return plain | {"LC_ALL": "C.UTF-8", "PYTHONIOENCODING": request.param}


def typed(environment: Environment, *words: object) -> tuple[int, bytes, bytes]:
    """Exit code, stdout and stderr of a command as a user types it."""
    command = [sys.executable, "-m", "edgeseg.cli", *map(str, words)]
    done = subprocess.run(command, env=environment, capture_output=True)
    assert b"a defect of edgeseg" not in done.stderr and b"Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def strange_data(blob_data: Path, tmp_path: Path) -> Path:
    """A data set one of whose images, named so that no old character set has it, lacks its mask."""
    data = shutil.copytree(blob_data, tmp_path / "data")
    image = next((data / "test" / "images").iterdir())
    shutil.copy(image, image.with_name(f"{STRANGE}{image.suffix}"))
    return data


def test_tables_of_words_and_figures(environment: Environment, strange_data: Path) -> None:
    code, out, _ = typed(environment, "models")
    assert code == 0 and b"kvasir-small" in out and b"-----" in out and out.isascii()
    code, out, _ = typed(environment, "data", "inspect", strange_data)
    assert code == 5 and b"-----" in out and re.search(rb"test: image gr.* 1 .*\.png has no mask", out)
    code, out, _ = typed(environment, "data", "inspect", strange_data, "--json")
    assert code == 5 and out.isascii() and "has no mask" in json.loads(out)["problems"][0]


def test_doctor(environment: Environment) -> None:
    code, out, _ = typed(environment, "doctor")
    assert code == 0 and b"onnxruntime" in out and b"-----" in out


def test_a_strange_name_in_an_error_and_in_json(environment: Environment, tmp_path: Path) -> None:
    code, out, err = typed(environment, "inspect", tmp_path / STRANGE, "--json")
    assert code == 5 and json.loads(out) and b"error: " in err
    code, _, err = typed(environment, STRANGE)
    assert code == 2 and b"No such command" in err


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_what_a_stream_lacks_is_written_in_plain_signs(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding, errors="strict"))
    monkeypatch.setattr(sys, "stderr", None)
    fit_streams()
    print("a → b ≤ c ─┼─ 東 \udcff", flush=True)
    assert raw.getvalue() == rb"a -> b <= c -+- \u6771 \udcff" + b"\n"


def test_a_name_that_is_no_text_is_written_in_utf_8_too(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="utf-8"))
    fit_streams()
    print("≤ \udcff", flush=True)
    assert raw.getvalue() == "≤ \\udcff\n".encode()


def strings(path: Path) -> str:
    """Every string constant of a module that is not a docstring."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    constants = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in documentation]
    return "".join(node.value for node in constants if isinstance(node.value, str))


def test_every_sign_that_is_printed_has_a_plain_one() -> None:
    folders = ("edgeseg", "train", "export", "calibration", "runtime")
    modules = [path for folder in folders for path in (ROOT / folder).rglob("*.py") if path.name != "terminal.py"]
    ours = {sign for path in modules for sign in strings(path) if not sign.isascii()}
    boxes = {sign for sign in str(rich.box.SIMPLE_HEAD) + str(rich.box.ROUNDED) if not sign.isascii()}
    assert ours and "°" in ours and "─" in boxes
    assert ours | boxes <= set(PLAIN)
    assert all(plain.isascii() for plain in PLAIN.values())
