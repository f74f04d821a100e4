"""Counts what each rule of Q/DQ placement does to plans that TensorRT-RTX builds, and to the masks of a stand-in.

Usage: python -m benchmarks.qdq_placement DATA CAPABILITY METHOD NETWORK...
DATA: images with masks, calibrated on its train split; CAPABILITY: such as 8.6;
METHOD: of calibration, or `shipped` for the tables of packages;
NETWORK: a package, an .onnx file, a recipe (.toml, untrained), or `mobilenet` (untrained, squeeze-and-excitation).
Nothing is executed on a GPU: no count says how long anything takes. The masks are those of DATA's validation split,
computed by ONNX Runtime in float32 from the same Q/DQ pairs; an untrained network has none worth comparing.
"""

from __future__ import annotations

import contextlib
import sys
from dataclasses import astuple
from pathlib import Path
from typing import cast

import onnx

from benchmarks.qdq_placement.counted_networks import Network, network_named
from benchmarks.qdq_placement.placements import PLACEMENTS
from benchmarks.qdq_placement.plan_counts import PlanCounts, counts_of
from edgeseg.calibration.fp16 import with_fp16_convolutions
from edgeseg.calibration.selection import choose_images
from edgeseg.dataset import Pair, load_images, load_pairs
from edgeseg.export.builders.tensorrt_options import TENSORRT_RTX, TensorRtOptions
from edgeseg.export.builders.tensorrt_plan import plan_from_onnx
from edgeseg.export.mixing.accuracy_limits import SPLIT, harm_of
from edgeseg.export.mixing.mixed_networks import RememberedMasks, open_float32
from edgeseg.graph.onnx_files import serialize
from edgeseg.optional import require
from edgeseg.proof.verdict.engine_comparison import compare_with
from edgeseg.runtime.cuda.tensorrt_module import TensorRtModule
from edgeseg.runtime.engine.local_engine import engine_of
from edgeseg.runtime.engine.session import SessionInfo
from edgeseg.runtime.onnxruntime.onnxruntime_session import OnnxRuntimeSession

CALIBRATION_IMAGES = 64
COLUMNS = "| placement | kernels | INT8 | fused | adds | converts | padded | twice | MiB | drop | lost | flipped |"


def count(proto: onnx.ModelProto, capability: str) -> PlanCounts:
    """Build a plan of a graph with float32 data, and count it."""
    half = with_fp16_convolutions(proto)
    trt, options = cast(TensorRtModule, require("tensorrt_rtx")), TensorRtOptions(compute_capabilities=(capability,))
    return counts_of(plan_from_onnx(trt, TENSORRT_RTX, half, options), half)


class StandIn:
    """Compares masks of a network's Q/DQ graphs with those of float32."""

    def __init__(self, network: Network, pairs: list[Pair]) -> None:
        self._network, self._pairs = network, pairs
        self._reference = engine_of(open_float32(network.artifact))
        self._masks = RememberedMasks(self._reference)

    def cells(self, proto: onnx.ModelProto) -> list[str]:
        """The Dice drop, the polyps lost and the share of pixels flipped."""
        metadata = self._network.artifact.metadata
        info = SessionInfo(metadata.model, metadata.preprocess, "onnxruntime", "int8", self._network.artifact.sha256)
        with contextlib.closing(engine_of(OnnxRuntimeSession(serialize(proto), info))) as engine:
            harm = harm_of(compare_with(engine, self._masks, self._pairs))
        return [f"{harm.mean_dice_drop:+.4f}", str(harm.lost_polyps), f"{harm.flipped_share:.3%}"]


def main(data: Path, capability: str, method: str, names: list[str]) -> None:
    """Print a table for each network."""
    images, pairs = choose_images(load_images(data, "train"), CALIBRATION_IMAGES), load_pairs(data, SPLIT)
    for name in names:
        network = network_named(name, images, method)
        stand_in = StandIn(network, pairs) if network.trained else None
        print(f"\n{network.name}, compute capability {capability}, --method {method}\n\n{COLUMNS}")
        print("|" + " --- |" * (COLUMNS.count("|") - 1))
        _print_row("FP16, no INT8", count(network.artifact.proto, capability), ["", "", ""])
        for placement in PLACEMENTS:
            proto = placement.graph(network)
            _print_row(placement.name, count(proto, capability), stand_in.cells(proto) if stand_in else ["", "", ""])


def _print_row(name: str, counts: PlanCounts, masks: list[str]) -> None:
    *whole, mebibytes = astuple(counts)
    print(f"| {' | '.join([name, *map(str, whole), f'{mebibytes:.1f}', *masks])} |", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4:])
