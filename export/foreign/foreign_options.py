"""The user's statements about a foreign network."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from edgeseg.errors import UsageError
from edgeseg.specs import ModelSpec, PreprocessSpec

ARCHITECTURE = "foreign"
DEFAULT_CLASS = "polyp"
BACKGROUND = "background"
GREY_LEVELS = 255
Colour = tuple[float, float, float]


@dataclass(frozen=True)
class ImportOptions:
    """How a foreign network wants its pictures and what it gives; input = (x / scale - mean) / std."""

    mean: Colour = (0.0, 0.0, 0.0)
    """Means in the order R,G,B, whatever order the network takes."""
    std: Colour = (1.0, 1.0, 1.0)
    """Likewise."""
    scale: float = 255.0
    bgr: bool = False
    """The network takes B,G,R planes."""
    output: Literal["auto", "logits", "probability"] = "auto"
    """``auto``: probability where the graph ends in a sigmoid or softmax, else logits."""
    channel: int | None = None
    """The one channel that is meant, of several that overlap: a sigmoid network of one class."""
    class_names: tuple[str, ...] = ()
    output_name: str | None = None
    height: int | None = None
    width: int | None = None

    def __post_init__(self) -> None:
        numbers = (*self.mean, *self.std, self.scale)
        if not all(math.isfinite(number) for number in numbers) or self.scale <= 0 or min(self.std) <= 0:
            raise UsageError(
                "mean, std and scale do not make a normalisation",
                found=f"mean {self.mean}, std {self.std}, scale {self.scale:g}",
                expected="finite numbers, std and scale above 0",
            )

    @property
    def preprocess(self) -> PreprocessSpec:
        """The mean and std of RGB in 0..1, kept for the record."""
        unit = self.scale / GREY_LEVELS
        red, green, blue = (value * unit for value in self.mean)
        std = (self.std[0] * unit, self.std[1] * unit, self.std[2] * unit)
        return PreprocessSpec(mean=(red, green, blue), std=std)

    def model_spec(self, channels: int, height: int, width: int) -> ModelSpec:
        """One channel is a sigmoid network; several are softmax, background first.

        Raises:
            UsageError: Class names that do not fit the channels, or a channel that is not there.
        """
        if self.channel is not None:
            if not 0 <= self.channel < channels:
                raise UsageError(
                    "the network has no such channel",
                    found=f"--channel {self.channel}",
                    expected=f"0 to {channels - 1}",
                )
            channels = 1
        names = self.class_names or self._default_names(channels)
        if len(names) == channels - 1:
            names = (BACKGROUND, *names)
        if len(names) != channels:
            raise UsageError(
                "the class names do not fit the network",
                found=f"{len(names)} names for {channels} channels",
                expected=f"{channels} names, the background's first" if channels > 1 else "one name",
            )
        return ModelSpec(
            architecture=ARCHITECTURE,
            classes=names,
            height=height,
            width=width,
            output="sigmoid" if channels == 1 else "softmax",
        )

    @staticmethod
    def _default_names(channels: int) -> tuple[str, ...]:
        if channels == 1:
            return (DEFAULT_CLASS,)
        return (BACKGROUND, *(f"class_{index}" for index in range(1, channels)))
