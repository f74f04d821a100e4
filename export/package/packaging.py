"""RUN folder -> model package: FP16-stored ONNX, calibration table, picture statistics, card, bill of materials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx

from edgeseg.artifacts import PRECISIONS, CalibrationTable
from edgeseg.calibration.methods import DEFAULT_METHOD
from edgeseg.calibration.ranges import calibrate
from edgeseg.calibration.selection import choose_images
from edgeseg.dataset import load_images
from edgeseg.export.package.bill_of_materials import bill_of_materials
from edgeseg.export.package.card import render_card
from edgeseg.export.package.facts import CardFacts, Clip, PrecisionRow, SeedRow, calibration_in_words
from edgeseg.export.package.measuring import draw_curves, load_material, measure_precision, measure_seeds, seeds_of
from edgeseg.export.torch.onnx_from_run import onnx_from_session
from edgeseg.export.torch.parity_inputs import parity_inputs
from edgeseg.files import atomic_folder, write_bytes, write_text
from edgeseg.graph.cost import multiply_adds, parameter_count
from edgeseg.graph.mirroring import has_mirroring
from edgeseg.graph.onnx_files import load_onnx, serialize, with_metadata
from edgeseg.graph.weights import with_fp16_stored_weights
from edgeseg.optional import require
from edgeseg.packages import (
    PACKAGE_BILL,
    PACKAGE_CALIBRATION,
    PACKAGE_CARD,
    PACKAGE_CURVES,
    PACKAGE_ONNX,
    PACKAGE_STATISTICS,
)
from edgeseg.progress import Track, silent
from edgeseg.proof.verdict.evaluation import Evaluation
from edgeseg.runtime.live.scene.statistics import MIN_IMAGES, statistics_of_folder
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
    others: tuple[Path, ...] = ()
    """Further data sets, on whose test splits the card tells figures, too; without splits they are taken whole."""
    seeds: tuple[Path, ...] = ()
    """RUNs of the same recipe with other seeds."""
    never_shown: str | None = None
    """The kinds of pictures that training had none of, in words for the card."""
    method: str = DEFAULT_METHOD
    """A calibration method by name, or ``auto``, which tries them."""
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

    Raises:
        MismatchError: Two RUNs of one seed, or a threshold that was chosen for another RUN.
        MissingComponentError: torch or cyclonedx-python-lib is not installed.
        BadInputError: A RUN or a data set that cannot be read.
    """
    require("cyclonedx.output")  # before anything is measured
    session, record = open_run(run, options.trusted), RunRecord.read(run / RUN_RECORD)
    runs = seeds_of((run, *options.seeds))
    material = load_material(options.data, options.others, options.clips, session.info.model.channels)
    images = choose_images(load_images(options.data, "train"), options.images)
    with atomic_folder(out) as folder:
        path = folder / PACKAGE_ONNX
        frames = parity_inputs(options.data, session.info.model)
        metadata, proto = onnx_from_session(session, record, frames, out.with_suffix(".onnx"), options.threshold)
        small = with_fp16_stored_weights(proto)
        write_bytes(path, serialize(small))
        artifact = load_onnx(path)
        table = calibrate(artifact, images, track, options.method)
        rows = [measure_precision(artifact, table, precision, material, track) for precision in PRECISIONS]
        threshold = metadata.provenance.threshold
        seeds = measure_seeds(runs, threshold, material, options.trusted, track)
        if metadata.model.output == "sigmoid":
            write_bytes(folder / PACKAGE_CURVES, draw_curves(artifact, material, track))
        metadata = _with_test_figures(metadata, rows[0].evaluation)
        write_bytes(path, serialize(with_metadata(small, metadata)))
        table.write(folder / PACKAGE_CALIBRATION)
        if len(load_images(options.data, "train")) >= MIN_IMAGES:
            model, crop = metadata.model, metadata.preprocess.crop
            seen = statistics_of_folder(options.data, model.height, model.width, "train", track, crop)
            seen.write(folder / PACKAGE_STATISTICS)
        facts = _facts(out.name, metadata, artifact.proto, table, rows, seeds, options)
        write_text(folder / PACKAGE_CARD, render_card(facts))
        files = sorted(folder.iterdir(), key=lambda file: (file != path, file.name))
        write_text(folder / PACKAGE_BILL, bill_of_materials(out.name, metadata, files))
    return facts


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
    seeds: tuple[SeedRow, ...],
    options: PackageOptions,
) -> CardFacts:
    return CardFacts(
        name=name,
        metadata=metadata,
        parameters=parameter_count(proto),
        multiply_adds=multiply_adds(proto),
        calibration=calibration_in_words(table),
        rows=tuple(rows),
        terms=options.terms,
        others=tuple(root.name for root in options.others),
        seeds=seeds,
        has_curves=metadata.model.output == "sigmoid",
        never_shown=options.never_shown,
        mirroring=has_mirroring(proto),
    )
