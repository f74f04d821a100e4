from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from edgeseg.errors import MismatchError
from edgeseg.train import checkpoint
from edgeseg.train.architectures.own_code import OwnCodeError
from edgeseg.train.distillation import Teacher, teacher_from_runs
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


def test_a_teacher_of_something_else_is_refused(blobs: Path, tmp_path: Path, tiny_recipe: Recipe) -> None:
    train(blobs, tmp_path / "teacher", tiny_recipe)
    other = tiny_recipe.model_copy(update={"model": tiny_recipe.model.model_copy(update={"class_name": "nucleus"})})
    with pytest.raises(MismatchError, match="cannot teach"):
        teacher_from_runs([tmp_path / "teacher"], 0.5, other.model_spec())


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
