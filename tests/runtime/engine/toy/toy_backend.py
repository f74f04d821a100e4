"""A backend of another package: it computes the network of the fixture `tiny_onnx` with numpy.

Its engine is that network's two tensors as JSON. test_toy_backend.py installs this file beside edgeseg, not into it.
"""

from __future__ import annotations

import json

import numpy as np
import onnx

from edgeseg.artifacts import EngineArtifact
from edgeseg.errors import BadInputError
from edgeseg.export.builders.builder import BuildRequest, BuiltEngine, refuse_options
from edgeseg.export.layers.layer_report import Layer, LayerReport, report_of
from edgeseg.machine.doctor.requirements import OptionalPackage, Requirements
from edgeseg.runtime.engine.backends import Backend
from edgeseg.runtime.engine.engine_layout import SessionLayout
from edgeseg.runtime.passport.bindings import EngineBinding, check_instruction_set
from edgeseg.runtime.passport.passports import session_info

__version__ = "7.1"


class ToyBuilder:
    name = "toy"
    beside_int8 = "fp32"
    what_is_here = "a toy is here"

    def __init__(self, options=None) -> None:
        refuse_options(self.name, options)

    def build(self, request: BuildRequest, say=None) -> BuiltEngine:
        tensors = {item.name: onnx.numpy_helper.to_array(item) for item in request.artifact.proto.graph.initializer}
        weights = {"weight": tensors["weight"].ravel().tolist(), "bias": float(tensors["bias"][0])}
        return BuiltEngine(json.dumps(weights).encode(), __version__, convolutions=1, int8_convolutions=0)

    def why_not_int8(self, request, built) -> None:
        return None


class ToySession:
    def __init__(self, data: bytes, passport: EngineArtifact, layout: SessionLayout) -> None:
        self.info, self._weights = session_info(passport), json.loads(data)

    def infer(self, frames):
        logits = frames.astype(np.float32) @ np.float32(self._weights["weight"]) + np.float32(self._weights["bias"])
        return 1 / (1 + np.exp(-logits[:, np.newaxis]))

    def close(self) -> None:
        pass


def check_file(data: bytes, origin: str) -> None:
    try:
        json.loads(data)
    except ValueError as error:
        raise BadInputError(f"{origin} is no toy", found=error) from error


def layers(data: bytes, passport: EngineArtifact) -> LayerReport:
    return report_of(passport, [Layer(name="dot", type="Toy", precision="fp32")], None, "toys are not timed")


BINDING = EngineBinding(check_instruction_set, check_file)
REQUIREMENTS = Requirements(check=OptionalPackage("toy", "toy_backend", "plays", "pip install toy"))
BACKEND = Backend(
    name="toy",
    package="toy_backend",
    device="cpu",
    input="network",
    opener="toy_backend:ToySession",
    builder="toy_backend:ToyBuilder",
    binding="toy_backend:BINDING",
    layers="toy_backend:layers",
    requirements="toy_backend:REQUIREMENTS",
)
