"""Measures networks on one CPU core: parameters, multiply-adds, times of float32 and INT8, all alternated in one run.

Usage: python benchmarks/architectures.py IMAGES MODEL...
IMAGES: folder to calibrate on. MODEL: a recipe (.toml, its network untrained: times do not depend on the weights), an
.onnx file or a package (then with the share of mask pixels that INT8 changes).
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgeseg.calibration.ranges import calibrate
from edgeseg.calibration.selection import choose_images
from edgeseg.dataset import load_images
from edgeseg.export.builders.builder import BuildRequest, BuiltEngine
from edgeseg.export.builders.onnxruntime_builder import OnnxRuntimeBuilder
from edgeseg.export.torch.naming import with_readable_names
from edgeseg.export.torch.onnx_from_run import contract_graph
from edgeseg.frames import resize_to_network
from edgeseg.graph.cost import multiply_adds, parameter_count
from edgeseg.graph.onnx_files import OnnxArtifact, load_onnx
from edgeseg.images import read_rgb
from edgeseg.packages import find_model, onnx_of
from edgeseg.runtime.engine.session import SessionInfo
from edgeseg.runtime.onnxruntime.onnxruntime_session import OnnxRuntimeSession
from edgeseg.specs import ModelMetadata
from edgeseg.train.architectures.registry import network_from_recipe
from edgeseg.train.recipe import read_recipe

CALIBRATION_IMAGES, ROUNDS = 8, 40


@dataclass(frozen=True)
class Subject:
    """One network, ready to be timed."""

    name: str
    artifact: OnnxArtifact
    frames: list[np.ndarray]
    int8: BuiltEngine
    sessions: tuple[OnnxRuntimeSession, OnnxRuntimeSession]
    """float32 and INT8."""


def artifact_of(path: Path) -> OnnxArtifact:
    """The contract graph of a recipe (untrained), an .onnx file or a package."""
    if path.suffix != ".toml":
        return load_onnx(onnx_of(find_model(path)))
    recipe = read_recipe(path)
    model, preprocess = recipe.model_spec(), recipe.preprocess_spec()
    proto = with_readable_names(contract_graph(network_from_recipe(recipe.model), model, preprocess))
    return OnnxArtifact(path, "", ModelMetadata(model=model, preprocess=preprocess), proto)


def subject(path: Path, images: list[Path]) -> Subject:
    """Load, calibrate, build."""
    artifact = artifact_of(path)
    spec = artifact.metadata.model
    frames = [resize_to_network(read_rgb(image), spec.height, spec.width)[None] for image in images]
    builder, table = OnnxRuntimeBuilder(), calibrate(artifact, images)
    float32 = builder.build(BuildRequest(artifact, "fp32"))
    int8 = builder.build(BuildRequest(artifact, "int8", table))
    info = SessionInfo(spec, artifact.metadata.preprocess, "onnxruntime", "fp32", artifact.sha256)
    sessions = OnnxRuntimeSession(float32.data, info, threads=1), OnnxRuntimeSession(int8.data, info, threads=1)
    return Subject(path.stem, artifact, frames, int8, sessions)


def flipped_share(chosen: Subject) -> float:
    """Share of the mask pixels that differ between float32 and INT8."""
    float32, int8 = ([session.infer(frame) >= 0.5 for frame in chosen.frames] for session in chosen.sessions)
    return float(np.mean([np.mean(a != b) for a, b in zip(float32, int8, strict=True)]))


def main(images: Path, models: list[Path]) -> None:
    """Print one line a network."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    chosen = choose_images(load_images(images, "train"), CALIBRATION_IMAGES)
    subjects = [subject(path, chosen) for path in models]
    times: dict[tuple[str, int], list[float]] = {(s.name, index): [] for s in subjects for index in (0, 1)}
    for _ in range(ROUNDS):
        for one in subjects:
            for index, session in enumerate(one.sessions):
                started = time.perf_counter()
                session.infer(one.frames[0])
                times[one.name, index].append((time.perf_counter() - started) * 1e3)
    for one in subjects:
        float32, int8 = (statistics.median(times[one.name, index]) for index in (0, 1))
        spec, proto = one.artifact.metadata.model, one.artifact.proto
        flips = "" if one.artifact.sha256 == "" else f"  {flipped_share(one):.3%} of the mask flipped"
        print(
            f"{one.name:24s} {spec.height}x{spec.width}  {parameter_count(proto) / 1e6:.3f} M  "
            f"{multiply_adds(proto) / 1e9:.3f} G  float32 {float32:6.2f} ms  INT8 {int8:6.2f} ms ({1e3 / int8:.0f}/s)  "
            f"INT8 convolutions {one.int8.int8_convolutions} of {one.int8.convolutions}{flips}"
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(argument) for argument in sys.argv[2:]])
