"""edgeseg's INT8 graphs against those of other quantisers: same weights, pictures and runtime, in one run.

Usage: python benchmarks/int8_peers.py DATA MODEL... [--images 64] [--splits validation test] [--tools NAME...]
           [--modelopt PYTHON] [--nncf PYTHON] [--cost] [--keep FOLDER]
DATA: calibrated on its train split, judged on another; MODEL: packages or .onnx files of the contract.
--modelopt, --nncf: the Python of the environment that has the tool (`make peers` makes both); without it those are left
out. --cost: time and peak memory only. ONNX Runtime executes every graph, whoever made it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from int8_quantisers import TOOLS

from edgeseg.calibration.selection import choose_images
from edgeseg.dataset import Pair, load_images, load_pairs
from edgeseg.export.builders.onnxruntime_builder import int8_convolutions
from edgeseg.frames import Mask, Probability, mask_from_probability, resize_mask_to_network, resize_to_network
from edgeseg.graph.onnx_files import OnnxArtifact, load_onnx, serialize
from edgeseg.images import read_rgb
from edgeseg.metrics import dice_per_image, iou_per_image
from edgeseg.packages import find_model, onnx_of
from edgeseg.proof.verdict.detection import FOUND_IOU
from edgeseg.runtime.engine.machine import describe_machine
from edgeseg.runtime.engine.session import SessionInfo
from edgeseg.runtime.engine.time_ratio import time_ratio
from edgeseg.runtime.onnxruntime.onnxruntime_session import OnnxRuntimeSession

TIME_S = 3.0
CELLS = "Dice drop | worst picture | lost | pixels | SQNR | INT8 convolutions | time, 1 core"
SCRIPT = Path(__file__).with_name("int8_quantisers.py")


@dataclass(frozen=True)
class Cost:
    """The cost of one tool's graph; CPU seconds tell more than seconds on a busy machine."""

    seconds: float
    cpu_seconds: float
    peak_mb: float
    version: str


class Pictures:
    """Labelled pictures, read once, and how a network's graphs segment them."""

    def __init__(self, artifact: OnnxArtifact, pairs: Sequence[Pair]) -> None:
        model = artifact.metadata.model
        self._read = [pair.read() for pair in pairs]
        self._frames = [resize_to_network(frame, model.height, model.width) for frame, _ in self._read]
        self._info = SessionInfo(model, artifact.metadata.preprocess, "onnxruntime", "fp32", artifact.sha256)
        self._exact = self._probabilities(serialize(artifact.proto))
        self._masks = self._at_full_size(self._exact)

    def row(self, graph: bytes, artifact: OnnxArtifact) -> str:
        """Compare a graph with the float32 one: the cells of a table."""
        probabilities = self._probabilities(graph)
        masks = self._at_full_size(probabilities)
        drops, lost = [], 0
        for mask, exact, (_, truth) in zip(masks, self._masks, self._read, strict=True):
            drops.append(dice_per_image(exact, truth) - dice_per_image(mask, truth))
            lost += bool(truth.any()) and iou_per_image(exact, truth) >= FOUND_IOU > iou_per_image(mask, truth)
        flips = statistics.mean(float(np.mean(one != other)) for one, other in zip(masks, self._masks, strict=True))
        noise = sum(float(np.sum((one - other) ** 2)) for one, other in zip(probabilities, self._exact, strict=True))
        sqnr = 10 * np.log10(sum(float(np.sum(exact**2)) for exact in self._exact) / noise) if noise else np.inf
        ratio = time_ratio(
            *(OnnxRuntimeSession(data, self._info, 1) for data in (graph, serialize(artifact.proto))), TIME_S
        )
        return (
            f"{statistics.mean(drops):+.4f} | {max(drops):+.3f} | {lost} | {flips:.3%} | {sqnr:.1f} dB | "
            f"{int8_convolutions(graph)} | {ratio.ratio:.2f}"
        )

    def mean_dice(self) -> float:
        """The mean Dice of float32."""
        return statistics.mean(
            dice_per_image(mask, truth) for mask, (_, truth) in zip(self._masks, self._read, strict=True)
        )

    def _probabilities(self, graph: bytes) -> list[Probability]:
        session = OnnxRuntimeSession(graph, self._info)
        return [session.infer(frame[np.newaxis])[0] for frame in self._frames]

    def _at_full_size(self, probabilities: Sequence[Probability]) -> list[Mask]:
        return [
            mask_from_probability(probability, *frame.shape[:2])
            for probability, (frame, _) in zip(probabilities, self._read, strict=True)
        ]


def write_inputs(artifact: OnnxArtifact, images: Sequence[Path], judged: Sequence[Pair], folder: Path) -> None:
    """Write the network and the pictures as int8_quantisers.py reads them."""
    model = artifact.metadata.model

    def sized(frame: np.ndarray) -> np.ndarray:
        return resize_to_network(frame, model.height, model.width)

    read = [pair.read() for pair in judged]
    (folder / "model.onnx").write_bytes(serialize(artifact.proto))
    (folder / "paths.txt").write_text("\n".join(str(path.resolve()) for path in images))
    np.save(folder / "frames.npy", np.stack([sized(read_rgb(path)) for path in images]))
    np.save(folder / "shown.npy", np.stack([sized(frame) for frame, _ in read]))
    truth = [resize_mask_to_network(mask, model.height, model.width) for _, mask in read]
    np.save(folder / "truth.npy", np.stack(truth) > 0)


def run_tool(tool: str, python: str, folder: Path) -> tuple[Cost, bytes]:
    """Quantise in a process of its own.

    Raises:
        RuntimeError: It failed; the end of what it said.
    """
    out = folder / f"{tool.replace(' ', '-')}.onnx"
    command = [python, str(SCRIPT), tool, str(folder / "model.onnx"), str(folder), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"exit code {done.returncode}: {done.stderr.strip()[-300:]}")
    return Cost(**json.loads(done.stdout.strip().splitlines()[-1])), out.read_bytes()


def compare(model: Path, wanted: argparse.Namespace, pythons: dict[str, str]) -> None:
    """Print one network's table."""
    artifact = load_onnx(onnx_of(find_model(model)))
    images = choose_images(load_images(wanted.data, "train"), wanted.images)
    splits = () if wanted.cost else wanted.splits
    pictures = {split: Pictures(artifact, load_pairs(wanted.data, split)) for split in splits}
    size = f"{artifact.metadata.model.height}x{artifact.metadata.model.width}"
    dice = "".join(f", float32 {shown.mean_dice():.4f} on {split}" for split, shown in pictures.items())
    print(f"\n{model.name}, {size}, {len(images)} calibration pictures{dice}\n")
    cells = "".join(f" {split}: {CELLS} |" for split in splits)
    print(f"| tool | version | s | CPU s | peak MB |{cells}\n{'| --- ' * (5 + cells.count('|'))}|", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = wanted.keep or Path(name)
        write_inputs(artifact, images, load_pairs(wanted.data, "validation"), folder)
        for tool in wanted.tools or TOOLS:
            if (python := pythons.get(tool.split()[0].rstrip(","))) is None:
                continue
            try:
                cost, graph = run_tool(tool, python, folder)
                row = "".join(f" {shown.row(graph, artifact)} |" for shown in pictures.values())
            except Exception as error:  # a tool that fails, or writes a graph that does not load, is a row as well
                print(f"| {tool} | failed: {error} |", flush=True)
                continue
            spent = f"{cost.seconds:.0f} | {cost.cpu_seconds:.0f} | {cost.peak_mb:.0f}"
            print(f"| {tool} | {cost.version} | {spent} |{row}", flush=True)


def main() -> None:
    """Print a table for each network."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--splits", nargs="+", default=["validation", "test"])
    parser.add_argument("--tools", nargs="*")
    parser.add_argument("--modelopt")
    parser.add_argument("--nncf")
    parser.add_argument("--cost", action="store_true")
    parser.add_argument("--keep", type=Path)
    wanted = parser.parse_args()
    pythons = {"edgeseg": sys.executable, "onnxruntime": sys.executable}
    pythons |= {tool: python for tool in ("modelopt", "nncf") if (python := getattr(wanted, tool)) is not None}
    print(describe_machine())
    for model in wanted.models:
        compare(model, wanted, pythons)


if __name__ == "__main__":
    main()
