"""The nodes and constants of an ONNX graph that is written by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from edgeseg.graph.onnx_files import IR_VERSION, OPSETS


class GraphParts:
    """The nodes and constants of a graph, each tensor under a name of its own."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}

    def node(self, operator: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        """Add a node of one output; give the output's name, which is `name` or a new one."""
        output = name or f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def constant(self, value: NDArray[np.generic]) -> str:
        """Add a constant; give its name. Equal ones are one."""
        shape = "x".join(map(str, value.shape)) or "scalar"
        name = f"{value.dtype}_{shape}_{'_'.join(map(str, value.ravel()))}"
        self.constants[name] = numpy_helper.from_array(value, name)
        return name

    def integers(self, *values: int) -> str:
        """Add an int64 vector; give its name."""
        return self.constant(np.array(values, np.int64))

    def cast(self, tensor: str, kind: int) -> str:
        """Convert a tensor to another element type of ONNX."""
        return self.node("Cast", tensor, to=kind)

    def dimension(self, tensor: str, axis: int) -> str:
        """Read one dimension of a tensor as an int64 scalar."""
        return self.node("Squeeze", self.node("Shape", tensor, start=axis, end=axis + 1))

    def graph(
        self, name: str, inputs: Sequence[onnx.ValueInfoProto], outputs: Sequence[onnx.ValueInfoProto]
    ) -> onnx.ModelProto:
        """Put a model together, checked."""
        graph = helper.make_graph(self.nodes, name, inputs, outputs, list(self.constants.values()))
        opset = helper.make_opsetid("", OPSETS[-1])
        model = helper.make_model(graph, ir_version=IR_VERSION, opset_imports=[opset], producer_name="edgeseg")
        onnx.checker.check_model(model)
        return model
