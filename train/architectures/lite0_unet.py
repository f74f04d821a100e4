"""A U-Net on the EfficientNet-Lite0 encoder."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from edgeseg.train.architectures.blocks import DecoderStage
from edgeseg.train.architectures.lite0 import FEATURE_CHANNELS, Lite0Encoder


class Lite0UNet(nn.Module):
    """Lite0 encoder, up to five decoder stages, 1x1 head, logits brought to the full size bilinearly.

    Five stages reach the full size. Four stop at half of it and save a quarter of the multiply-adds; outlines of polyps
    are smoother than two pixels.

    Args:
        decoder_widths: Channels of the stages, deepest first.
        out_channels: Channels of the logits.
    """

    def __init__(self, decoder_widths: tuple[int, ...] = (96, 64, 48, 32, 16), out_channels: int = 1) -> None:
        super().__init__()
        self.encoder = Lite0Encoder()
        self.stride = 2 ** (len(FEATURE_CHANNELS) - len(decoder_widths))
        skips = [*FEATURE_CHANNELS[-2::-1], 0]
        befores = [FEATURE_CHANNELS[-1], *decoder_widths[:-1]]
        self.decoder = nn.ModuleList(
            DecoderStage(before, skip, after)
            for before, skip, after in zip(befores, skips, decoder_widths, strict=False)
        )
        self.head = nn.Conv2d(decoder_widths[-1], out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Run the network: float32 [N,3,H,W], normalised, H and W multiples of 32 -> logits [N,C,H,W]."""
        features = self.encoder(x)
        x = features.pop()
        for stage in self.decoder:
            x = stage(x, features.pop() if features else None)
        logits: Tensor = self.head(x)
        return F.interpolate(logits, scale_factor=self.stride, mode="bilinear") if self.stride > 1 else logits
