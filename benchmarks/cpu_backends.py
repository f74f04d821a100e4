"""OpenVINO beside ONNX Runtime: accuracy in each precision, and times alternated in one run.

Usage: python benchmarks/cpu_backends.py DATA MODEL...
DATA: with a test split; MODEL: packages. Needs the extra `openvino`.
As on an x86 processor without VNNI: tests/older_processor/README.md.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from edgeseg.artifacts import PRECISIONS, Precision
from edgeseg.dataset import Pair, load_pairs
from edgeseg.export.build import BuildOptions, build_engine
from edgeseg.proof.verdict.rules import limits_for
from edgeseg.proof.verdict.verification import verify
from edgeseg.runtime.engine.engine_layout import SessionLayout
from edgeseg.runtime.engine.machine import describe_machine
from edgeseg.runtime.engine.time_ratio import time_ratio
from edgeseg.runtime.opener.engine_from_file import open_engine, open_here

MEASURE_S = 4.0


def row(package: Path, precision: Precision, pairs: list[Pair], folder: Path) -> str:
    """One engine of OpenVINO as a row of a table."""
    built = [
        build_engine(
            package, BuildOptions(precision, backend, out=folder / f"{backend}.{precision}.engine", keep_int8=True)
        )
        for backend in ("openvino", "onnxruntime")
    ]
    engines, counted = [result.engine for result in built], built[0].passport
    limits = limits_for(precision, None, None, max_lost_polyps=0)
    verdict = verify(open_engine(engines[0]), open_engine(package), pairs, limits)
    assert verdict.polyps is not None
    ratios = [time_ratio(*(open_here(path, SessionLayout(n)) for path in engines), MEASURE_S) for n in (1, 0)]
    cells = [
        package.name,
        precision,
        f"{counted.int8_convolutions} of {counted.convolutions}",
        verdict.passed,
        f"{verdict.mean_dice:.4f}",
        f"{verdict.mean_dice_drop:+.4f}",
        f"{verdict.polyps.lost.count} of {verdict.polyps.reference_found}",
        *(f"{ratio.ratio:.2f} ({ratio.first_ms:.1f} / {ratio.second_ms:.1f} ms)" for ratio in ratios),
    ]
    return f"| {' | '.join(map(str, cells))} |"


def main(data: Path, packages: list[Path]) -> None:
    """Print the table."""
    print(f"{describe_machine()}\n")
    print("| package | precision | INT8 convolutions | passed | Dice | drop | polyps lost | time, 1 core | time, all |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    pairs = load_pairs(data, "test")
    with tempfile.TemporaryDirectory() as folder:
        for package in packages:
            for precision in PRECISIONS:
                print(row(package, precision, pairs, Path(folder)), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
