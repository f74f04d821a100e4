from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

FOREIGN_SIZE = 16


@dataclass(frozen=True)
class ForeignNetwork:
    """A small U-Net as others export it: float NCHW in, batch norms, Constant nodes, Dropout, Identity, Pad.

    stem (Pad before, batch norm after) -> down (pooled) -> up (Resize to the size that Shape tells) -> joined -> head.
    """

    opset: int = 17
    channels: int = 1
    half: bool = False
    batch: int | str = "batch"
    size: tuple[int | str, int | str] = (FOREIGN_SIZE, FOREIGN_SIZE)
    activation: str | None = None
    small_output: bool = False
    """Without the upsampling: half the input's size."""
    resize: dict[str, Any] | None = None
    """Attributes of Resize."""

    def proto(self) -> Any:
        rng = np.random.default_rng(7)
        dtype = np.float16 if self.half else np.float32
        kind = TensorProto.FLOAT16 if self.half else TensorProto.FLOAT
        tensors, nodes = [], []

        def tensor(name: str, values: Any, as_type: Any = dtype) -> str:
            tensors.append(numpy_helper.from_array(np.asarray(values, as_type), name))
            return name

        def add(operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
            nodes.append(helper.make_node(operator, inputs, [output], name=f"/net/{output}/{operator}", **attributes))
            return output

        def conv(name: str, source: str, before: int, after: int, kernel: int = 3, **attributes: Any) -> str:
            weight = rng.normal(0, 1.5 / np.sqrt(before * kernel * kernel), (after, before, kernel, kernel))
            bias = rng.normal(1.0 if name == "head" else 0.0, 0.2, after)  # about as much polyp as none
            inputs = [source, tensor(f"{name}.weight", weight), tensor(f"{name}.bias", bias)]
            return add("Conv", inputs, f"{name}_conv", **attributes)

        def norm(name: str, source: str, channels: int) -> str:
            parts = (("scale", 0.5, 1.5), ("shift", -0.3, 0.3), ("mean", -0.2, 0.2), ("var", 0.5, 2.0))
            names = [tensor(f"{name}.{part}", rng.uniform(low, high, channels)) for part, low, high in parts]
            return add("BatchNormalization", [source, *names], f"{name}_norm", epsilon=1e-3)

        pads = helper.make_tensor("", TensorProto.INT64, [8], [0, 0, 1, 1, 0, 0, 1, 1])
        add("Constant", [], "pads", value=pads)
        add("Pad", ["image", "pads"], "padded")
        add("Relu", [norm("stem", conv("stem", "padded", 3, 8), 8)], "stem_relu")
        add("Identity", ["stem_relu"], "same")
        add("MaxPool", ["same"], "pooled", kernel_shape=[2, 2], strides=[2, 2])
        add("Relu", [norm("down", conv("down", "pooled", 8, 8, pads=[1] * 4), 8)], "down_relu")
        last = add("Dropout", ["down_relu"], "dropped")
        width = 8
        if not self.small_output:
            add("Shape", ["stem_relu"], "shape")
            region = tensor("region", [], np.float32)
            settings = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
            add(
                "Resize",
                ["dropped", region, "" if self.opset > 12 else region, "shape"],
                "larger",
                **(self.resize or settings),
            )
            last, width = add("Concat", ["larger", "stem_relu"], "joined", axis=1), 16
        add("Relu", [conv("up", last, width, 8, pads=[1] * 4)], "up_relu")
        result = conv("head", "up_relu", 8, self.channels, 1)
        if self.activation is not None:
            attributes = {"axis": 1} if self.activation == "Softmax" else {}
            result = add(self.activation, [result], "activated", **attributes)
        graph = helper.make_graph(
            nodes,
            "foreign",
            [helper.make_tensor_value_info("image", kind, [self.batch, 3, *self.size])],
            [helper.make_tensor_value_info(result, kind, [None] * 4)],
            tensors,
        )
        opsets = [helper.make_opsetid("", self.opset)]
        return helper.make_model(graph, ir_version=10 if self.opset > 20 else 8, opset_imports=opsets)
