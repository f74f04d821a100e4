"""Pixels that nobody judged change neither a loss nor its gradient, nor a measure."""

from pathlib import Path

import numpy as np
import pytest
import torch

from edgeseg.dataset import load_pairs
from edgeseg.errors import BadInputError
from edgeseg.images import write_png
from edgeseg.train.choices import SEVERAL_CLASSES, LossName
from edgeseg.train.losses import LOSSES
from edgeseg.train.recipe import Recipe
from edgeseg.train.samples import IGNORED, load_samples
from edgeseg.train.training import train


def _batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(4)
    logits = torch.randn(3, 1, 24, 32, generator=generator)
    target = (torch.rand(3, 1, 24, 32, generator=generator) < 0.4).float()
    judged = (torch.rand(3, 1, 24, 32, generator=generator) < 0.7).float()
    return logits, target, judged


def _batch_for(name: LossName) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Two channels where a loss needs several classes."""
    logits, target, judged = _batch()
    if name not in SEVERAL_CLASSES:
        return logits, target, judged
    return torch.cat([logits, logits.flip(3)], dim=1), torch.cat([1 - target, target], dim=1), judged


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_what_lies_under_ignored_pixels_does_not_matter(name: LossName) -> None:
    logits, target, judged = _batch_for(name)
    loss = LOSSES[name]
    expected = loss(logits, target, judged)
    other_logits = torch.where(judged > 0, logits, 9.0).requires_grad_()
    other_target = torch.where(judged > 0, target, 1 - target)
    found = loss(other_logits, other_target, judged)
    torch.testing.assert_close(found, expected)
    found.backward()
    assert other_logits.grad is not None
    gradient = other_logits.grad
    assert not bool((gradient * (1 - judged)).any()) and bool((gradient * judged).any())


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_where_all_count_the_loss_is_the_same(name: LossName) -> None:
    logits, target, judged = _batch_for(name)
    torch.testing.assert_close(
        LOSSES[name](logits, target, torch.ones_like(judged)), LOSSES[name](logits, target), rtol=1e-5, atol=1e-6
    )


def test_cross_entropy_is_the_mean_over_the_pixels_that_count() -> None:
    logits, target, judged = _batch()
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits[judged > 0], target[judged > 0])
    torch.testing.assert_close(LOSSES["bce"](logits, target, judged), expected)


def _write(root: Path, border: int | None, marked: bool = True) -> Path:
    for split, count in (("train", 6), ("validation", 3)):
        for index in range(count):
            rng = np.random.default_rng(index + 10 * count)
            labels = np.zeros((32, 32), np.uint8)
            if marked:
                labels[8:20, 6 : 18 + index] = 1
            if border is not None:
                labels[20:24] = border
            write_png(root / split / "images" / f"{index}.png", rng.integers(0, 256, (32, 32, 3), dtype=np.uint8))
            write_png(root / split / "masks" / f"{index}.png", labels)
    return root


def test_samples_carry_what_is_ignored(tmp_path: Path) -> None:
    samples = load_samples(load_pairs(_write(tmp_path, 255), "train"), 32, 32)
    assert samples.has_ignored
    assert bool((samples.masks[:, :, 20:24] == IGNORED).all())
    assert samples.masks[0, 0, 8:20, 6:18].min() == 1


def test_a_training_with_ignored_pixels_runs_and_is_not_one_with_background(
    tmp_path: Path, tiny_recipe: Recipe
) -> None:
    ignored = train(_write(tmp_path / "a", 255), tmp_path / "run-a", tiny_recipe)
    background = train(_write(tmp_path / "b", 0), tmp_path / "run-b", tiny_recipe)
    assert ignored.finished and background.finished
    weights = [torch.load(tmp_path / run / "best.pt", weights_only=False) for run in ("run-a", "run-b")]
    assert str(weights[0]) != str(weights[1])


def test_a_training_on_empty_masks_stops_before_it_starts(tmp_path: Path, tiny_recipe: Recipe) -> None:
    with pytest.raises(BadInputError, match="every training mask is empty"):
        train(_write(tmp_path / "data", None, marked=False), tmp_path / "run", tiny_recipe)
    assert not (tmp_path / "run").exists()
