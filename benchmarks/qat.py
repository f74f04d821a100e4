"""Measures what quantisation-aware training gains: networks in float32 and in INT8 on the same labelled pictures.

Usage: python benchmarks/qat.py DATA MODEL.onnx=TABLE.json... [--split validation]
The first MODEL is the network that was only trained in float; the same one may come again with another table.
Prints, for each: mean Dice in float32 and in INT8 (onnxruntime), the share of the mask's pixels that INT8 changes, and
the polyps that the first network finds in float32 and this one loses in INT8, or the other way round.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx

from edgeseg.artifacts import CalibrationTable
from edgeseg.calibration.qdq_style import cpu_style
from edgeseg.calibration.quantise import quantise
from edgeseg.dataset import load_pairs
from edgeseg.frames import Frame, Mask
from edgeseg.graph.onnx_files import OnnxArtifact, load_onnx, serialize
from edgeseg.metrics import overlap_per_image
from edgeseg.proof.verdict.detection import FOUND_IOU
from edgeseg.runtime.engine.local_engine import engine_of
from edgeseg.runtime.engine.machine import describe_machine
from edgeseg.runtime.engine.one_frame import segment
from edgeseg.runtime.engine.session import SessionInfo
from edgeseg.runtime.onnxruntime.onnxruntime_session import OnnxRuntimeSession


def main() -> None:
    """Print one line for each network and table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("models", nargs="+", metavar="MODEL=TABLE")
    parser.add_argument("--split", default="validation")
    wanted = parser.parse_args()
    read = [pair.read() for pair in load_pairs(wanted.data, wanted.split)]
    frames, truths = [frame for frame, _ in read], [truth for _, truth in read]
    print(f"{describe_machine()}; {len(read)} pictures of {wanted.split}")
    print("| network, table | float32 | INT8 | drop | pixels changed | lost | gained |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    found_first: list[bool] | None = None
    for text in wanted.models:
        model, _, table_path = text.partition("=")
        artifact, table = load_onnx(Path(model)), CalibrationTable.read(Path(table_path))
        masks = segmented(artifact, artifact.proto, frames)
        rounded = segmented(artifact, quantise(artifact, table, cpu_style(table)).proto, frames)
        (dice, found), (int8_dice, int8_found) = scored(masks, truths), scored(rounded, truths)
        found_first = found_first or found
        changed = statistics.mean(float(np.mean(one != other)) for one, other in zip(masks, rounded, strict=True))
        lost = sum(before and not now for before, now in zip(found_first, int8_found, strict=True))
        gained = sum(now and not before for before, now in zip(found_first, int8_found, strict=True))
        print(
            f"| {Path(model).stem}, {Path(table_path).stem} | {dice:.4f} | {int8_dice:.4f} | {dice - int8_dice:+.4f} "
            f"| {changed:.3%} | {lost} | {gained} |",
            flush=True,
        )


def segmented(artifact: OnnxArtifact, proto: onnx.ModelProto, frames: Sequence[Frame]) -> list[Mask]:
    """The masks of a graph."""
    info = SessionInfo(artifact.metadata.model, artifact.metadata.preprocess, "onnxruntime", "int8", artifact.sha256)
    engine = engine_of(OnnxRuntimeSession(serialize(proto), info, threads=0))
    return [segment(engine, frame) for frame in frames]


def scored(masks: Sequence[Mask], truths: Sequence[Mask]) -> tuple[float, list[bool]]:
    """Mean Dice, and for each picture whether its polyp was found."""
    overlaps = [overlap_per_image(mask, truth) for mask, truth in zip(masks, truths, strict=True)]
    return statistics.mean(overlap[0] for overlap in overlaps), [overlap[1] >= FOUND_IOU for overlap in overlaps]


if __name__ == "__main__":
    main()
