"""Operators of ONNX that more than one part of edgeseg treats alike."""

from __future__ import annotations

CONVOLUTIONS = frozenset({"Conv", "ConvTranspose"})
QUANTISERS = frozenset({"QuantizeLinear", "DequantizeLinear"})
