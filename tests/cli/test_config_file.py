"""`--config`: the file's values stand where the command line says nothing, and nonsense is refused by name."""

from __future__ import annotations

import json
import typing
from pathlib import Path
from typing import Any, Literal

import cv2
import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from edgeseg import cli
from edgeseg.cli import commands
from edgeseg.cli.config_file import read_config, what_it_must_be
from edgeseg.errors import BadInputError

COMMAND: Any = typer.main.get_command(commands.app)


def test_a_box_starts_from_the_file_alone_and_the_command_line_goes_before_it(
    tiny_onnx: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for index in range(4):
        picture = cv2.merge([cv2.UMat(32, 32, cv2.CV_8U, 40 * index).get()] * 3)
        cv2.imwrite(str(images / f"{index}.png"), picture)
    config = tmp_path / "box.toml"
    lines = [
        f'engine = "{tiny_onnx}"',
        f'source = "{images}"',
        "max-frames = 3",
        f'masks = "{tmp_path / "of-the-file"}"',
        "json = true",
    ]
    config.write_text("\n".join(lines))
    assert cli.run(["run", "--config", str(config)]) == 0
    assert json.loads(capsys.readouterr().out)["frames"] == 3
    assert len(list((tmp_path / "of-the-file").glob("*.png"))) == 3
    for number, before in enumerate((True, False)):
        out = tmp_path / f"of-the-line-{number}"
        said, from_file = ["--max-frames", "2", "--masks", str(out)], ["--config", str(config)]
        assert cli.run(["run", *(said + from_file if before else from_file + said)]) == 0
        assert json.loads(capsys.readouterr().out)["frames"] == 2
        assert len(list(out.glob("*.png"))) == 2


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("sparse = 1", 5, ["sparse, which is not a flag", "spares"]),
        ("config = 'again.toml'", 5, ["config, which is not a flag"]),
        ('spares = "many"', 5, ['spares = "many"', "a whole number"]),
        ("spares = true", 5, ["spares = true", "a whole number"]),
        ('gate = "no"', 5, ['gate = "no"', "true or false"]),
        ("loop = 1", 5, ["true or false"]),
        ('rate = "fast"', 5, ["a number"]),
        ('send-to = "rtsp://a"', 5, ["texts in brackets"]),
        ("send-to = [1]", 5, ["texts in brackets"]),
        ("web = 8080", 5, ["a text in quotation marks"]),
        ('overlay = "pink"', 5, ["contour or fill or heat or off"]),
        ("out = 2026-01-31", 5, ["a text in quotation marks"]),
        ("[page]\nweb = '127.0.0.1:80'", 5, ["page, which is not a flag"]),
        ("spares = 9", 2, ["--spares"]),
        ("pace = ", 5, ["is no TOML"]),
    ],
)
def test_nonsense_is_refused_by_name(
    line: str, code: int, words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "box.toml"
    config.write_text(line)
    assert cli.run(["live", "no-engine", "synthetic:", "--config", str(config)]) == code
    said = capsys.readouterr().err
    assert all(word in said for word in words), said
    assert code == 2 or "edgeseg live --help" in said


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="cannot read"):
        read_config(tmp_path / "none.toml", {}, "live")


CHOICE: Any = Literal["one", "two"]
KINDS = [bool, int, float, str, Path, CHOICE, list[str]]


@given(
    st.sampled_from(KINDS),
    st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text()) | st.sampled_from(["one", "two"]),
)
def test_a_kind_takes_its_own_values_alone(kind: Any, value: Any) -> None:
    own = {
        bool: isinstance(value, bool),
        int: type(value) is int,
        float: type(value) in (int, float),
        str: isinstance(value, str),
        Path: isinstance(value, str),
        CHOICE: value in ("one", "two"),
    }.get(kind, isinstance(value, list))
    assert (what_it_must_be(value, kind) is None) == own
    assert (what_it_must_be(value, kind | None) is None) == own


@pytest.mark.parametrize("command", ["run", "live"])
def test_every_parameter_is_of_a_kind_that_the_file_knows(command: str) -> None:
    for name, kind in typing.get_type_hints(COMMAND.commands[command].callback).items():
        if name != "return":
            assert what_it_must_be(object(), kind) is not None, name
