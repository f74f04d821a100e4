from pathlib import Path

import numpy as np
import pytest
import torch

from edgeseg.dataset import load_pairs
from edgeseg.frames import resize_to_network
from edgeseg.images import read_rgb
from edgeseg.train.augmentation import augmentation_from_recipe
from edgeseg.train.recipe import AugmentationRecipe
from edgeseg.train.samples import batches, load_negatives, load_samples, plan_batches, resized


def test_samples_are_resized_by_the_one_rule(blobs: Path) -> None:
    pairs = load_pairs(blobs, "train")
    samples = load_samples(pairs, 32, 32)
    assert samples.images.shape == (10, 3, 32, 32)
    expected = resize_to_network(read_rgb(pairs[3].image), 32, 32)
    np.testing.assert_array_equal(samples.images[3].permute(1, 2, 0).numpy(), expected)
    assert set(samples.masks.unique().tolist()) == {0, 1}


def test_an_epoch_takes_each_image_at_most_once_in_an_order_of_its_seed(blobs: Path) -> None:
    samples = load_samples(load_pairs(blobs, "train"), 32, 32)
    plan = plan_batches(samples, None, 4, 0.25)
    first = [images for images, _ in batches(samples, None, plan, seed=1)]
    again = [images for images, _ in batches(samples, None, plan, seed=1)]
    other = [images for images, _ in batches(samples, None, plan, seed=2)]
    assert [len(batch) for batch in first] == [4, 4]
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])
    sums = torch.cat(first).sum(dim=(1, 2, 3))
    assert len(set(sums.tolist())) == 8


def test_negatives_take_their_share_of_every_batch(blobs: Path) -> None:
    samples = load_samples(load_pairs(blobs, "train"), 32, 32)
    negatives = load_negatives(sorted((blobs / "test" / "images").iterdir()), 32, 32)
    assert not negatives.masks.any()
    plan = plan_batches(samples, negatives, 4, 0.5)
    assert (plan.positives, plan.negatives, plan.count) == (2, 2, 5)
    seen = list(batches(samples, negatives, plan, seed=3))
    assert [len(images) for images, _ in seen] == [4] * 5
    assert all(masks[:2].flatten(1).any(dim=1).all() and not masks[2:].any() for _, masks in seen)
    assert plan_batches(samples, negatives, 1, 0.9).negatives == 0


def test_image_and_mask_move_together() -> None:
    recipe = AugmentationRecipe(brightness=0, contrast=0, saturation=0, hue=0, blur=0)
    torch.manual_seed(0)
    mask = torch.zeros(6, 1, 64, 64)
    mask[:, :, 10:30, 20:50] = 1
    images, masks = augmentation_from_recipe(recipe)(mask.repeat(1, 3, 1, 1), mask)
    assert set(masks.unique().tolist()) <= {0.0, 1.0}
    assert not torch.equal(masks, mask)
    overlap = ((images[:, :1] > 0.5) == (masks > 0.5)).float().mean()
    assert overlap > 0.99


@pytest.mark.parametrize(
    ("key", "gentle", "far"), [("zoom_out", (0.78, 0.9), (0.28, 0.45)), ("zoom_in", (1.1, 1.25), (1.5, 1.75))]
)
def test_zooming_goes_further_than_scale_alone(key: str, gentle: tuple[float, float], far: tuple[float, float]) -> None:
    mask = torch.zeros(40, 1, 64, 64)
    mask[:, :, 22:42, 22:42] = 1
    extremes = []
    for zoom in (0.0, 0.7):
        recipe = AugmentationRecipe(rotation_deg=0, translation=0, scale=0.2, blur=0).model_copy(update={key: zoom})
        torch.manual_seed(0)
        _, masks = augmentation_from_recipe(recipe)(mask.repeat(1, 3, 1, 1), mask)
        sides = (masks.sum(dim=(1, 2, 3)) / mask.sum(dim=(1, 2, 3))) ** 0.5
        extremes.append(float(sides.min() if key == "zoom_out" else sides.max()))
    assert gentle[0] < extremes[0] < gentle[1]
    assert far[0] < extremes[1] < far[1]


def test_no_augmentation_changes_nothing() -> None:
    none = AugmentationRecipe(
        flip=False, rotation_deg=0, translation=0, scale=0, brightness=0, contrast=0, saturation=0, hue=0, blur=0
    )
    images, masks = torch.rand(2, 3, 16, 16), torch.ones(2, 1, 16, 16)
    masks[0] = 0
    result = augmentation_from_recipe(none)(images, masks)
    assert result[0] is images
    assert result[1] is masks


def test_colour_leaves_the_mask_alone() -> None:
    recipe = AugmentationRecipe(flip=False, rotation_deg=0, translation=0, scale=0, blur=1.0)
    torch.manual_seed(0)
    images, masks = torch.rand(3, 3, 32, 32), (torch.rand(3, 1, 32, 32) > 0.5).float()
    changed, same = augmentation_from_recipe(recipe)(images.clone(), masks.clone())
    assert torch.equal(same, masks)
    assert not torch.equal(changed, images)
    assert 0 <= float(changed.min()) <= float(changed.max()) <= 1


def test_a_batch_at_another_size_is_the_antialiased_picture_and_a_hard_mask() -> None:
    torch.manual_seed(0)
    images, masks = torch.rand(2, 3, 32, 48), (torch.rand(2, 1, 32, 48) > 0.5).float()
    small, hard = resized(images, masks, 16, 24)
    assert small.shape == (2, 3, 16, 24)
    assert set(hard.unique().tolist()) <= {0.0, 1.0}
    assert abs(float(small.mean() - images.mean())) < 0.01
    assert float(small.std()) < 0.75 * float(images.std())
    assert resized(images, masks, 32, 48)[0] is images
