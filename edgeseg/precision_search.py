"""The record of a search for the convolutions that INT8 must leave so that masks stay within limits."""

from __future__ import annotations

from typing import Literal

import pydantic

from edgeseg.values import Part


class MaskHarm(Part):
    """The harm that a mix of precisions does to masks, held against float32's on the same labelled pictures."""

    mean_dice_drop: float
    """Mean over the pictures; positive is worse."""
    lost_polyps: int = pydantic.Field(ge=0)
    """Pictures whose polyp float32 finds and the mix does not."""
    flipped_share: float = pydantic.Field(ge=0, le=1)
    """Share of a picture's pixels whose class differs from float32's; mean over the pictures."""

    def __str__(self) -> str:
        return (
            f"mean Dice drop {self.mean_dice_drop:+.4f}, {self.lost_polyps} polyps lost, "
            f"{self.flipped_share:.3%} of the pixels flipped"
        )


class LayerHarm(Part):
    """A convolution, and the harm that it does alone."""

    layer: str
    alone: MaskHarm
    """The harm where this convolution alone runs in INT8, on the search's `sensitivity_images` pictures."""


class MixCost(Part):
    """The costs of the mix beside INT8 and float32: measured where the target runs, else counted."""

    int8_multiply_adds: float = pydantic.Field(ge=0, le=1)
    """The share of the multiply-adds that INT8 computes under the default plan: a cost model, not a time."""
    mixed_multiply_adds: float = pydantic.Field(ge=0, le=1)
    """The same under the plan that was found."""
    int8_ms: float | None = None
    """One inference, median; None where the target does not run on the machine of the search; likewise the next."""
    mixed_ms: float | None = None
    float32_ms: float | None = None
    mixed_over_float32: float | None = None
    """The mix's time over float32's, in turn: the median over pairs of neighbours."""


class PrecisionSearch(Part):
    """How a precision plan was found, and what it holds on the pictures that chose it."""

    data: str
    """The labelled pictures as they were named; of a data set with splits, its validation split."""
    data_sha256: str
    image_count: int = pydantic.Field(gt=0)
    sensitivity_images: int = pydantic.Field(ge=0)
    """Pictures on which each convolution was tried alone; 0 where none was, because INT8 throughout held the limits."""
    max_dice_drop: float
    max_lost_polyps: int | None = pydantic.Field(default=None, ge=0)
    stand_in: bool
    """True if a CPU computed the plans with fake quantisation in place of the engine's own backend."""
    runs: int = pydantic.Field(gt=0)
    """Plans that segmented pictures."""
    most_runs: int = pydantic.Field(gt=0)
    """The bound of `runs` for this network."""
    candidates: int = pydantic.Field(gt=0)
    """Convolutions that the default plan gives to INT8."""
    sent_back: tuple[LayerHarm, ...]
    """Those that went back to float, the most harmful first."""
    tried_alone: tuple[LayerHarm, ...] = ()
    """Every candidate that was tried alone, the most harmful first; empty in records from before they were kept."""
    sent_back_to: Literal["fp16", "fp32"]
    """The precision that they went back to."""
    throughout: MaskHarm
    """The harm of all candidates in INT8."""
    found: MaskHarm
    """Under the plan that was found, on the same pictures."""
    cost: MixCost
