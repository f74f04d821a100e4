"""A U-Net on the EfficientNet-Lite0 encoder."""

from __future__ import annotations

from torch import Tensor, nn

from edgeseg.train.architectures.blocks import DecoderStage
from edgeseg.train.architectures.lite0 import FEATURE_CHANNELS, Lite0Encoder


class Lite0UNet(nn.Module):
    """Lite0 encoder, five decoder stages back to the full size, 1x1 head.

    Args:
        decoder_widths: Channels of the five stages, deepest first.
        out_channels: Channels of the logits.
    """

    def __init__(self, decoder_widths: tuple[int, ...] = (96, 64, 48, 32, 16), out_channels: int = 1) -> None:
        super().__init__()
        self.encoder = Lite0Encoder()
        skips = [*FEATURE_CHANNELS[-2::-1], 0]
        befores = [FEATURE_CHANNELS[-1], *decoder_widths[:-1]]
        self.decoder = nn.ModuleList(
            DecoderStage(before, skip, after)
            for before, skip, after in zip(befores, skips, decoder_widths, strict=True)
        )
        self.head = nn.Conv2d(decoder_widths[-1], out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Run the network: float32 [N,3,H,W], normalised, H and W multiples of 32 -> logits [N,C,H,W]."""
        features = self.encoder(x)
        x = features.pop()
        for stage in self.decoder:
            x = stage(x, features.pop() if features else None)
        logits: Tensor = self.head(x)
        return logits
