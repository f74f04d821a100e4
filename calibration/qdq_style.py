"""The choices in which the Q/DQ graphs of the backends differ."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import DTypeLike

from edgeseg.artifacts import CalibrationTable
from edgeseg.calibration.fp16_types import SMALLEST_NORMAL_FP16
from edgeseg.calibration.placement_rules import RESIDUAL_INPUTS, SHARED_CONCATENATIONS, PlacementRule
from edgeseg.calibration.weight_levels import PAIR_LIMIT


@dataclass(frozen=True)
class QdqStyle:
    """The choices in which the backends' Q/DQ graphs differ."""

    scale_dtype: DTypeLike = np.float32
    """The type in which scales will be stored; values are rounded to it before weights are quantised with them."""
    uint8_activations: bool = False
    """Store activations as uint8: tensors without negative values use 0..255 with zero point 0, others the levels of
    int8 shifted by a zero point of 128."""
    asymmetric: bool = False
    """Give all 256 levels to the range of a tensor that lies mostly on one side of zero (HardSwish, GELU, SiLU)."""
    whole_tensors: bool = False
    """Quantise convolutions' outputs too, and let every reader of a quantised tensor see the dequantised one, so that
    pooling, upsampling, concatenation and addition between convolutions work on INT8."""

    pair_limit: int | None = None
    """Largest sum of two weights of one sign in a channel, in levels; None does not limit them."""
    corrects_biases: bool = False
    """Add to biases what the calibration table has for them; it was measured on graphs of this style."""
    rules: tuple[PlacementRule, ...] = ()
    """The rules of placement that the Q/DQ pairs follow beyond the convolutions' inputs."""

    @property
    def smallest_scale(self) -> float:
        """Below this a scale loses precision in its type."""
        return SMALLEST_NORMAL_FP16 if np.dtype(self.scale_dtype) == np.float16 else float(np.finfo(np.float32).tiny)


ONNXRUNTIME_STYLE = QdqStyle(uint8_activations=True, whole_tensors=True, pair_limit=PAIR_LIMIT, corrects_biases=True)
"""Lets ONNX Runtime fuse a convolution into QLinearConv (float32 scales, outputs quantised as well, one type for both,
ReLU implied by the unsigned range), and keeps the sums of a processor without VNNI from saturating. Levels are
symmetric; `cpu_style` says what a network's own trial decided."""
TENSORRT_STYLE = QdqStyle(scale_dtype=np.float16, rules=(RESIDUAL_INPUTS, SHARED_CONCATENATIONS))
"""Scales as they will stand in an FP16 graph; TensorRT takes signed symmetric INT8 only."""


def cpu_style(table: CalibrationTable) -> QdqStyle:
    """The style of ONNX Runtime and OpenVINO, with asymmetric levels where the table's trial has them better."""
    return replace(ONNXRUNTIME_STYLE, asymmetric=table.asymmetry is not None and table.asymmetry.asymmetric)
