"""Starting points for quantisation-aware training without a training before it."""

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import numpy_helper
from torch import nn

from edgeseg.artifacts import CalibrationTable, Range
from edgeseg.calibration.placement import activations, default_plan
from edgeseg.calibration.quantise import quantise
from edgeseg.calibration.ranges import extremes
from edgeseg.graph.onnx_files import OnnxArtifact, serialize
from edgeseg.train.qat.fake_quantised_network import FakeQuantisedNetwork
from edgeseg.train.qat.starting_point import StartingPoint
from edgeseg.train.recipe import Recipe


class Weights(nn.Module):
    """The float weights of a hand-made graph under their own names, as a network would hold them."""

    def __init__(self, proto: onnx.ModelProto) -> None:
        super().__init__()
        for tensor in proto.graph.initializer:
            convolution, _, name = tensor.name.rpartition(".")
            if name in ("weight", "bias"):
                if not hasattr(self, convolution):
                    self.add_module(convolution, nn.Module())
                values = torch.from_numpy(numpy_helper.to_array(tensor).copy())
                self.get_submodule(convolution).register_parameter(name, nn.Parameter(values))


def ranges_on(artifact: OnnxArtifact, frames: np.ndarray, share: float = 1.0) -> CalibrationTable:
    """A table of the ranges on some frames; `share` below 1 clips."""
    found = extremes(artifact.proto, activations(artifact.proto), list(frames))
    ranges = {
        name: Range(minimum=low, maximum=high, amax=share * max(-low, high)) for name, (low, high) in found.items()
    }
    return CalibrationTable(
        method="max",
        image_count=len(frames),
        data_sha256="",
        weights_sha256=artifact.weights_sha256,
        ranges=ranges,
    )


def qdq_graph(network: FakeQuantisedNetwork, start: StartingPoint) -> onnx.ModelProto:
    """The graph that the exporter writes with the ranges and weights that a network has now."""
    proto = onnx.ModelProto.FromString(start.artifact.proto.SerializeToString())
    for tensor in proto.graph.initializer:
        if tensor.name in start.parameters:
            values = network.network.get_parameter(start.parameters[tensor.name]).detach().numpy()
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    artifact = OnnxArtifact(start.artifact.path, "", start.artifact.metadata, proto)
    ranges = {**start.table.ranges, **network.ranges()}
    table = start.table.model_copy(update={"ranges": ranges, "weights_sha256": artifact.weights_sha256})
    return quantise(artifact, table, network.style, default_plan(proto, "int8", "fp32")).proto


def starting_point_of(artifact: OnnxArtifact, frames: np.ndarray, share: float = 1.0) -> StartingPoint:
    """A hand-made graph as a trained network."""
    network = Weights(artifact.proto)
    names = {name: name for name, _ in network.named_parameters()}
    return StartingPoint(Recipe(), "0" * 64, network, artifact, ranges_on(artifact, frames, share), names)


def computed(proto: onnx.ModelProto, frames: np.ndarray, *, as_written: bool) -> np.ndarray:
    """Run a graph in ONNX Runtime: node by node as it is written, or optimised as an engine runs it."""
    levels = onnxruntime.GraphOptimizationLevel
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = levels.ORT_DISABLE_ALL if as_written else levels.ORT_ENABLE_ALL
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(serialize(proto), options, providers=["CPUExecutionProvider"])
    result: np.ndarray = session.run(None, {"frame": frames})[0]
    return result
