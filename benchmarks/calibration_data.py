"""Measures how INT8 depends on its calibration pictures: how many, how they are chosen, by which method; several draws.

Usage: python benchmarks/calibration_data.py MODEL DATA [--counts 4,16,64,256] [--selects random,stratified,diverse]
           [--methods max] [--draws 5] [--split validation] [--uncorrected] [--json FILE]
MODEL: a package or an .onnx file; DATA: calibrated on its train split, judged on another. --uncorrected: with the
network's own biases.
Prints the mean and the standard deviation over the draws of the drop of mean Dice and of the share of changed pixels.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edgeseg.artifacts import CalibrationTable
from edgeseg.calibration.qdq_style import cpu_style
from edgeseg.calibration.quantise import quantise
from edgeseg.calibration.ranges import calibrate
from edgeseg.calibration.selection import choose_images
from edgeseg.dataset import Pair, load_images, load_pairs
from edgeseg.frames import Mask
from edgeseg.graph.onnx_files import OnnxArtifact, load_onnx, serialize
from edgeseg.metrics import dice_per_image
from edgeseg.packages import find_model, onnx_of
from edgeseg.runtime.engine.local_engine import engine_of
from edgeseg.runtime.engine.machine import describe_machine
from edgeseg.runtime.engine.one_frame import segment
from edgeseg.runtime.engine.session import SessionInfo
from edgeseg.runtime.onnxruntime.onnxruntime_session import OnnxRuntimeSession


class Judge:
    """Compares graphs of one network with its float32 graph on labelled pictures, which are decoded once."""

    def __init__(self, artifact: OnnxArtifact, pairs: Sequence[Pair]) -> None:
        model = artifact.metadata.model
        self._info = SessionInfo(model, artifact.metadata.preprocess, "onnxruntime", "int8", artifact.sha256)
        self._read = [pair.read() for pair in pairs]
        self._masks = self._segmented(serialize(artifact.proto))
        self._dice = self._mean_dice(self._masks)

    def of(self, artifact: OnnxArtifact, table: CalibrationTable) -> tuple[float, float]:
        """The drop of mean Dice, and the share of the masks' pixels that differ."""
        masks = self._segmented(serialize(quantise(artifact, table, cpu_style(table)).proto))
        changed = [float(np.mean(one != other)) for one, other in zip(masks, self._masks, strict=True)]
        return self._dice - self._mean_dice(masks), statistics.mean(changed)

    def _segmented(self, graph: bytes) -> list[Mask]:
        engine = engine_of(OnnxRuntimeSession(graph, self._info, threads=0))
        return [segment(engine, frame) for frame, _ in self._read]

    def _mean_dice(self, masks: Sequence[Mask]) -> float:
        return statistics.mean(dice_per_image(mask, truth) for mask, (_, truth) in zip(masks, self._read, strict=True))


def main() -> None:
    """Print one line for each method, choice and number of pictures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--counts", default="4,16,64,256")
    parser.add_argument("--selects", default="random,stratified,diverse")
    parser.add_argument("--methods", default="max")
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--split", default="validation")
    parser.add_argument("--uncorrected", action="store_true")
    parser.add_argument("--json", type=Path)
    wanted = parser.parse_args()
    artifact, images = load_onnx(onnx_of(find_model(wanted.model))), load_images(wanted.data, "train")
    judge = Judge(artifact, load_pairs(wanted.data, wanted.split))
    print(f"{describe_machine()}; {wanted.model.name}, judged on {wanted.split}; mean (standard deviation)")
    print(
        f"| method | choice | pictures | drop, {wanted.draws} draws | pixels changed |\n| --- | --- | --- | --- | --- |"
    )
    rows = []
    for method in wanted.methods.split(","):
        for select in wanted.selects.split(","):
            for count in map(int, wanted.counts.split(",")):
                draws = [choose_images(images, count, select, seed) for seed in range(wanted.draws)]
                tables = [calibrate(artifact, draw, method=method) for draw in draws]
                if wanted.uncorrected:
                    tables = [table.model_copy(update={"bias_shifts": None}) for table in tables]
                found = [judge.of(artifact, table) for table in tables]
                drop, changed = zip(*found, strict=True)
                print(
                    f"| {method} | {select} | {count} | {statistics.mean(drop):+.4f} ({statistics.stdev(drop):.4f}) "
                    f"| {statistics.mean(changed):.3%} ({statistics.stdev(changed):.3%}) |",
                    flush=True,
                )
                rows.append({"method": method, "select": select, "count": count, "drops": drop, "changed": changed})
    if wanted.json is not None:
        wanted.json.write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
