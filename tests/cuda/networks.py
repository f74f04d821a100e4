"""A network for these tests: the small U-Net of tests/conftest.py at another input size, half of its pixels marked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from edgeseg.frames import Frame
from edgeseg.graph.onnx_files import load_onnx, serialize, with_metadata
from edgeseg.runtime.engine.inputs import PackedFrame
from edgeseg.runtime.engine.one_frame import probability_of
from edgeseg.runtime.opener.engine_from_file import open_engine
from edgeseg.runtime.opener.use import Use
from edgeseg.specs import Crop, ModelMetadata, ModelSpec, PreprocessSpec


def resized_network(small: Path, path: Path, height: int, width: int, typical: Frame, crop: Crop | None = None) -> Path:
    """Write the small network for another input size, its last bias set so that it marks half of a typical frame."""
    proto: Any = load_onnx(small).proto
    for tensor, shape in ((proto.graph.input[0], (height, width)), (proto.graph.output[0], (height, width))):
        first = 1 if tensor is proto.graph.input[0] else 2
        for offset, extent in enumerate(shape):
            tensor.type.tensor_type.shape.dim[first + offset].dim_value = extent
    model = ModelSpec(architecture="small", height=height, width=width)
    proto = with_metadata(proto, ModelMetadata(model=model, preprocess=PreprocessSpec(crop=crop)))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(serialize(proto))
    probability = np.clip(probability_of(open_engine(path, Use(1)), PackedFrame(typical, "rgb")), 1e-6, 1 - 1e-6)
    middle = float(np.median(np.log(probability / (1 - probability))))
    _shift_bias(proto, "head.bias", -middle)
    path.write_bytes(serialize(proto))
    return path


def _shift_bias(proto: onnx.ModelProto, name: str, by: float) -> None:
    for tensor in proto.graph.initializer:
        if tensor.name == name:
            shifted = numpy_helper.to_array(tensor) + np.float32(by)
            tensor.CopyFrom(numpy_helper.from_array(shifted.astype(np.float32), name))
