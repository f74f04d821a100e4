"""Every `edgeseg ...` line of the documents parses; the cheap ones and the README's way from data to verdict run."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

sys.path.insert(0, str(Path(__file__).parent))
from documents import CARDS, DOCUMENTS, ROOT, Command, commands_of

from edgeseg.cli import commands, run

COMMANDS = [command for path in [*DOCUMENTS, *CARDS] for command in commands_of(path)]
README = [command for command in commands_of(ROOT / "README.md") if command.is_whole]
SIX = ["data inspect", "train", "export", "calibrate", "build-engine", "verify"]
TINY = (
    "--set=model.architecture=unet",
    "--set=model.base_width=4",
    "--set=model.depth=2",
    "--set=model.height=32",
    "--set=model.width=32",
    "--set=training.epochs=1",
    "--set=training.batch_size=4",
)


def parsed(command: Command) -> Any:
    """The context of the innermost command, its parameters converted and checked; nothing runs.

    Raises:
        Exception: A usage error of click, of whichever click typer brings.
    """
    here: Any = typer.main.get_command(commands.app)
    words, context = list(command.words[1:]), None
    while hasattr(here, "commands") and words and not words[0].startswith("-"):
        assert words[0] in here.commands, f"{command}: there is no command {words[0]}"
        here, words = here.commands[words[0]], words[1:]
    if hasattr(here, "commands"):
        assert all(any(word in parameter.opts for parameter in here.params) for word in words if word != "--help")
        return None
    if "--config" in words:  # the file lies on another machine
        assert any("--config" in parameter.opts for parameter in here.params)
        return None
    try:
        context = here.make_context(command.words[1], words)
    except Exception as error:
        if command.is_whole or type(error).__name__ not in ("MissingParameter", "BadOptionUsage"):
            raise
    return context


def test_there_are_commands_to_check() -> None:
    assert len([command for command in COMMANDS if command.is_whole]) > 40
    assert {command.words[1] for command in COMMANDS} >= {"run", "verify", "bench", "doctor", "import-onnx", "package"}


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_it_parses(command: Command) -> None:
    try:
        context = parsed(command)
    except Exception as error:
        pytest.fail(f"{command}: {getattr(error, 'message', error)}")
    if context is not None and context.info_name == "train":
        from edgeseg.train.recipe import read_recipe

        recipe = context.params["recipe"]
        read_recipe(None if recipe is None else ROOT / recipe, context.params["set_"] or [])


def test_a_wrong_line_is_noticed() -> None:
    for text in (
        "edgeseg fly DATA",
        "edgeseg evaluate MODEL --colour red",
        "edgeseg build-engine MODEL --precision int4",
        "edgeseg bench ENGINE --lanes",
        "edgeseg export RUN",
    ):
        with pytest.raises((Exception, AssertionError)):
            parsed(Command(ROOT, 0, tuple(text.split()), True))


@pytest.mark.parametrize("name", sorted({command.words[1] for command in COMMANDS} - {"--help"}))
def test_help_is_there(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([name, "--help"]) == 0
    assert "Usage: edgeseg" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [("models",), ("inspect", "models/kvasir-small"), ("inspect", "models/kvasir-ultra/model.onnx"), ("doctor",)],
)
def test_cheap_ones_run(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert words[0] in {command.words[1] for command in COMMANDS}
    monkeypatch.chdir(ROOT)
    assert run([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)


def test_the_readme_goes_from_data_to_a_verdict_in_six_commands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch", reason="training needs the extra `train`")
    names = [" ".join(command.words[1 : 3 if command.words[1] == "data" else 2]) for command in README]
    first = names.index(SIX[0])
    assert names[first : first + 6] == SIX
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipes").symlink_to(ROOT / "recipes")
    pictures = ["--train", "8", "--validation", "4", "--test", "8", "--height", "64", "--width", "64"]
    clip = ["--clip", "colonoscopy.mp4", "--clip-frames", "3", "--clip-height", "64", "--clip-width", "64"]
    assert run(["data", "synth", "--out", "DATA", *pictures, *clip]) == 0
    smaller = [
        f"--set=model.{setting}" if "=" in setting else f"--set=model.architecture={setting}" for setting in TINY
    ]
    for command in README[first : first + 5]:
        smaller = list(TINY) if command.words[1] == "train" else []
        assert run([*command.words[1:], *smaller]) == 0, command
    capsys.readouterr()
    code = run([*README[first + 5].words[1:], "--json"])
    verdict = json.loads(capsys.readouterr().out)
    assert code == (0 if verdict["passed"] is True else 3)
    assert verdict["passed"] in (True, "undecided"), "one epoch finds little, and INT8 loses nothing of that"
    assert (tmp_path / "proof" / "verdict.html").is_file()
    (video,) = (command for command in README if "colonoscopy.mp4" in command.words)
    assert run(list(video.words[1:])) == 0
    assert len(list((tmp_path / "masks").iterdir())) == 3


def test_the_readme_builds_a_shipped_network(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (command,) = (command for command in README if re.search("kvasir-", command.words[2]))
    monkeypatch.chdir(tmp_path)
    assert run([*command.words[1:], "--json"]) == 0
    assert Path(json.loads(capsys.readouterr().out)["engine"]).is_file()
