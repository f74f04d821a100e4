"""Measures INT8 on this kind of processor: accuracy, lost polyps, changed pixels, time against float32.

Usage: python benchmarks/int8_by_processor.py DATA MODEL... [--unlimited]
DATA: with a test split; MODEL: packages; --unlimited: weights as if no sum of products could saturate.
As on an x86 processor without VNNI: tests/older_processor/as_avx2 python benchmarks/int8_by_processor.py ...
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from edgeseg.artifacts import CalibrationTable
from edgeseg.calibration.qdq_style import cpu_style
from edgeseg.calibration.quantise import quantise
from edgeseg.dataset import Pair, load_pairs
from edgeseg.export.build import BuildOptions, build_engine
from edgeseg.graph.onnx_files import load_onnx, serialize
from edgeseg.images import read_rgb
from edgeseg.packages import find_model, onnx_of
from edgeseg.proof.verdict.rules import limits_for
from edgeseg.proof.verdict.verification import verify
from edgeseg.runtime.engine.engine import Engine
from edgeseg.runtime.engine.local_engine import engine_of
from edgeseg.runtime.engine.machine import describe_machine
from edgeseg.runtime.engine.one_frame import segment
from edgeseg.runtime.engine.session import SessionInfo
from edgeseg.runtime.engine.time_ratio import time_ratio
from edgeseg.runtime.onnxruntime.int8_kernels import examine_int8_kernels
from edgeseg.runtime.onnxruntime.onnxruntime_session import OnnxRuntimeSession

UNLIMITED = "--unlimited"
MEASURE_S = 4.0
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


def changed_share(engine: Engine, reference: Engine, pairs: list[Pair]) -> float:
    """Share of the pixels, at the pictures' size, whose mask differs."""
    shares = []
    for pair in pairs:
        frame = read_rgb(pair.image)
        one, other = (segment(network, frame) for network in (engine, reference))
        shares.append(float(np.mean(one != other)))
    return float(np.mean(shares))


def row(package: Path, pairs: list[Pair], limited: bool) -> str:
    """One package as a row of a table."""
    files = find_model(package)
    assert files.calibration is not None
    artifact, table = load_onnx(onnx_of(files)), CalibrationTable.read(files.calibration)
    info = SessionInfo(artifact.metadata.model, artifact.metadata.preprocess, "onnxruntime", "int8", artifact.sha256)
    style = cpu_style(table) if limited else replace(cpu_style(table), pair_limit=None)
    graphs = serialize(quantise(artifact, table, style).proto), serialize(artifact.proto)
    on_all, on_one = ([OnnxRuntimeSession(graph, info, threads) for graph in graphs] for threads in (0, 1))
    engine, reference = map(engine_of, on_all)
    verdict = verify(engine, reference, pairs, limits_for("int8", None, None, max_lost_polyps=0))
    changed = changed_share(engine, reference, pairs)
    one, all_cores = (time_ratio(*sessions, budget_s=MEASURE_S).ratio for sessions in (on_one, on_all))
    with tempfile.TemporaryDirectory() as folder:
        built = build_engine(package, BuildOptions("int8", "onnxruntime", out=Path(folder) / "x.engine"))
    assert verdict.polyps is not None
    cells = [
        package.name,
        verdict.passed,
        f"{verdict.mean_dice:.4f}",
        f"{verdict.mean_dice_drop:+.4f}",
        f"{verdict.polyps.lost.count} of {verdict.polyps.reference_found}",
        f"{changed:.2%}",
        f"{one:.2f}",
        f"{all_cores:.2f}",
        built.passport.precision,
    ]
    return _line(cells)


def _line(cells: Sequence[object]) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def main(data: Path, packages: list[Path], limited: bool) -> None:
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
        print(row(package, pairs, limited), flush=True)


if __name__ == "__main__":
    names = [argument for argument in sys.argv[1:] if argument != UNLIMITED]
    main(Path(names[0]), [Path(name) for name in names[1:]], limited=UNLIMITED not in sys.argv)
