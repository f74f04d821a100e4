"""`edgeseg evaluate`."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeseg.cli.model_argument import NetworkOption
from edgeseg.cli.output import JsonFlag, emit, table, track

if TYPE_CHECKING:
    from edgeseg.runtime.verify.evaluation import Evaluation

SHOWN_IMAGES = 20


def evaluate(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="RUN folder, .onnx file, model package or .engine file.")
    ],
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Data set with masks.")],
    split: Annotated[
        str, typer.Option(help="train, validation or test; a data set without splits is taken whole.")
    ] = "test",
    network: NetworkOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Measure Dice and IoU of a model on labelled images."""
    from edgeseg.cli.model_argument import open_model
    from edgeseg.dataset import load_pairs
    from edgeseg.runtime.verify.evaluation import evaluate as evaluate_session

    pairs = load_pairs(data, split)
    with contextlib.closing(open_model(model, network)) as session:
        evaluation = evaluate_session(session, pairs, track)
    emit(evaluation, as_json, _text(evaluation))


def _text(evaluation: Evaluation) -> str:
    worst = sorted(evaluation.per_image, key=lambda score: score.dice)[:SHOWN_IMAGES]
    title = (
        "Images"
        if len(worst) == evaluation.image_count
        else f"The {len(worst)} worst of {evaluation.image_count} images"
    )
    rows = [[score.name, f"{score.dice:.4f}", f"{score.iou:.4f}"] for score in worst]
    means = f"mean Dice {evaluation.mean_dice:.4f}, mean IoU {evaluation.mean_iou:.4f}"
    return f"{table(title, ['image', 'Dice', 'IoU'], rows)}\n{means}, {evaluation.image_count} images"
