"""Find the layers that FP16 cannot compute, on a few pictures, before an engine is built that would lose them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

import numpy as np
import onnx
from numpy.typing import NDArray

from edgeseg.artifacts import CalibrationTable, KeptFloat32, PrecisionPlan, Quantity
from edgeseg.calibration.fp16 import half_nodes, layer_name, touching
from edgeseg.calibration.fp16_probes import with_probes
from edgeseg.calibration.fp16_types import LARGEST_FP16, SMALLEST_NORMAL_FP16
from edgeseg.calibration.ranges import extremes
from edgeseg.frames import Frame, resize_to_network
from edgeseg.graph.cleanup import element_types
from edgeseg.graph.onnx_files import OnnxArtifact
from edgeseg.graph.operators import CONVOLUTIONS
from edgeseg.specs import ModelSpec
from edgeseg.synthetic.stills import render_scene

HEADROOM = 2.0
"""A few pictures do not show the largest value there is: what comes within this factor of FP16's end is beyond it."""
COARSE = 2.0**-18
"""Below this FP16, whose numbers lie 2^-24 apart there, is wrong by 1 % and more."""
LARGEST_FLOAT32 = float(np.finfo(np.float32).max)
SCENES = 2
NOISE_BLOCK_PX = 8
SCENE_SIDE_PX = 256
SMALL_GUARDS: dict[str, Collection[int]] = {
    **dict.fromkeys(("Add", "Sub", "Max", "Min", "Where", "Greater", "Less", "Equal", "Pad", "Pow"), range(3)),
    **dict.fromkeys(("Clip", "Resize", "Conv", "ConvTranspose", "Gemm"), (2,)),
    **dict.fromkeys(("InstanceNormalization", "GroupNormalization", "LayerNormalization"), (2,)),
}
"""Operator -> inputs at which a small constant is added, compared or a bound: what it guards is looked at instead."""
OF_ONE_TENSOR = frozenset(
    {
        *("Add", "Sub", "Mul", "Div", "Pow", "Sqrt", "Abs", "Neg", "Max", "Min", "Clip", "Cast", "Identity"),
        *("Reshape", "Squeeze", "Unsqueeze", "Expand", "Transpose"),
        *("ReduceMean", "ReduceSum", "ReduceSumSquare", "ReduceL1", "ReduceL2"),
    }
)
"""Operators through which a small value is followed to what it is made of."""


def beyond_fp16(
    artifact: OnnxArtifact, frames: Iterable[NDArray[np.uint8]], table: CalibrationTable | None = None
) -> tuple[KeptFloat32, ...]:
    """The layers that an FP16 engine could not compute, in the graph's order.

    FP16 loses values, weights and sums inside a layer beyond 65,504; tensors and weights that are smaller than 2^-14
    throughout; and variances, divisors and what a root or a logarithm is taken of that fall to 2^-18, together with the
    layers that compute these.

    Args:
        artifact: The network, float32.
        frames: Pictures at the network's size, uint8 [H,W,3] RGB.
        table: Ranges that a calibration saw; they count as much as those of the pictures.
    """
    proto = artifact.proto
    graph, half = proto.graph, half_nodes(proto)
    probes = with_probes(proto, half)
    types = element_types(proto)
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    touched = {name for index in half for name in (*graph.node[index].input, *graph.node[index].output)}
    floats = [name for name in sorted(touched) if types.get(name) == onnx.TensorProto.FLOAT]
    named = [name for name in floats if name not in constants]
    found = extremes(probes.proto, [*named, *probes.sums, *probes.magnitudes], frames)
    seen = {name: _largest(constants[name]) for name in floats if name in constants}
    seen |= {name: _magnitude(*found[name]) for name in named}
    for name, observed in (table.ranges if table is not None else {}).items():
        if name in seen:
            seen[name] = max(seen[name], _magnitude(observed.minimum, observed.maximum))
    # A weight is known, not seen: it needs no headroom.
    wide = {n: value for n, value in seen.items() if value > LARGEST_FP16 / (1 if n in constants else HEADROOM)}
    small = {name: value for name, value in seen.items() if 0 < value < SMALLEST_NORMAL_FP16}
    kept = {entry.layer: entry for entry in kept_in_float32(proto, wide)}
    others = [*_sums(graph, probes.sums, found), *_small(graph, half, small, constants)]
    for name, (index, tensor) in probes.magnitudes.items():
        lowest = found[name][0]
        if lowest < COARSE * HEADROOM:
            sources = _sources(graph, half, index, tensor, constants)
            others += [_kept(graph.node[source], tensor, lowest, "small") for source in sources]
    for entry in others:
        kept.setdefault(entry.layer, entry)
    order = {layer_name(node): index for index, node in enumerate(graph.node)}
    return tuple(sorted(kept.values(), key=lambda entry: order[entry.layer]))


def kept_in_float32(proto: onnx.ModelProto, wide: Mapping[str, float]) -> tuple[KeptFloat32, ...]:
    """The layers that read or write a tensor whose magnitude passes FP16's range, in the graph's order."""
    graph = proto.graph
    kept = []
    for index in sorted(touching(graph, half_nodes(proto), wide)):
        node = graph.node[index]
        tensor = max((name for name in (*node.input, *node.output) if name in wide), key=lambda name: wide[name])
        kept.append(_kept(node, tensor, wide[tensor], "value"))
    return tuple(kept)


def with_float32_layers(plan: PrecisionPlan, proto: onnx.ModelProto, kept: Iterable[KeptFloat32]) -> PrecisionPlan:
    """A plan in which the convolutions among `kept` are float32, whatever else it says."""
    layers = {entry.layer for entry in kept}
    names = {node.name for node in proto.graph.node if node.op_type in CONVOLUTIONS and node.name in layers}
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


def _kept(node: onnx.NodeProto, tensor: str, magnitude: float, quantity: Quantity) -> KeptFloat32:
    return KeptFloat32(layer=layer_name(node), tensor=tensor, magnitude=magnitude, quantity=quantity)


def _sums(
    graph: onnx.GraphProto, probes: Mapping[str, int], found: Mapping[str, tuple[float, float]]
) -> Iterator[KeptFloat32]:
    for probe, index in probes.items():
        reached = _magnitude(*found[probe])
        if reached > LARGEST_FP16 / HEADROOM:
            node = graph.node[index]
            yield _kept(node, node.input[0], reached, "sum")


def _small(
    graph: onnx.GraphProto, half: Iterable[int], small: Mapping[str, float], constants: Collection[str]
) -> Iterator[KeptFloat32]:
    """The layers that read or write a tensor which is small throughout, and means something there."""
    for index in sorted(half):
        node = graph.node[index]
        guards = SMALL_GUARDS.get(node.op_type, ())
        inputs = (name for at, name in enumerate(node.input) if not (name in constants and at in guards))
        for name in (*inputs, *node.output):
            if name in small:
                yield _kept(node, name, small[name], "small")
                break


def _sources(
    graph: onnx.GraphProto, half: Collection[int], index: int, tensor: str, constants: Collection[str]
) -> list[int]:
    """A layer that needs the digits of a small tensor, and those that compute it of one other tensor, step by step."""
    makers = {name: at for at, node in enumerate(graph.node) for name in node.output}
    found = [index]
    while (maker := makers.get(tensor)) in half and maker not in found:
        assert maker is not None
        node = graph.node[maker]
        found.append(maker)
        data = {
            name for name in node.input[: 1 if node.op_type == "Reshape" else None] if name and name not in constants
        }
        if node.op_type not in OF_ONE_TENSOR or len(data) != 1:
            break
        (tensor,) = data
    return found


def _largest(values: NDArray[np.float32]) -> float:
    """The largest finite magnitude: an infinite constant is one in FP16, too."""
    finite = values[np.isfinite(values)]
    return float(np.abs(finite).max()) if finite.size else 0.0


def _magnitude(low: float, high: float) -> float:
    return float(np.nan_to_num(max(abs(low), abs(high)), nan=LARGEST_FLOAT32, posinf=LARGEST_FLOAT32))
