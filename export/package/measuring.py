"""Measures a package for its card: every precision, other seeds, and all thresholds."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeseg.artifacts import CalibrationTable, Precision
from edgeseg.dataset import Pair, find_layout, load_pairs
from edgeseg.errors import MismatchError
from edgeseg.export.builders.builder import BuildRequest
from edgeseg.export.builders.onnxruntime_builder import OnnxRuntimeBuilder
from edgeseg.export.package.curves import curves_of, curves_to_svg
from edgeseg.export.package.facts import Clip, MarkedFrames, PrecisionRow, SeedRow
from edgeseg.graph.onnx_files import OnnxArtifact
from edgeseg.progress import Track, silent
from edgeseg.proof.evaluation.frame_masks import measure_frames
from edgeseg.proof.evaluation.shifted_engine import ShiftedEngine
from edgeseg.proof.verdict.evaluation import evaluate
from edgeseg.runtime.engine.engine import Engine
from edgeseg.runtime.engine.local_engine import engine_of
from edgeseg.runtime.engine.session import SessionInfo
from edgeseg.runtime.onnxruntime.onnxruntime_session import OnnxRuntimeSession
from edgeseg.train.predictor import open_run
from edgeseg.train.record import RUN_RECORD, RunRecord


@dataclass(frozen=True)
class CardMaterial:
    """The pictures that a card tells figures of."""

    test: Sequence[Pair]
    others: Sequence[Sequence[Pair]] = ()
    """Test splits of further data sets."""
    clips: Sequence[Clip] = ()


def load_material(data: Path, others: Sequence[Path], clips: Sequence[Clip], classes: int = 1) -> CardMaterial:
    """Find and check the test splits; a further data set without splits is taken whole.

    Raises:
        BadInputError: There is no test split, or a pair has a problem.
    """
    further = [load_pairs(root, "test" if find_layout(root).is_divided else None, classes=classes) for root in others]
    return CardMaterial(load_pairs(data, "test", classes=classes), further, clips)


def measure_precision(
    artifact: OnnxArtifact, table: CalibrationTable, precision: Precision, material: CardMaterial, track: Track = silent
) -> PrecisionRow:
    """Build the package's onnxruntime engine of one precision and measure it on everything."""
    built = OnnxRuntimeBuilder().build(BuildRequest(artifact, precision, table if precision == "int8" else None))
    engine = _engine(artifact, precision, built.data)
    return PrecisionRow(
        precision,
        len(built.data),
        built.int8_convolutions,
        built.convolutions,
        evaluate(engine, material.test, track),
        tuple(_marked(engine, clip, f"{precision} {clip.name}", track) for clip in material.clips),
        tuple(evaluate(engine, pairs, track) for pairs in material.others),
    )


def seeds_of(runs: Sequence[Path]) -> dict[int, Path]:
    """The seed of each RUN, in the order given.

    Raises:
        MismatchError: Two RUNs have the same seed, so one would count twice.
    """
    found: dict[int, Path] = {}
    for run in runs:
        seed = RunRecord.read(run / RUN_RECORD).seed
        if seed in found:
            raise MismatchError(
                f"{run} is no further seed",
                found=f"seed {seed} in {found[seed]}, too",
                expected="RUNs that differ in training.seed",
            )
        found[seed] = run
    return found


def measure_seeds(
    runs: dict[int, Path], threshold: float, material: CardMaterial, trusted: Sequence[str] = (), track: Track = silent
) -> tuple[SeedRow, ...]:
    """Measure trainings of one recipe; no row where there is only one.

    Args:
        runs: Seed -> RUN folder, the package's own first.
        threshold: The package's 0.5 stands for this threshold of the networks as trained.
        material: The test splits.
        trusted: Code that the networks may be.
        track: Shows progress.
    """
    if len(runs) < 2:
        return ()
    rows = []
    for seed, run in runs.items():
        with contextlib.closing(ShiftedEngine(engine_of(open_run(run, trusted)), threshold)) as engine:
            splits = (material.test, *material.others)
            rows.append(SeedRow(seed, tuple(evaluate(engine, pairs, track).mean_dice for pairs in splits)))
    return tuple(rows)


def draw_curves(artifact: OnnxArtifact, material: CardMaterial, track: Track = silent) -> bytes:
    """Draw the package's figures against the threshold, as SVG."""
    built = OnnxRuntimeBuilder().build(BuildRequest(artifact, "fp32", None))
    engine = _engine(artifact, "fp32", built.data)
    curves = curves_of(engine, material.test, material.clips, track)
    return curves_to_svg(curves, artifact.metadata.provenance.threshold)


def _engine(artifact: OnnxArtifact, precision: Precision, data: bytes) -> Engine:
    metadata = artifact.metadata
    info = SessionInfo(metadata.model, metadata.preprocess, "onnxruntime", precision, artifact.sha256)
    return engine_of(OnnxRuntimeSession(data, info))


def _marked(engine: Engine, clip: Clip, description: str, track: Track) -> MarkedFrames:
    masks = measure_frames(engine, clip.source, track=track, description=description)
    return MarkedFrames(clip, len(masks.rows), masks.share(row.counts for row in masks.rows))
