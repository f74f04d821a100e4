"""Tests of what a network of the user's own does in training alone: auxiliary outputs, batch norm, and its failures."""

import json
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import onnx
import pytest
import torch
from torch.nn import functional as F

from edgeseg.cli import run
from edgeseg.errors import BadInputError
from edgeseg.train.architectures.own_code import OwnCodeError
from edgeseg.train.architectures.own_network import try_training
from edgeseg.train.losses import bce_loss
from edgeseg.train.network_outputs import logits_of, main_logits, supervised_loss
from edgeseg.train.recipe import read_recipe

SOURCE = """
import torch
from torch import nn
from torch.nn import functional as F


class Net(nn.Module):
    def __init__(self, mode):
        super().__init__()
        self.mode, self.calls = mode, 0
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU())
        self.head, self.aux = nn.Conv2d(8, 1, 1), nn.Conv2d(8, 1, 1)
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8))

    def forward(self, x):
        self.calls += 1
        features = self.body(x)
        if self.mode == "pool":
            features = features + self.pool(features)
        logits = F.interpolate(self.head(features), x.shape[2:], mode="bilinear")
        aux = self.aux(features)
        if self.mode == "dict":
            return {"aux": aux, "out": logits}
        if self.mode == "list":
            return [logits, aux]
        if self.training:
            return self.in_training(logits, aux)
        return logits

    def in_training(self, logits, aux):
        if self.mode == "tuple":
            return logits, aux
        if self.mode == "fails":
            raise KeyError("no such key")  # here
        if self.mode == "later" and self.calls > 2:
            raise KeyError("no such key")  # later
        if self.mode == "text":
            return logits, "aux"
        if self.mode == "flat":
            return logits, aux.mean(dim=(2, 3))
        if self.mode == "low":
            return aux
        if self.mode == "detached":
            return logits.detach()
        if self.mode == "in place":
            return logits.sigmoid().mul_(2).relu_().sigmoid_().exp().add_(1) + logits.exp().mul_(logits)
        return logits


def network(mode="plain"):
    return Net(mode)


def of_torch_alone(mode="plain"):
    return nn.Sequential(nn.Conv2d(3, 1, 3, padding=1), nn.BatchNorm2d(1), Fails())


class Fails(nn.Module):
    def forward(self, x):
        return torch.cat([x, x], 1)[:, :1] if not self.training else torch.matmul(x, x[:, :, :-1])
"""


@pytest.fixture
def own_blobs(blobs: Path, tmp_path: Path) -> Path:
    """A copy of the data set that may be spoilt."""
    return Path(shutil.copytree(blobs, tmp_path / "own_blobs"))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, with their_network.py in it."""
    (tmp_path / "their_network.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "their_network", raising=False)
    yield tmp_path
    sys.modules.pop("their_network", None)


def settings(mode: str, function: str = "network") -> list[str]:
    return [
        f"model.architecture=python:their_network:{function}",
        f'model.arguments={{mode = "{mode}"}}',
        "model.height=32",
        "model.width=32",
        "training.epochs=1",
        "training.batch_size=4",
    ]


def train(blobs: Path, out: str, words: list[str]) -> int:
    return run(["train", str(blobs), "--out", out, *(word for setting in words for word in ("--set", setting))])


@pytest.mark.parametrize("mode", ["tuple", "list", "dict"])
def test_auxiliary_outputs_are_trained_and_left_out_of_the_graph(here: Path, blobs: Path, capsys, mode: str) -> None:
    assert train(blobs, "r", settings(mode)) == 0
    assert "auxiliary_weights = [0.4]" in (here / "r" / "recipe.toml").read_text()
    trust = ["--trust", "python:their_network:network"]
    assert run(["evaluate", "r", str(blobs), *trust]) == 0
    assert run(["export", "r", "--out", "own.onnx", *trust]) == 0
    proto = onnx.load("own.onnx")
    assert [output.name for output in proto.graph.output] == ["probability"]
    assert not [tensor.name for tensor in proto.graph.initializer if "aux" in tensor.name]


def test_an_auxiliary_output_gets_a_gradient_only_through_its_weight() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn((2, 1, 8, 8), generator=generator, requires_grad=True)
    small = torch.randn((2, 1, 4, 4), generator=generator, requires_grad=True)
    target = (torch.rand((2, 1, 8, 8), generator=generator) > 0.5).float()
    enlarged = F.interpolate(small, (8, 8), mode="bilinear", align_corners=False)
    main, aux = bce_loss(logits, target), bce_loss(enlarged, target)
    for output in ((logits, small), [logits, small], {"aux": small, "out": logits}, {"a": logits, "b": small}):
        assert torch.allclose(supervised_loss(bce_loss, output, target, (0.4,)), main + 0.4 * aux)
    three = supervised_loss(bce_loss, (logits, small, small), target, (0.4, 0.1))
    assert torch.allclose(three, main + 0.5 * aux)
    more = supervised_loss(bce_loss, (logits, small, small), target, (0.4,))
    assert torch.allclose(more, main + 0.8 * aux)
    assert torch.equal(supervised_loss(bce_loss, (logits, small), target, ()), main)
    assert torch.equal(supervised_loss(bce_loss, logits, target, (0.4,)), main)
    assert main_logits((logits, small)) is logits


@pytest.mark.parametrize("output", [(), {}, None, ("text",), (torch.zeros(1), None)])
def test_what_holds_no_logits_is_refused(output: object) -> None:
    with pytest.raises(BadInputError, match="no logits"):
        logits_of(output)


@pytest.mark.parametrize(
    ("mode", "found"),
    [
        ("fails", r"KeyError: 'no such key' \(.*their_network.py, line \d+, in in_training\)"),
        ("text", "tuple of float32 .*, str"),
        ("flat", r"tuple of float32 \[4, 1, 32, 32\], float32 \[4, 1\]"),
        ("low", r"float32 \[4, 1, 16, 16\]"),
        ("detached", "RuntimeError: element 0 of tensors does not require grad"),
        ("in place", r"RuntimeError: one of the variables .* \(made by .*their_network.py, line \d+\)"),
    ],
)
def test_a_step_is_tried_before_images_are_read(here: Path, own_blobs: Path, capsys, mode: str, found: str) -> None:
    for image in (own_blobs / "train" / "images").iterdir():
        image.write_bytes(b"no image")
    assert train(own_blobs, "r", settings(mode)) == 5
    error = capsys.readouterr().err
    assert re.search(found, error), error
    assert "defect of edgeseg" not in error and "Traceback" not in error
    assert not (here / "r").exists()
    assert train(own_blobs, "lr", [*settings(mode), "training.epochs=2"]) == 5


def test_the_line_is_theirs_where_torch_failed(here: Path, blobs: Path, capsys) -> None:
    line = 1 + SOURCE.splitlines().index(
        "        return torch.cat([x, x], 1)[:, :1] if not self.training else torch.matmul(x, x[:, :, :-1])"
    )
    assert train(blobs, "r", settings("plain", "of_torch_alone")) == 5
    assert f"their_network.py, line {line}, in forward" in capsys.readouterr().err


def test_batch_norm_that_sees_one_value_is_said_before_images_are_read(here: Path, own_blobs: Path, capsys) -> None:
    assert train(own_blobs, "r", [*settings("pool"), "training.batch_size=1"]) == 5
    assert re.search(r"a batch of 1 at 32x32\n.*ValueError: Expected more than 1 value", capsys.readouterr().err)
    images = sorted((own_blobs / "train" / "images").iterdir())
    for image in images[1:]:
        image.unlink()
        (own_blobs / "train" / "masks" / image.name).unlink()
    assert train(own_blobs, "r", settings("pool")) == 5
    assert "a batch of 1 at 32x32" in capsys.readouterr().err
    assert train(own_blobs, "r", settings("plain")) == 0


def test_what_fails_in_the_midst_of_a_training_is_theirs_too(here: Path, blobs: Path, capsys) -> None:
    assert train(blobs, "r", [*settings("later"), "training.batch_size=1"]) == 5
    error = capsys.readouterr().err
    line = 1 + next(index for index, text in enumerate(SOURCE.splitlines()) if text.endswith("# later"))
    assert f"their_network.py, line {line}, in in_training" in error
    assert "defect of edgeseg" not in error and "Traceback" not in error


def test_an_import_that_fails_or_leaves_says_where(here: Path, blobs: Path, capsys) -> None:
    for text, found in (("import os\n1 / 0\n", "ZeroDivisionError"), ("import sys\nsys.exit(3)\n", "SystemExit: 3")):
        (here / "their_network.py").write_text(text)
        sys.modules.pop("their_network", None)
        assert train(blobs, "r", settings("plain")) == 5
        error = capsys.readouterr().err
        assert found in error and "their_network.py, line 2" in error


def test_an_evaluation_that_fails_is_theirs(here: Path, blobs: Path, capsys) -> None:
    assert train(blobs, "r", settings("plain")) == 0
    (here / "their_network.py").write_text(
        SOURCE.replace("        return logits\n\n    def", "        return logits.nix\n\n    def")
    )
    del sys.modules["their_network"]
    for command in (["evaluate", "r", str(blobs)], ["export", "r", "--out", "own.onnx"]):
        assert run([*command, "--trust", "python:their_network:network"]) == 5
        error = capsys.readouterr().err
        assert "AttributeError" in error and "their_network.py, line" in error


def test_the_recipe_of_an_older_run_keeps_its_hash() -> None:
    recipe = read_recipe(None, [])
    assert read_recipe(None, ["training.auxiliary_weights=[0.4]"]).sha256 == recipe.sha256
    assert read_recipe(None, ["training.auxiliary_weights=[0.2, 0.1]"]).sha256 != recipe.sha256
    assert json.loads(recipe.to_json())["training"]["auxiliary_weights"] == [0.4]


def test_a_network_of_the_catalogue_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeseg.train.architectures.own_network.own_network", None)
    try_training(read_recipe(None, []), 2)


def test_another_exception_in_their_file_keeps_its_cause(here: Path) -> None:
    with pytest.raises(OwnCodeError) as caught:
        try_training(read_recipe(None, settings("fails")), 2)
    assert isinstance(caught.value.__cause__, KeyError)
