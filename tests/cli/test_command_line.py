import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import typer

import edgeseg
from edgeseg.cli import commands, run
from edgeseg.cli.once import OnceCommand

COMMANDS = (
    "demo",
    "doctor",
    "data",
    "train",
    "evaluate",
    "export",
    "import-onnx",
    "calibrate",
    "build-engine",
    "inspect",
    "run",
    "live",
    "batch",
    "bench",
    "verify",
    "package",
    "models",
    "keys",
    "sign",
    "verify-signature",
)


def test_help_lists_what_can_be_done(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    text = capsys.readouterr().out
    for command in COMMANDS:
        assert f" {command} " in text


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([command, "--help"]) == 0
    assert "Usage: edgeseg" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.strip() == edgeseg.__version__


def test_help_imports_nothing_heavy() -> None:
    """These imports would make `edgeseg --help` slow; its time is a figure in benchmarks, not here."""
    heavy = {"torch", "onnx", "onnxruntime", "cv2", "av", "numpy", "pydantic", "jinja2", "tensorrt_rtx", "kornia"}
    code = f"import sys, edgeseg.cli; edgeseg.cli.run(['--help']); print('HEAVY', sorted({heavy!r} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip().endswith("HEAVY []")


@pytest.mark.parametrize(
    "arguments",
    [
        ["build-engine", "m.onnx", "--precision", "int4"],
        ["build-engine", "m.onnx", "--backend", "no-such"],
        ["build-engine"],
        ["nonsense"],
        ["run", "a.engine"],
        ["calibrate", "m.onnx", "--data", ".", "--out", "x", "--images", "0"],
    ],
)
def test_usage_errors_are_exit_code_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(arguments) == 2
    captured = capsys.readouterr()
    assert "Usage" in captured.err
    assert captured.out == ""
    assert list(tmp_path.iterdir()) == []
    assert run([*arguments, "--json"]) == 2
    document = json.loads(capsys.readouterr().out)
    assert (document["error"], document["exit_code"]) == ("UsageError", 2)


@pytest.mark.parametrize(
    ("words", "flag"),
    [
        (["evaluate", "run", "data", "--negatives", "a", "--threshold", "0.5", "--negatives", "b"], "--negatives"),
        (["data", "inspect", "nowhere", "--pictures", "2", "--pictures=3"], "--pictures"),
        (["calibrate", "m.onnx", "--data", "d", "--out", "o", "--method", "max", "--method", "mse"], "--method"),
    ],
)
def test_a_second_value_of_a_flag_does_not_go_unnoticed(
    words: list[str], flag: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(words) == 5, "nothing of it is there"
    said = capsys.readouterr().err
    assert f"{flag} takes one value and was given 2 times: the last one counts" in said
    assert said.count("takes one value") == 1


def test_every_command_minds_it() -> None:
    def leaves(command: Any) -> list[Any]:
        inner = getattr(command, "commands", None)
        return [command] if inner is None else [leaf for child in inner.values() for leaf in leaves(child)]

    assert all(isinstance(leaf, OnceCommand) for leaf in leaves(typer.main.get_command(commands.app)))


def test_an_error_is_a_document_with_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", "nowhere.engine", "--json"]) == 5
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert document["exit_code"] == 5
    assert "nowhere.engine" in document["what"]
    assert captured.err.startswith("error: ")


def test_a_defect_of_ours_is_one_line_unless_debug(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(path: Path) -> None:
        raise ZeroDivisionError("inside")

    monkeypatch.setattr("edgeseg.artifact_text.describe", broken)
    assert run(["inspect", "x"]) == 1
    assert "Traceback" not in (quiet := capsys.readouterr().err)
    assert "ZeroDivisionError: inside" in quiet
    assert run(["inspect", "x", "--json"]) == 1
    assert "ZeroDivisionError: inside" in json.loads(capsys.readouterr().out)["what"]
    assert run(["inspect", "x"], debug=True) == 1
    assert "Traceback" in capsys.readouterr().err


def test_too_little_memory_is_no_defect_of_ours(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full() -> None:
        raise MemoryError("Unable to allocate 96.0 GiB")

    monkeypatch.setattr("edgeseg.packages.model_folders", full)
    assert run(["models", "--json"]) == 4
    assert json.loads(capsys.readouterr().out)["found"] == "Unable to allocate 96.0 GiB"


def test_ctrl_c_is_130(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(path: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("edgeseg.artifact_text.describe", interrupted)
    assert run(["inspect", "x"]) == 130
    assert capsys.readouterr().err.strip() == "stopped"


def test_the_installed_program_takes_debug_anywhere() -> None:
    program = Path(sys.executable).with_name("edgeseg")
    if not program.exists():
        pytest.skip("the edgeseg program is not installed beside this Python")
    result = subprocess.run(
        [program, "inspect", "nowhere.onnx", "--debug"], capture_output=True, text=True, check=False, env=os.environ
    )
    assert result.returncode == 5
    assert "Traceback" in result.stderr


STOPPED = """
import atexit, ctypes, threading, time
from edgeseg import cli
libc = ctypes.CDLL(None)
libc.__cxa_atexit(ctypes.cast(libc.abort, ctypes.c_void_p), None, None)
def run(*_):
    atexit.register(print, "tidied up")
    threading.Thread(target=lambda: (time.sleep(0.2), print("thread ended"))).start()
    return cli.TERMINATED
cli.run = run
cli.main()
"""


def test_a_stopped_process_ends_before_the_libraries_destructors() -> None:
    """They abort over native threads that are still at work: a stopped training ended by SIGABRT now and then."""
    ended = subprocess.run([sys.executable, "-c", STOPPED], capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout) == (143, "thread ended\ntidied up\n"), ended.stderr


def test_sigterm_takes_away_what_is_half_written(tmp_path: Path) -> None:
    code = "import edgeseg.cli, sys; sys.argv[0] = 'edgeseg'; edgeseg.cli.main()"
    arguments = ["data", "synth", "--out", str(tmp_path / "made" / "data"), "--train", "5000"]
    process = subprocess.Popen([sys.executable, "-c", code, *arguments], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("made/.data-*/train/images/*")):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    process.terminate()
    assert process.wait(30) == 143
    assert list(tmp_path.iterdir()) == []
