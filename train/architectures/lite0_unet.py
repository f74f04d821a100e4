"""U-Nets on the EfficientNet-Lite0 encoder."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from edgeseg.train.architectures.blocks import DecoderStage, SeparableDecoderStage, enlarge_logits
from edgeseg.train.architectures.context import PyramidContext
from edgeseg.train.architectures.lite0 import FEATURE_CHANNELS, Lite0Encoder
from edgeseg.train.model_recipe import ModelRecipe


class Lite0UNet(nn.Module):
    """Lite0 encoder, decoder stages back to the full size or a fraction of it, 1x1 head.

    Args:
        decoder_widths: Channels of the stages, deepest first. Five end at the full size, four at half of it and so on;
            the logits are then upsampled bilinearly. Outlines of polyps are smoother than two pixels.
        separable: Build the decoder of depthwise and 1x1 convolutions instead of 3x3 ones.
        context_width: Channels of a `PyramidContext` between encoder and decoder; 0 leaves it out.
        out_channels: Channels of the logits.
    """

    encoder_class: ClassVar[type[Lite0Encoder]] = Lite0Encoder
    feature_channels: ClassVar[tuple[int, ...]] = FEATURE_CHANNELS

    def __init__(
        self,
        decoder_widths: tuple[int, ...] = (96, 64, 48, 32, 16),
        *,
        separable: bool = False,
        context_width: int = 0,
        out_channels: int = 1,
    ) -> None:
        super().__init__()
        channels = self.feature_channels
        self.encoder = self.encoder_class()
        deepest = context_width or channels[-1]
        self.context = PyramidContext(channels[-1], context_width) if context_width else nn.Identity()
        stage = SeparableDecoderStage if separable else DecoderStage
        skips = [*channels[-2::-1], 0][: len(decoder_widths)]
        befores = [deepest, *decoder_widths[:-1]]
        self.decoder = nn.ModuleList(
            stage(before, skip, after) for before, skip, after in zip(befores, skips, decoder_widths, strict=True)
        )
        self.head = nn.Conv2d(decoder_widths[-1], out_channels, 1)
        self.output_stride = 2 ** (len(channels) - len(decoder_widths))

    def forward(self, x: Tensor) -> Tensor:
        """Run the network: float32 [N,3,H,W], normalised, H and W multiples of 32 -> logits [N,C,H,W]."""
        features = self.encoder(x)
        x = self.context(features.pop())
        for stage in self.decoder:
            x = stage(x, features.pop() if features else None)
        return enlarge_logits(self.head(x), self.output_stride)


def from_recipe(recipe: ModelRecipe) -> Lite0UNet:
    """The network as a recipe describes it."""
    return Lite0UNet(
        recipe.decoder_widths,
        separable=recipe.decoder == "separable",
        context_width=recipe.context_width,
        out_channels=recipe.out_channels,
    )
