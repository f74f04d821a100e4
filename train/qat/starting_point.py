"""The trained network that quantisation-aware training begins with, and its graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from edgeseg.artifacts import CalibrationTable
from edgeseg.graph.onnx_files import OnnxArtifact
from edgeseg.train.recipe import Recipe


@dataclass(frozen=True)
class StartingPoint:
    """A float network of which `edgeseg.export.torch.qat_start` made an INT8 graph's ingredients."""

    recipe: Recipe
    """The recipe that it was trained with."""
    checkpoint_sha256: str
    network: nn.Module
    """On the CPU, in evaluation mode, its batch norm folded."""
    artifact: OnnxArtifact
    """The same network, exported."""
    table: CalibrationTable
    """Its ranges alone: training learns what a calibration would choose for biases and levels."""
    parameters: Mapping[str, str]
    """Initialiser of the graph -> the network's parameter that it holds."""
