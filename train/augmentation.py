"""Augmentation of a whole batch by kornia: image and mask move together, colour changes only the image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from edgeseg.optional import require
from edgeseg.train.colour_exchange import exchange_colours
from edgeseg.train.compositing import cover_polyps, paste_polyps
from edgeseg.train.endoscopy import DEGRADATIONS, sometimes
from edgeseg.train.mixing import mosaic
from edgeseg.train.recipe import AugmentationRecipe

Augment = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def augmentation_from_recipe(recipe: AugmentationRecipe) -> Augment:
    """Build the augmentation.

    Returns:
        A function of images float32 [N,3,H,W] in 0..1 and masks float32 [N,1,H,W] of 0 and 1 that gives both, changed.
        Randomness comes from torch's global generator, which the loop seeds at every epoch.
    """
    steps = [*_geometry(recipe), *_appearance(recipe)]
    library = _kornia(steps) if steps else _unchanged

    def augment(images: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        images = exchange_colours(images, recipe.colour_exchange)
        images, masks = cover_polyps(images, masks, recipe.covered_polyps)
        images, masks = paste_polyps(images, masks, recipe.pasted_polyps)
        images, masks = library(*mosaic(images, masks, recipe.mosaic))
        if recipe.endoscopy:
            for degradation in DEGRADATIONS:
                images = sometimes(images, recipe.endoscopy, degradation)
        return images.clamp_(0.0, 1.0), masks

    return augment


def _unchanged(images: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    return images, masks


def _kornia(steps: list[Any]) -> Augment:
    kornia = require("kornia")
    sequence = require("kornia.augmentation").AugmentationSequential(
        *steps,
        data_keys=["image", "mask"],
        extra_args={
            kornia.constants.DataKey.MASK: {"resample": kornia.constants.Resample.NEAREST, "align_corners": None}
        },
    )

    def augment(images: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        changed, moved = sequence(images, masks)
        return changed, moved

    return augment


def _geometry(recipe: AugmentationRecipe) -> list[Any]:
    K = require("kornia.augmentation")  # noqa: N806  kornia's own documentation names it so
    steps = [K.RandomHorizontalFlip(p=0.5), K.RandomVerticalFlip(p=0.5)] if recipe.flip else []
    if recipe.rotation_deg or recipe.translation or recipe.scale or recipe.zoom_out or recipe.zoom_in:
        steps.append(
            K.RandomAffine(
                degrees=recipe.rotation_deg,
                translate=(recipe.translation, recipe.translation),
                scale=(1 - max(recipe.scale, recipe.zoom_out), 1 + max(recipe.scale, recipe.zoom_in)),
                p=0.8,
            )
        )
    return steps


def _appearance(recipe: AugmentationRecipe) -> list[Any]:
    K = require("kornia.augmentation")  # noqa: N806
    strengths = (recipe.brightness, recipe.contrast, recipe.saturation, recipe.hue)
    steps = [K.ColorJitter(*strengths, p=0.8)] if any(strengths) else []
    if recipe.blur:
        steps.append(K.RandomGaussianBlur((5, 5), (0.3, 1.5), p=recipe.blur))
    if recipe.equalise:
        steps.append(K.RandomEqualize(p=recipe.equalise))
    if recipe.illumination:
        steps.append(K.RandomGaussianIllumination(gain=(0.05, 0.4), p=recipe.illumination))
        steps.append(K.RandomLinearIllumination(gain=(0.05, 0.3), p=recipe.illumination))
    return steps
