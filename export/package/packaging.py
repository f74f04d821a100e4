"""RUN folder -> model package: FP16-stored ONNX, calibration table, statistics of the pictures, card with figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx

from edgeseg.artifacts import PRECISIONS, CalibrationTable, Precision
from edgeseg.calibration.ranges import calibrate
from edgeseg.calibration.selection import choose_images
from edgeseg.dataset import Pair, load_images, load_pairs
from edgeseg.export.builders.builder import BuildRequest
from edgeseg.export.builders.onnxruntime_builder import OnnxRuntimeBuilder
from edgeseg.export.package.card import CardFacts, Clip, MarkedFrames, PrecisionRow, render_card
from edgeseg.export.torch.onnx_from_run import onnx_from_session
from edgeseg.export.torch.parity_inputs import parity_inputs
from edgeseg.files import atomic_folder, write_bytes, write_text
from edgeseg.graph.cost import multiply_adds, parameter_count
from edgeseg.graph.files import OnnxArtifact, load_onnx, serialize, with_metadata
from edgeseg.graph.weights import with_fp16_stored_weights
from edgeseg.packages import PACKAGE_CALIBRATION, PACKAGE_CARD, PACKAGE_ONNX, PACKAGE_STATISTICS
from edgeseg.progress import Track, silent
from edgeseg.proof.evaluation.frame_masks import measure_frames
from edgeseg.proof.verdict.evaluation import Evaluation, evaluate
from edgeseg.runtime.engine.engine import Engine
from edgeseg.runtime.engine.local_engine import engine_of
from edgeseg.runtime.engine.session import SessionInfo
from edgeseg.runtime.live.scene.statistics import MIN_IMAGES, statistics_of_folder
from edgeseg.runtime.onnxruntime.onnxruntime_session import OnnxRuntimeSession
from edgeseg.specs import ModelMetadata
from edgeseg.train.predictor import open_run
from edgeseg.train.record import RUN_RECORD, RunRecord


@dataclass(frozen=True)
class PackageOptions:
    """The settings of `edgeseg package`."""

    data: Path
    """Data set with the splits train, validation and test."""
    terms: str
    """The terms on which the weights may be used, given those of the training data."""
    images: int = 256
    """Number of calibration images."""
    threshold: str | None = None
    """Moves the graph's 0.5 to this threshold: a number, or the file of a choice for this RUN; None leaves it."""
    clips: tuple[Clip, ...] = ()
    """Frames without ground truth that the card tells of."""
    trusted: tuple[str, ...] = ()
    """Code that the RUN's network may be; see `edgeseg.train.predictor.open_run`."""


def package_run(run: Path, out: Path, options: PackageOptions, track: Track = silent) -> CardFacts:
    """Make a model package out of a RUN; it appears whole or not at all.

    Weights are rounded to FP16 once. Parity with PyTorch is measured before the rounding, calibration and Dice after.
    Where there are too few training pictures for their statistics, that file is left out.

    Args:
        run: The RUN folder.
        out: The package's folder, new or empty; its name is the model's name.
        options: Data, terms, calibration images.
        track: Draws the progress.

    Returns:
        The facts that the card tells.
    """
    session, record = open_run(run, options.trusted), RunRecord.read(run / RUN_RECORD)
    test = load_pairs(options.data, "test", classes=session.info.model.channels)
    images = choose_images(load_images(options.data, "train"), options.images)
    with atomic_folder(out) as folder:
        path = folder / PACKAGE_ONNX
        frames = parity_inputs(options.data, session.info.model)
        metadata, proto = onnx_from_session(session, record, frames, out.with_suffix(".onnx"), options.threshold)
        small = with_fp16_stored_weights(proto)
        write_bytes(path, serialize(small))
        artifact = load_onnx(path)
        table = calibrate(artifact, images, track)
        rows = [_measured(artifact, table, precision, test, options.clips, track) for precision in PRECISIONS]
        metadata = _with_test_figures(metadata, rows[0].evaluation)
        write_bytes(path, serialize(with_metadata(small, metadata)))
        table.write(folder / PACKAGE_CALIBRATION)
        if len(load_images(options.data, "train")) >= MIN_IMAGES:
            model, crop = metadata.model, metadata.preprocess.crop
            seen = statistics_of_folder(options.data, model.height, model.width, "train", track, crop)
            seen.write(folder / PACKAGE_STATISTICS)
        facts = _facts(out.name, metadata, artifact.proto, table, rows, options)
        write_text(folder / PACKAGE_CARD, render_card(facts))
    return facts


def _measured(
    artifact: OnnxArtifact,
    table: CalibrationTable,
    precision: Precision,
    pairs: Sequence[Pair],
    clips: Sequence[Clip],
    track: Track,
) -> PrecisionRow:
    built = OnnxRuntimeBuilder().build(BuildRequest(artifact, precision, table if precision == "int8" else None))
    metadata = artifact.metadata
    info = SessionInfo(metadata.model, metadata.preprocess, "onnxruntime", precision, artifact.sha256)
    engine = engine_of(OnnxRuntimeSession(built.data, info))
    evaluation: Evaluation = evaluate(engine, pairs, track)
    shares = tuple(_marked(engine, clip, f"{precision} {clip.name}", track) for clip in clips)
    return PrecisionRow(precision, len(built.data), built.int8_convolutions, built.convolutions, evaluation, shares)


def _marked(engine: Engine, clip: Clip, description: str, track: Track) -> MarkedFrames:
    masks = measure_frames(engine, clip.source, track=track, description=description)
    return MarkedFrames(clip, len(masks.rows), masks.share(row.counts for row in masks.rows))


def _with_test_figures(metadata: ModelMetadata, evaluation: Evaluation) -> ModelMetadata:
    metrics = {
        **metadata.provenance.metrics,
        "test_dice": evaluation.mean_dice,
        "test_iou": evaluation.mean_iou,
    }
    provenance = metadata.provenance.model_copy(update={"metrics": metrics})
    return metadata.model_copy(update={"provenance": provenance})


def _facts(
    name: str,
    metadata: ModelMetadata,
    proto: onnx.ModelProto,
    table: CalibrationTable,
    rows: Sequence[PrecisionRow],
    options: PackageOptions,
) -> CardFacts:
    return CardFacts(
        name=name,
        metadata=metadata,
        parameters=parameter_count(proto),
        multiply_adds=multiply_adds(proto),
        calibration_images=table.image_count,
        rows=tuple(rows),
        terms=options.terms,
    )
