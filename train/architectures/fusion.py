"""The second half of the ultra-small networks: context at stride 32 and a decoder that adds instead of joining."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from edgeseg.train.architectures.blocks import ResidualSeparableBlock, SeparableBlock, double, enlarge_logits

OUTPUT_STRIDE = 2
"""The logits are made at half the size and upsampled bilinearly."""


class FusionStage(nn.Module):
    """Bring the deeper map and the skip to one width, add them, convolve.

    Adding (Lin et al., 2017, arXiv:1612.03144) needs a fraction of the weights of joining; both are reduced by 1x1
    convolutions, the deeper one before it is doubled.
    """

    def __init__(self, in_channels: int, skip_channels: int, out_channels: int) -> None:
        super().__init__()
        self.deep = nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, bias=False), nn.BatchNorm2d(out_channels))
        self.skip = nn.Sequential(nn.Conv2d(skip_channels, out_channels, 1, bias=False), nn.BatchNorm2d(out_channels))
        self.activation = nn.ReLU(inplace=True)
        self.refine = SeparableBlock(out_channels, out_channels)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Run the stage: x [N,in,H,W], skip [N,skip,2H,2W] -> [N,out,2H,2W]."""
        fused = self.activation(double(self.deep(x)) + self.skip(skip))
        result: Tensor = self.refine(fused)
        return result


class FusionDecoder(nn.Module):
    """Features of strides 2, 4, 8 and 16 -> logits at the picture's size.

    The deepest map is halved once more to stride 32, where two residual blocks with 5x5 depthwise kernels reach across
    a map of 7 to 11 positions: a wide view for few weights, and no dilation.

    Args:
        feature_channels: Channels of the encoder's features, strides 2 to 16.
        context_width: Channels at stride 32.
        widths: Channels at strides 16, 8, 4 and 2.
        out_channels: Channels of the logits.
    """

    def __init__(
        self,
        feature_channels: Sequence[int],
        context_width: int,
        widths: tuple[int, int, int, int],
        out_channels: int = 1,
    ) -> None:
        super().__init__()
        self.context = nn.Sequential(
            SeparableBlock(feature_channels[-1], context_width, kernel_size=5, stride=2),
            ResidualSeparableBlock(context_width, kernel_size=5),
            ResidualSeparableBlock(context_width, kernel_size=5),
        )
        self.whole = nn.Conv2d(context_width, context_width, 1)
        befores = [context_width, *widths[:-1]]
        self.stages = nn.ModuleList(
            FusionStage(before, skip, after)
            for before, skip, after in zip(befores, reversed(feature_channels), widths, strict=True)
        )
        self.last = SeparableBlock(widths[-1], widths[-1])
        self.head = nn.Conv2d(widths[-1], out_channels, 1)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Run the decoder: maps of strides 2, 4, 8, 16 -> logits [N,C,H,W]."""
        x = self.context(features[-1])
        x = x + self.whole(x.mean(dim=(2, 3), keepdim=True))
        for stage, skip in zip(self.stages, reversed(features), strict=True):
            x = stage(x, skip)
        return enlarge_logits(self.head(self.last(x)), OUTPUT_STRIDE)
