"""Augmentation changes training pictures alone."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from edgeseg.frames import resize_to_network
from edgeseg.runtime.engine.session import FrameBatch, ProbabilityBatch
from edgeseg.train.augmentation import augmentation_from_recipe
from edgeseg.train.predictor import TorchSession
from edgeseg.train.recipe import AugmentationRecipe, Recipe
from edgeseg.train.training import train

PLAIN: dict[str, object] = {
    "flip": False, "rotation_deg": 0, "translation": 0, "scale": 0, "brightness": 0, "contrast": 0, "saturation": 0,
    "hue": 0, "blur": 0,
}  # fmt: skip


def test_validation_sees_the_images_as_they_are(
    blobs: Path, tmp_path: Path, tiny_recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The work that the augmentation study repeats augmented its validation, too."""
    seen: list[np.ndarray] = []
    infer = TorchSession.infer

    def watched(self: TorchSession, frames: FrameBatch) -> ProbabilityBatch:
        seen.extend(frames)
        return infer(self, frames)

    monkeypatch.setattr(TorchSession, "infer", watched)
    strong = AugmentationRecipe(rotation_deg=180, scale=0.5, equalise=1, mosaic=1, endoscopy=1, illumination=1)
    training = tiny_recipe.training.model_copy(update={"epochs": 2})
    train(blobs, tmp_path / "run", tiny_recipe.model_copy(update={"augmentation": strong, "training": training}))
    expected = [_at_network_size(path) for path in sorted((blobs / "validation" / "images").iterdir())]
    assert len(seen) == 2 * len(expected)
    for frame in seen:
        assert any(np.array_equal(frame, one) for one in expected)


def _at_network_size(path: Path) -> np.ndarray:
    return resize_to_network(np.array(Image.open(path)), 32, 32)


def test_rotation_stays_within_its_angle_and_moves_image_and_mask_together() -> None:
    augment = augmentation_from_recipe(AugmentationRecipe.model_validate({**PLAIN, "rotation_deg": 20}))
    bar = torch.zeros(64, 1, 65, 65)
    bar[:, :, 31:34, 8:57] = 1
    torch.manual_seed(0)
    images, masks = augment(bar.expand(-1, 3, -1, -1).clone(), bar)
    angles = []
    for image, mask in zip(images, masks, strict=True):
        rows, columns = np.nonzero(mask[0].numpy() > 0.5)
        angles.append(np.degrees(np.arctan(np.polyfit(columns, rows, 1)[0])))
        assert float((image[0] - mask[0]).abs().mean()) < 0.02
    assert 12 < np.abs(angles).max() <= 20.5 and np.std(angles) > 5


def test_equalising_is_pillows() -> None:
    rng = np.random.default_rng(3)
    picture = (rng.normal(90, 20, (48, 48, 3)).clip(0, 255)).astype(np.uint8)
    augment = augmentation_from_recipe(AugmentationRecipe.model_validate({**PLAIN, "equalise": 1}))
    images = torch.from_numpy(picture).permute(2, 0, 1)[None] / 255
    found, mask = augment(images, torch.ones(1, 1, 48, 48))
    expected = np.array(ImageOps.equalize(Image.fromarray(picture)))
    assert np.abs(found[0].permute(1, 2, 0).numpy() * 255 - expected).max() <= 2
    assert bool((mask == 1).all())


def test_without_strength_nothing_changes() -> None:
    augment = augmentation_from_recipe(AugmentationRecipe.model_validate(PLAIN))
    images, masks = torch.rand(2, 3, 16, 16), torch.rand(2, 1, 16, 16).round()
    for got, given in zip(augment(images.clone(), masks.clone()), (images, masks), strict=True):
        assert torch.equal(got, given)
