"""edgeseg's INT8 graph against the one that ONNX Runtime's own quantiser makes: same weights, images, threads, one run.

Usage: python benchmarks/int8_peers.py MODEL DATA     MODEL: an .onnx file or a package; DATA: with train and test
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from edgeseg.calibration.placement import default_plan
from edgeseg.calibration.quantise import cpu_style, quantise
from edgeseg.calibration.ranges import calibrate
from edgeseg.calibration.selection import choose_images
from edgeseg.dataset import load_images, load_pairs
from edgeseg.export.builders.onnxruntime_builder import int8_convolutions
from edgeseg.frames import resize_to_network
from edgeseg.graph.onnx_files import OnnxArtifact, load_onnx, serialize
from edgeseg.images import read_rgb
from edgeseg.optional import require
from edgeseg.packages import find_model, onnx_of
from edgeseg.proof.verdict.evaluation import evaluate
from edgeseg.runtime.engine.local_engine import engine_of
from edgeseg.runtime.engine.session import SessionInfo
from edgeseg.runtime.onnxruntime.onnxruntime_session import OnnxRuntimeSession
from edgeseg.specs import INPUT_NAME

CALIBRATION_IMAGES, ROUNDS = 64, 40
quantization: Any = require("onnxruntime.quantization")


class Frames(quantization.CalibrationDataReader):  # type: ignore[misc]
    """The calibration frames, as onnxruntime.quantization wants them."""

    def __init__(self, frames: list[np.ndarray[Any, Any]]) -> None:
        self._frames = iter(frames)

    def get_next(self) -> dict[str, np.ndarray[Any, Any]] | None:
        """The next frame, or None at the end."""
        frame = next(self._frames, None)
        return None if frame is None else {INPUT_NAME: frame[None]}


def peer(
    artifact: OnnxArtifact, frames: list[np.ndarray[Any, Any]], activation: Any, keep: tuple[str, ...] = ()
) -> bytes:
    """Quantise by onnxruntime.quantization: QDQ, per channel, its default MinMax calibration; `keep` stays float."""
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder) / "source.onnx", Path(folder) / "out.onnx"
        source.write_bytes(serialize(artifact.proto))
        quantization.quantize_static(
            source,
            out,
            Frames(frames),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            activation_type=activation,
            weight_type=quantization.QuantType.QInt8,
            nodes_to_exclude=list(keep),
            op_types_to_quantize=["Conv", "Add", "Concat", "Resize", "MaxPool"],
        )
        return serialize(onnx.load(out))


def main(model: Path, data: Path) -> None:
    """Print one line a graph: Dice, drop, time against float32."""
    artifact = load_onnx(onnx_of(find_model(model)))
    spec = artifact.metadata.model
    paths = choose_images(load_images(data, "train"), CALIBRATION_IMAGES)
    frames = [resize_to_network(read_rgb(path), spec.height, spec.width) for path in paths]
    ends = tuple(default_plan(artifact.proto, "int8").layers)
    table = calibrate(artifact, paths)
    graphs = {
        "float32": serialize(artifact.proto),
        "edgeseg int8": serialize(quantise(artifact, table, cpu_style(table)).proto),
        "onnxruntime.quantization uint8": peer(artifact, frames, quantization.QuantType.QUInt8),
        "the same, ends float as ours": peer(artifact, frames, quantization.QuantType.QUInt8, ends),
        "onnxruntime.quantization int8": peer(artifact, frames, quantization.QuantType.QInt8),
    }
    info = SessionInfo(spec, artifact.metadata.preprocess, "onnxruntime", "fp32", artifact.sha256)
    sessions = {name: OnnxRuntimeSession(graph, info, threads=1) for name, graph in graphs.items()}
    times: dict[str, list[float]] = {name: [] for name in sessions}
    for _ in range(ROUNDS):
        for name, session in sessions.items():
            started = time.perf_counter()
            session.infer(frames[0][None])
            times[name].append((time.perf_counter() - started) * 1e3)
    pairs = load_pairs(data, "test")
    reference, base = evaluate(engine_of(sessions["float32"]), pairs).mean_dice, statistics.median(times["float32"])
    for name, session in sessions.items():
        dice, median = evaluate(engine_of(session), pairs).mean_dice, statistics.median(times[name])
        print(
            f"{name:32s} Dice {dice:.4f} drop {reference - dice:+.4f}  {median:6.1f} ms x{base / median:.2f}  "
            f"INT8 convolutions {int8_convolutions(graphs[name])}"
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
