"""`edgeseg package`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeseg.cli.output import JsonFlag, emit, table, track


def package(
    run: Annotated[Path, typer.Argument(help="RUN folder of a training.")],
    data: Annotated[Path, typer.Option(help="Data set with the splits train, validation and test.")],
    out: Annotated[Path, typer.Option(help="Package folder to make; its name is the model's name.")],
    terms: Annotated[str, typer.Option(help="Terms of use, given those of the training data; kept in the card.")],
    images: Annotated[int, typer.Option(min=1, help="Images of the train split to calibrate on.")] = 256,
    threshold: Annotated[
        str | None, typer.Option(metavar="T|FILE", help="What 0.5 shall mean: a number or threshold.json of this RUN.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Make a model package: ONNX, calibration table and a card with measured figures."""
    from edgeseg.optional import require

    require("torch")
    from edgeseg.export.package import PackageOptions, package_run

    facts = package_run(run, out, PackageOptions(data, terms, images, threshold), track)
    columns = ["precision", "mean Dice", "mean IoU", "INT8 convolutions"]
    rows = [
        [
            row.precision,
            f"{row.evaluation.mean_dice:.4f}",
            f"{row.evaluation.mean_iou:.4f}",
            f"{row.int8_convolutions} of {row.convolutions}",
        ]
        for row in facts.rows
    ]
    document = {
        "package": str(out),
        "parameters": facts.parameters,
        "multiply_adds": facts.multiply_adds,
        "precisions": {row.precision: row.evaluation.to_dict() for row in facts.rows},
    }
    emit(document, as_json, f"{table(str(out), columns, rows)}\nnext: edgeseg build-engine {out} --precision int8")
