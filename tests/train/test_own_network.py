"""A network of the user's own: trained, exported, built in INT8 and held against PyTorch; and every refusal."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest

from edgeseg.cli import run
from edgeseg.errors import BadInputError, MismatchError
from edgeseg.frames import resize_to_network
from edgeseg.images import read_rgb
from edgeseg.runtime.opener.engine_from_file import open_engine
from edgeseg.train.architectures.registry import network_from_recipe
from edgeseg.train.predictor import open_run
from edgeseg.train.recipe import read_recipe, recipe_to_toml

OWN = "python:my_network:network"
SOURCE = """
import torch
from torch import nn


class Residual(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width), nn.SiLU(),
                                  nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width))

    def forward(self, x):
        return nn.functional.silu(x + self.body(x))


def network(width=8):
    return nn.Sequential(
        nn.Conv2d(3, width, 3, stride=2, padding=1), nn.BatchNorm2d(width), nn.SiLU(),
        Residual(width),
        nn.ConvTranspose2d(width, width, 2, stride=2), nn.BatchNorm2d(width), nn.SiLU(),
        nn.Conv2d(width, 1, 1),
    )


def pair():
    class Two(nn.Conv2d):
        def forward(self, x):
            y = super().forward(x)
            return y, y
    return Two(3, 1, 1)


def text_pair():
    class Two(nn.Conv2d):
        def forward(self, x):
            return super().forward(x), "aux"
    return Two(3, 1, 1)


def half():
    return nn.Conv2d(3, 1, 3, stride=2, padding=1)


def needs_more():
    return nn.Linear(7, 1)


def frozen():
    return nn.Conv2d(3, 1, 1).requires_grad_(False)


def text():
    return "no network"


def broken():
    raise RuntimeError("no such weights")


constant = 3
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, with my_network.py in it."""
    (tmp_path / "my_network.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "my_network", raising=False)
    yield tmp_path
    sys.modules.pop("my_network", None)


def own_recipe(folder: Path, architecture: str = OWN) -> Path:
    path = folder / "own.toml"
    path.write_text(
        f'[model]\narchitecture = "{architecture}"\nheight = 32\nwidth = 32\narguments = {{ width = 6 }}\n'
        "[training]\nepochs = 2\nbatch_size = 4\n"
    )
    return path


@pytest.fixture
def own_run(here: Path, blobs: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert run(["train", str(blobs), "--out", "own", "--recipe", str(own_recipe(here))]) == 0
    assert f"next: edgeseg export own --out model.onnx --trust {OWN}" in capsys.readouterr().out
    return here / "own"


@pytest.mark.slow
def test_the_whole_path_of_an_own_network(own_run: Path, blobs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert json.loads((own_run / "run.json").read_text())["parameters"] == sum(
        (3 * 6 * 9 + 6 + 12, 2 * (6 * 6 * 9 + 6 + 12), 6 * 6 * 4 + 6 + 12, 6 + 1)
    )
    assert run(["export", "own", "--out", "own.onnx", "--data", str(blobs), "--trust", OWN]) == 0
    assert run(["calibrate", "own.onnx", "--data", str(blobs), "--out", "own.calibration.json"]) == 0
    capsys.readouterr()
    assert run(["build-engine", "own.onnx", "--precision", "int8", "--json"]) == 0
    passport = json.loads(capsys.readouterr().out)
    proto = onnx.load("own.onnx")
    operators = [node.op_type for node in proto.graph.node]
    assert "BatchNormalization" not in operators
    assert (passport["convolutions"], operators.count("ConvTranspose")) == (5, 1)
    assert passport["int8_convolutions"] == 2  # the residual's; ends and ConvTranspose stay float
    images = sorted((blobs / "test" / "images").iterdir())
    frames = np.stack([resize_to_network(read_rgb(path), 32, 32) for path in images])
    float32 = open_engine(Path("own.onnx")).infer(frames)
    assert np.abs(open_run(own_run, [OWN]).infer(frames) - float32).max() <= 1e-4
    assert np.abs(open_engine(Path("own.int8.engine")).infer(frames) - float32).max() <= 0.05


def test_a_run_folder_alone_runs_no_code(own_run: Path, blobs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sys.modules.pop("my_network")
    commands = (
        ["export", "own", "--out", "own.onnx"],
        ["evaluate", "own", str(blobs)],
        ["package", "own", "--data", str(blobs), "--out", "pkg", "--terms", "none"],
        ["run", "own", str(blobs / "test" / "images"), "--masks", "masks"],
        ["train", str(blobs), "--out", "own", "--resume"],
        ["train", str(blobs), "--out", "pupil", "--teacher", "own"],
    )
    for command in commands:
        capsys.readouterr()
        assert run(command) == 5, command
        assert OWN in capsys.readouterr().err
    assert "my_network" not in sys.modules
    assert run(["evaluate", "own", str(blobs), "--trust", "python:my_network:half"]) == 5
    assert "my_network" not in sys.modules


def test_named_code_is_trusted(own_run: Path, blobs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    named = ["--trust", OWN]
    assert run(["evaluate", "own", str(blobs), "--compare", "own", *named]) == 0
    assert run(["evaluate", "own", str(blobs), "--choose-threshold", *named]) == 0
    assert run(["train", str(blobs), "--out", "own", "--resume", *named]) == 0
    assert run(["train", str(blobs), "--out", "own", "--resume", "--recipe", "own.toml"]) == 0
    pupil = ["--set", "training.epochs=1", "--set", "model.height=32", "--set", "model.width=32"]
    assert run(["train", str(blobs), "--out", "pupil", "--teacher", "own", *pupil, *named]) == 0
    assert OWN not in (own_run.parent / "pupil" / "recipe.toml").read_text()


def test_code_that_changed_since_the_training_is_a_mismatch(own_run: Path) -> None:
    (own_run.parent / "my_network.py").write_text(
        SOURCE.replace("Residual(width),", "Residual(width), Residual(width),")
    )
    del sys.modules["my_network"]
    with pytest.raises(MismatchError, match="another architecture") as caught:
        open_run(own_run, [OWN])
    assert "missing" in str(caught.value.found)


@pytest.mark.parametrize(
    ("function", "found"),
    [
        ("text_pair", "tuple of float32 .*, str"),
        ("half", r"float32 \[2, 1, 16, 16\]"),
        ("needs_more", "RuntimeError: mat1 and mat2"),
        ("frozen", "no parameter that requires a gradient"),
        ("text", "str"),
        ("broken", "RuntimeError: no such weights"),
        ("constant", "my_network.py"),
        ("nothing", "my_network.py"),
    ],
)
def test_what_breaks_the_contract_is_said_before_anything_is_made(
    here: Path, blobs: Path, capsys: pytest.CaptureFixture[str], function: str, found: str
) -> None:
    settings = [f"model.architecture=python:my_network:{function}", "model.height=32", "model.width=32"]
    with pytest.raises(BadInputError) as caught:
        network_from_recipe(read_recipe(None, settings).model)
    assert re.search(found, str(caught.value.found)), caught.value
    assert run(["train", str(blobs), "--out", "r", *(word for s in settings for word in ("--set", s))]) == 5
    assert not (here / "r").exists()


@pytest.mark.parametrize("architecture", ["python:no_such_module:network", "python:my_network.deeper:network"])
def test_a_module_that_is_not_there(here: Path, architecture: str) -> None:
    with pytest.raises(BadInputError, match="cannot be imported") as caught:
        network_from_recipe(read_recipe(None, [f"model.architecture={architecture}"]).model)
    assert str(here) in str(caught.value.expected)


def test_a_module_that_fails_on_import_says_why(here: Path) -> None:
    (here / "my_network.py").write_text("import a_package_that_nobody_has\n")
    with pytest.raises(BadInputError, match="cannot be imported") as caught:
        network_from_recipe(read_recipe(None, [f"model.architecture={OWN}"]).model)
    assert "a_package_that_nobody_has" in str(caught.value.found)


def test_importing_leaves_the_search_path_as_it_was(here: Path) -> None:
    before = list(sys.path)
    network_from_recipe(read_recipe(own_recipe(here)).model)
    assert sys.path == before


def test_arguments_survive_the_recipe_file(tmp_path: Path) -> None:
    arguments = 'model.arguments={width = 6, slope = 0.5, deep = true, name = "a b", sizes = [1, 2]}'
    recipe = read_recipe(None, [f"model.architecture={OWN}", arguments])
    (tmp_path / "r.toml").write_text(recipe_to_toml(recipe))
    again = read_recipe(tmp_path / "r.toml")
    assert again == recipe
    assert again.model.arguments == {"width": 6, "slope": 0.5, "deep": True, "name": "a b", "sizes": [1, 2]}
