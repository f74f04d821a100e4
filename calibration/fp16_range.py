"""Find the tensors that pass FP16's range, on a few pictures, before an engine is built that would lose them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import onnx
from numpy.typing import NDArray

from edgeseg.artifacts import CalibrationTable, KeptFloat32, PrecisionPlan
from edgeseg.calibration.fp16 import half_nodes, touching
from edgeseg.calibration.fp16_types import LARGEST_FP16
from edgeseg.calibration.ranges import extremes
from edgeseg.frames import Frame, resize_to_network
from edgeseg.graph.cleanup import element_types
from edgeseg.graph.files import OnnxArtifact
from edgeseg.graph.operators import CONVOLUTIONS
from edgeseg.specs import ModelSpec
from edgeseg.synthetic.stills import render_scene

HEADROOM = 2.0
"""A few pictures do not show the largest value there is: what comes within this factor of FP16's end is beyond it."""
LARGEST_FLOAT32 = float(np.finfo(np.float32).max)
SCENES = 2
NOISE_BLOCK_PX = 8
SCENE_SIDE_PX = 256


def beyond_fp16(
    artifact: OnnxArtifact, frames: Iterable[NDArray[np.uint8]], table: CalibrationTable | None = None
) -> dict[str, float]:
    """The tensors that an FP16 engine could not hold, with the largest magnitude that was seen in each.

    Args:
        artifact: The network, float32.
        frames: Pictures at the network's size, uint8 [H,W,3] RGB.
        table: Ranges that a calibration saw; they count as much as those of the pictures.

    Returns:
        Tensor name -> magnitude, at most float32's largest number; weights too.
    """
    graph = artifact.proto.graph
    types, half = element_types(artifact.proto), half_nodes(artifact.proto)
    constants = {tensor.name: tensor for tensor in graph.initializer}
    touched = {name for index in half for name in (*graph.node[index].input, *graph.node[index].output)}
    floats = [name for name in sorted(touched) if types.get(name) == onnx.TensorProto.FLOAT]
    seen = {name: _largest(onnx.numpy_helper.to_array(constants[name])) for name in floats if name in constants}
    for name, (low, high) in extremes(artifact.proto, [n for n in floats if n not in constants], frames).items():
        seen[name] = _magnitude(low, high)
    for name, observed in (table.ranges if table is not None else {}).items():
        if name in seen:
            seen[name] = max(seen[name], _magnitude(observed.minimum, observed.maximum))
    # A weight is known, not seen: it needs no headroom.
    return {
        name: value for name, value in seen.items() if value > LARGEST_FP16 / (1 if name in constants else HEADROOM)
    }


def kept_in_float32(proto: onnx.ModelProto, wide: Mapping[str, float]) -> tuple[KeptFloat32, ...]:
    """The layers that FP16 leaves out for the sake of `beyond_fp16`, in the graph's order."""
    graph = proto.graph
    kept = []
    for index in sorted(touching(graph, half_nodes(proto), wide)):
        node = graph.node[index]
        tensor = max((name for name in (*node.input, *node.output) if name in wide), key=lambda name: wide[name])
        kept.append(KeptFloat32(layer=node.name or node.output[0], tensor=tensor, magnitude=wide[tensor]))
    return tuple(kept)


def with_float32_layers(plan: PrecisionPlan, proto: onnx.ModelProto, wide: Mapping[str, float]) -> PrecisionPlan:
    """A plan in which the convolutions that touch a tensor of `wide` are float32, whatever else it says."""
    nodes = proto.graph.node
    touched = sorted(touching(proto.graph, range(len(nodes)), wide))
    names = {nodes[index].name for index in touched if nodes[index].op_type in CONVOLUTIONS}
    others = {pattern: precision for pattern, precision in plan.layers.items() if pattern not in names}
    return plan.model_copy(update={"layers": {**others, **dict.fromkeys(sorted(names), "fp32")}}) if names else plan


def typical_frames(model: ModelSpec) -> list[Frame]:
    """Pictures for a network of which nobody brought any: noise, noise in blocks, black, white, synthetic endoscopy."""
    rng = np.random.default_rng(0)
    height, width = model.height, model.width
    rows, columns = -(-height // NOISE_BLOCK_PX), -(-width // NOISE_BLOCK_PX)
    blocks = rng.integers(0, 256, (rows, columns, 3), dtype=np.uint8)
    large = blocks.repeat(NOISE_BLOCK_PX, axis=0).repeat(NOISE_BLOCK_PX, axis=1)[:height, :width]
    scenes = [render_scene(seed, SCENE_SIDE_PX, SCENE_SIDE_PX, polyps=1)[0] for seed in range(SCENES)]
    return [
        rng.integers(0, 256, (height, width, 3), dtype=np.uint8),
        np.ascontiguousarray(large),
        *(np.full((height, width, 3), level, np.uint8) for level in (0, 255)),
        *(resize_to_network(scene, height, width) for scene in scenes),
    ]


def _largest(values: NDArray[np.float32]) -> float:
    """The largest finite magnitude: an infinite constant is one in FP16, too."""
    finite = values[np.isfinite(values)]
    return float(np.abs(finite).max()) if finite.size else 0.0


def _magnitude(low: float, high: float) -> float:
    return float(np.nan_to_num(max(abs(low), abs(high)), nan=LARGEST_FLOAT32, posinf=LARGEST_FLOAT32))
