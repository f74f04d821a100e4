from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from edgeseg.errors import BadInputError, MismatchError
from edgeseg.runtime.engine.session import SessionInfo
from edgeseg.specs import ModelSpec, PreprocessSpec
from edgeseg.train import checkpoint
from edgeseg.train.architectures.own_code import OwnCodeError
from edgeseg.train.distillation import GraphTeacher, Teacher, teacher_from_models
from edgeseg.train.recipe import Recipe
from edgeseg.train.training import train


class Constant(nn.Module):
    """Gives the same logit everywhere and counts the pictures that it was asked about."""

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.logit = torch.logit(torch.tensor(probability))
        self.asked = 0

    def forward(self, images: Tensor) -> Tensor:
        self.asked += len(images)
        return self.logit.expand(len(images), 1, *images.shape[-2:])


def test_targets_are_the_mask_and_the_mean_of_the_teachers() -> None:
    images, masks = torch.rand(2, 3, 8, 8), torch.zeros(2, 1, 8, 8)
    masks[:, :, :4] = 1
    targets = Teacher([Constant(0.8), Constant(0.4)], share=0.5).targets(images, masks)
    assert torch.allclose(targets[:, :, :4], torch.tensor(0.5 * 1 + 0.5 * 0.6))
    assert torch.allclose(targets[:, :, 4:], torch.tensor(0.5 * 0 + 0.5 * 0.6))


def test_what_is_known_to_be_empty_stays_empty_and_costs_nothing() -> None:
    network = Constant(0.9)
    masks = torch.zeros(3, 1, 8, 8)
    masks[1, 0, 2, 2] = 1
    targets = Teacher([network], share=1.0).targets(torch.rand(3, 3, 8, 8), masks)
    assert network.asked == 1
    assert not targets[0].any() and not targets[2].any()
    assert torch.allclose(targets[1], torch.tensor(0.9))
    empty = torch.zeros(2, 1, 8, 8)
    assert Teacher([network], share=1.0).targets(torch.rand(2, 3, 8, 8), empty) is empty


def test_a_run_teaches_another_and_belongs_to_its_data(blobs: Path, tmp_path: Path, tiny_recipe: Recipe) -> None:
    alone = train(blobs, tmp_path / "teacher", tiny_recipe)
    taught = train(blobs, tmp_path / "student", tiny_recipe, teachers=[tmp_path / "teacher"])
    assert taught.data_sha256 != alone.data_sha256
    first, second = (checkpoint.load(tmp_path / name / checkpoint.LAST)["network"] for name in ("teacher", "student"))
    assert any(not torch.equal(first[name], second[name]) for name in first)
    with pytest.raises(MismatchError, match="data differ"):
        train(blobs, tmp_path / "student", tiny_recipe, resume=True)


def test_a_graph_teaches_what_the_run_it_came_from_teaches(exported: tuple[Path, Path], tiny_recipe: Recipe) -> None:
    images = torch.randint(0, 256, (3, 3, 32, 32)).float() / 255
    masks = (torch.rand(3, 1, 32, 32) > 0.5).float()
    by_run, by_graph = (teacher_from_models([path], 0.7, tiny_recipe.model_spec()) for path in exported)
    assert by_run is not None and by_graph is not None
    torch.testing.assert_close(by_graph.targets(images, masks), by_run.targets(images, masks), rtol=0, atol=2e-4)


class Answer:
    """A session of 6x8 pixels that keeps what it is asked and answers what it is told."""

    def __init__(self, classes: tuple[str, ...], probability: np.ndarray) -> None:
        output: Any = "softmax" if len(classes) > 1 else "sigmoid"
        model = ModelSpec(architecture="scripted", classes=classes, height=6, width=8, output=output)
        self.info = SessionInfo(model, PreprocessSpec(), "onnxruntime", "fp32", "0" * 64)
        self.probability = probability.astype(np.float32)
        self.asked: list[np.ndarray] = []

    def infer(self, frames: np.ndarray) -> np.ndarray:
        self.asked.append(frames)
        return np.tile(self.probability[None, :, None, None], (len(frames), 1, 6, 8))

    def close(self) -> None:
        pass


@settings(deadline=None)
@given(st.integers(1, 3), st.integers(1, 40), st.integers(1, 40), st.integers(0, 255))
def test_a_graph_sees_pictures_at_its_own_size_and_answers_at_theirs(
    n: int, height: int, width: int, level: int
) -> None:
    session = Answer(("polyp",), np.array([0.3]))
    images = torch.full((n, 3, height, width), level / 255)
    images[:, 2] = 1.0
    targets = Teacher([GraphTeacher(session)], 0.5).targets(images, torch.ones(n, 1, height, width))
    assert session.asked[0].shape == (n, 6, 8, 3) and session.asked[0].dtype == np.uint8
    assert (session.asked[0] == np.array([level, level, 255])).all()
    assert targets.shape == (n, 1, height, width) and torch.allclose(targets, torch.tensor(0.65), atol=1e-5)


def test_a_graph_of_several_classes_teaches_their_shares() -> None:
    session = Answer(("background", "cat", "dog"), np.array([0.2, 0.7, 0.1]))
    masks = torch.zeros(1, 3, 12, 10)
    masks[:, 2] = 1.0
    targets = Teacher([GraphTeacher(session)], 0.5).targets(torch.rand(1, 3, 12, 10), masks)
    expected = torch.tensor([0.1, 0.35, 0.55])[None, :, None, None].expand_as(targets)
    torch.testing.assert_close(targets, expected, rtol=0, atol=1e-5)


def test_a_graph_that_is_sure_gives_no_infinite_target() -> None:
    for sure in (0.0, 1.0):
        teacher = Teacher([GraphTeacher(Answer(("polyp",), np.array([sure])))], 1.0)
        targets = teacher.targets(torch.rand(1, 3, 6, 8), torch.ones(1, 1, 6, 8))
        assert torch.allclose(targets, torch.tensor(sure), atol=1e-5)


def test_a_training_is_taught_by_a_graph_and_belongs_to_it(
    exported: tuple[Path, Path], blobs: Path, tmp_path: Path, tiny_recipe: Recipe
) -> None:
    run, graph = exported
    by_run = train(blobs, tmp_path / "by-run", tiny_recipe, teachers=[run])
    by_graph = train(blobs, tmp_path / "student", tiny_recipe, teachers=[graph])
    assert by_graph.data_sha256 != by_run.data_sha256
    assert train(blobs, tmp_path / "student", tiny_recipe, teachers=[graph], resume=True) == by_graph
    with pytest.raises(MismatchError, match="data differ"):
        train(blobs, tmp_path / "student", tiny_recipe, teachers=[run], resume=True)


def test_an_engine_does_not_teach(tmp_path: Path, tiny_recipe: Recipe) -> None:
    (tmp_path / "fast.int8.engine").write_bytes(b"")
    with pytest.raises(BadInputError, match="holds no ONNX graph"):
        teacher_from_models([tmp_path / "fast.int8.engine"], 0.5, tiny_recipe.model_spec())


def test_a_teacher_of_something_else_is_refused(blobs: Path, tmp_path: Path, tiny_recipe: Recipe) -> None:
    train(blobs, tmp_path / "teacher", tiny_recipe)
    other = tiny_recipe.model_copy(update={"model": tiny_recipe.model.model_copy(update={"class_name": "nucleus"})})
    with pytest.raises(MismatchError, match="cannot teach"):
        teacher_from_models([tmp_path / "teacher"], 0.5, other.model_spec())


def test_a_teacher_learns_nothing() -> None:
    network = nn.Sequential(nn.Conv2d(3, 1, 1), nn.BatchNorm2d(1))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    Teacher([network], 1.0).targets(torch.rand(2, 3, 4, 4), torch.ones(2, 1, 4, 4))
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_a_teacher_of_the_user_s_own_that_fails_is_told_as_theirs() -> None:
    class Fails(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            raise ValueError("no such picture")

    images, masks = torch.rand(1, 3, 8, 8), torch.ones(1, 1, 8, 8)
    with pytest.raises(OwnCodeError, match="python:theirs:network fails as a teacher") as caught:
        Teacher([Constant(0.5), Fails()], 0.5, ["unet", "python:theirs:network"]).targets(images, masks)
    assert "no such picture" in str(caught.value.found) and "test_distillation.py, line" in str(caught.value.found)
    with pytest.raises(ValueError, match="no such picture"):
        Teacher([Fails()], 0.5, ["unet"]).targets(images, masks)
