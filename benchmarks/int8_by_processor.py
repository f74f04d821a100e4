"""What INT8 costs and gains on this kind of processor: accuracy, lost polyps, changed pixels, time against float32.

Usage: python benchmarks/int8_by_processor.py DATA MODEL...     DATA: with a test split; MODEL: packages
As on an x86 processor without VNNI: tests/older_processor/as_avx2 python benchmarks/int8_by_processor.py ...
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edgeseg.artifacts import CalibrationTable
from edgeseg.dataset import Pair, load_pairs
from edgeseg.export.build import BuildOptions, build_engine
from edgeseg.graph.files import load_onnx, serialize
from edgeseg.graph.quantise import ONNXRUNTIME_STYLE, quantise
from edgeseg.images import read_rgb
from edgeseg.packages import find_model, onnx_of
from edgeseg.runtime.backends.int8_kernels import examine_int8_kernels
from edgeseg.runtime.backends.onnxruntime_session import OnnxRuntimeSession
from edgeseg.runtime.backends.time_ratio import time_ratio
from edgeseg.runtime.loading import open_engine, open_onnx
from edgeseg.runtime.machine import describe_machine
from edgeseg.runtime.session import Session, SessionInfo, mask_at_frame, probability_of
from edgeseg.runtime.verify.rules import limits_for
from edgeseg.runtime.verify.verification import verify

COLUMNS = (
    "package",
    "passed",
    "mean Dice",
    "drop",
    "polyps lost",
    "pixels changed",
    "INT8 / float32, 1 core",
    "all cores",
    "built by default",
)


def changed_share(engine: Session, reference: Session, pairs: list[Pair]) -> float:
    """Share of the pixels, at the pictures' size, whose mask differs."""
    shares = []
    for pair in pairs:
        frame = read_rgb(pair.image)
        one, other = (mask_at_frame(s, probability_of(s, frame), *frame.shape[:2]) for s in (engine, reference))
        shares.append(float(np.mean(one != other)))
    return float(np.mean(shares))


def ratios(package: Path) -> list[float]:
    """INT8's time over float32's, on one thread and on all usable cores."""
    files = find_model(package)
    assert files.calibration is not None
    artifact, table = load_onnx(onnx_of(files)), CalibrationTable.read(files.calibration)
    info = SessionInfo(artifact.metadata.model, artifact.metadata.preprocess, "onnxruntime", "int8", artifact.sha256)
    graphs = serialize(quantise(artifact, table, ONNXRUNTIME_STYLE).proto), serialize(artifact.proto)
    found = []
    for threads in (1, 0):
        int8, float32 = (OnnxRuntimeSession(graph, info, threads) for graph in graphs)
        found.append(time_ratio(int8, float32, 4.0).ratio)
    return found


def row(package: Path, pairs: list[Pair]) -> str:
    """One package as a row of a table."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "x.engine"
        kept = build_engine(package, BuildOptions("int8", "onnxruntime", out=out, keep_int8=True))
        engine, reference = open_engine(out), open_onnx(package)
        limits = limits_for("int8", None, None, max_lost_polyps=0)
        verdict = verify(engine, reference, pairs, limits, passport=kept.passport)
        changed = changed_share(engine, reference, pairs)
        default = build_engine(package, BuildOptions("int8", "onnxruntime", out=out)).passport.precision
    assert verdict.polyps is not None
    one, all_cores = ratios(package)
    cells = [
        package.name,
        verdict.passed,
        f"{verdict.mean_dice:.4f}",
        f"{verdict.mean_dice_drop:+.4f}",
        f"{verdict.polyps.lost.count} of {verdict.polyps.reference_found}",
        f"{changed:.2%}",
        f"{one:.2f}",
        f"{all_cores:.2f}",
        default,
    ]
    return _line(cells)


def _line(cells: Sequence[object]) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def main(data: Path, packages: list[Path]) -> None:
    """Print the table."""
    saturates = examine_int8_kernels().saturates
    kind = "sums of two products saturate (x86 without VNNI)" if saturates else "sums are exact (VNNI, or arm64)"
    print(f"{describe_machine()}; {kind}\n")
    print(
        "| package | passed | Dice | drop | polyps lost | pixels changed | time, 1 core | time, all | default build |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    pairs = load_pairs(data, "test")
    for package in packages:
        print(row(package, pairs), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(argument) for argument in sys.argv[2:]])
