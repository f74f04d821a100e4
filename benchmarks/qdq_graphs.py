"""Compares shapes of the Q/DQ graph on ONNX Runtime: one thread, one frame, graphs alternated in one run.

Usage: python benchmarks/qdq_graphs.py MODEL IMAGES     MODEL: an .onnx file or a package; IMAGES: any folder of images
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

from edgeseg.calibration.qdq_style import ONNXRUNTIME_STYLE, QdqStyle
from edgeseg.calibration.quantise import quantise
from edgeseg.calibration.ranges import calibrate
from edgeseg.calibration.selection import choose_images
from edgeseg.dataset import load_images
from edgeseg.export.builders.onnxruntime_builder import int8_convolutions
from edgeseg.frames import resize_to_network
from edgeseg.graph.onnx_files import load_onnx, serialize
from edgeseg.images import read_rgb
from edgeseg.packages import find_model, onnx_of
from edgeseg.runtime.engine.session import SessionInfo
from edgeseg.runtime.onnxruntime.onnxruntime_session import OnnxRuntimeSession

STYLES = {
    "int8 activations, inputs of convolutions": QdqStyle(),
    "uint8 activations, inputs of convolutions": QdqStyle(uint8_activations=True),
    "uint8 activations, inputs and outputs": ONNXRUNTIME_STYLE,
}
ROUNDS = 36


def main(model: Path, images: Path) -> None:
    """Print one line a graph."""
    artifact = load_onnx(onnx_of(find_model(model)))
    spec = artifact.metadata.model
    paths = choose_images(load_images(images, "train"), 32)
    table = calibrate(artifact, paths)
    graphs = {"float32": serialize(artifact.proto)}
    graphs |= {name: serialize(quantise(artifact, table, style).proto) for name, style in STYLES.items()}
    info = SessionInfo(spec, artifact.metadata.preprocess, "onnxruntime", "fp32", artifact.sha256)
    sessions = {name: OnnxRuntimeSession(data, info, threads=1) for name, data in graphs.items()}
    frame = resize_to_network(read_rgb(paths[0]), spec.height, spec.width)[None]
    times: dict[str, list[float]] = {name: [] for name in sessions}
    for _ in range(ROUNDS):
        for name, session in sessions.items():
            started = time.perf_counter()
            session.infer(frame)
            times[name].append((time.perf_counter() - started) * 1e3)
    reference = statistics.median(times["float32"])
    for name, values in times.items():
        median = statistics.median(values)
        print(f"{name:45s} {median:7.1f} ms  x{reference / median:.2f}  QLinearConv {int8_convolutions(graphs[name])}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
