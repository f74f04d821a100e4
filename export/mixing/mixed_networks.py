"""Opens the network under a precision plan, and float32, to segment pictures here."""

from __future__ import annotations

import zlib
from dataclasses import replace

import numpy as np

from edgeseg.artifacts import PrecisionPlan
from edgeseg.calibration.fp16_range import with_float32_layers
from edgeseg.calibration.qdq_style import TENSORRT_STYLE
from edgeseg.calibration.quantise import quantise
from edgeseg.dataset import Pair
from edgeseg.errors import BadInputError
from edgeseg.export.builders.builder import BuildRequest, EngineBuilder
from edgeseg.export.passport_from_build import passport_from_build
from edgeseg.frames import Frame, Mask
from edgeseg.graph.onnx_files import OnnxArtifact, serialize
from edgeseg.proof.verdict.evaluation import segment_named
from edgeseg.runtime.engine.backends import EVERYWHERE, backend_named, on_cpu
from edgeseg.runtime.engine.engine import Engine
from edgeseg.runtime.engine.engine_layout import SessionLayout
from edgeseg.runtime.engine.session import Session, SessionInfo
from edgeseg.runtime.onnxruntime.onnxruntime_session import OnnxRuntimeSession


def open_under_plan(builder: EngineBuilder, request: BuildRequest, plan: PrecisionPlan) -> Session:
    """Open the engine that a plan gives: a CPU backend's own, or a stand-in for one that needs a GPU.

    The stand-in holds the float32 graph with the Q/DQ pairs and the scales that TensorRT is given, computed by ONNX
    Runtime in float32: INT8's rounding is there, FP16's and the kernels' are not.

    Args:
        builder: The target's.
        request: What the engine is built from; its own plan counts for nothing.
        plan: The precision of each convolution.
    """
    request = replace(request, plan=plan)
    if on_cpu(builder.name):
        built = builder.build(request)
        opener = backend_named(builder.name).load("opener")
        session: Session = opener(built.data, passport_from_build(request, built, builder), SessionLayout())
        return session
    if request.table is None:
        raise BadInputError("INT8 needs a calibration table, and there is none", expected="--calibration FILE")
    plan = with_float32_layers(plan, request.artifact.proto, request.kept_float32)
    proto = quantise(request.artifact, request.table, TENSORRT_STYLE, plan).proto
    return _on_onnxruntime(request.artifact, serialize(proto))


def open_float32(artifact: OnnxArtifact) -> Session:
    """Open the network in float32 on ONNX Runtime, the reference of every mix."""
    return _on_onnxruntime(artifact, serialize(artifact.proto))


def _on_onnxruntime(artifact: OnnxArtifact, data: bytes) -> Session:
    metadata = artifact.metadata
    info = SessionInfo(metadata.model, metadata.preprocess, EVERYWHERE, "fp32", artifact.sha256)
    return OnnxRuntimeSession(data, info)


class RememberedMasks:
    """The reference's mask of each picture, computed once; compressed, since many runs are held against them.

    Args:
        reference: The network in float32.
    """

    def __init__(self, reference: Engine) -> None:
        self._reference = reference
        self._masks: dict[Pair, bytes] = {}

    def __call__(self, pair: Pair, frame: Frame) -> Mask:
        """The mask of a pair's frame, uint8 [H,W].

        Raises:
            NotFiniteError: The reference gave NaN or infinity.
        """
        if pair not in self._masks:
            mask = segment_named(self._reference, frame, pair.name)
            self._masks[pair] = zlib.compress(mask.tobytes(), 1)
            return mask
        return np.frombuffer(zlib.decompress(self._masks[pair]), np.uint8).reshape(frame.shape[:2])
