"""The guide names what is there: commands with their options, files, extras."""

import re
import shlex
import sys
from pathlib import Path

import pytest
import typer

from edgeseg.cli import commands

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "docs" / "guide-jetson-igx-rtx.md", ROOT / "docker" / "README.md", ROOT / "docs" / "live.md"]
TEXT = {path: path.read_text() for path in DOCUMENTS}


def command_lines(text: str) -> list[list[str]]:
    """The words of each edgeseg command, from indented blocks and inline code."""
    blocks = re.findall(r"^ {4}(?!.*docker run)(edgeseg .*)$", text, re.MULTILINE)
    inline = re.findall(r"`(edgeseg [^`]*)`", text)
    return [shlex.split(line.split("#")[0]) for line in blocks + inline]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_commands_and_their_options_exist(path: Path) -> None:
    group = typer.main.get_command(commands.app)
    lines = command_lines(TEXT[path])
    assert lines
    for words in lines:
        command = group.commands[words[1]]  # type: ignore[attr-defined]
        options = {name for parameter in command.params for name in parameter.opts}
        for word in words[2:]:
            assert not word.startswith("--") or word in options, words


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_files_that_are_named_exist(path: Path) -> None:
    for name in re.findall(r"(?:docker|models)/[\w./-]*\w", TEXT[path].replace("nvidia-docker/", "")):
        assert (ROOT / name).exists(), name


def test_extras_that_are_named_exist() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = {
        extra for text in TEXT.values() for match in re.findall(r"\.\[([\w,]+)\]", text) for extra in match.split(",")
    }
    assert {"cuda12", "cuda13", "rtx"} <= named <= set(extras)


def test_the_guide_says_that_it_was_not_tried_and_names_sources() -> None:
    text = TEXT[DOCUMENTS[0]]
    assert "Nothing on this page was tried" in text.split("\n\n")[1]
    assert len(re.findall(r"<https://docs\.nvidia\.com/", text)) >= 5
