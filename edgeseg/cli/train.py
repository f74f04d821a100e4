"""`edgeseg train`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeseg.cli.output import JsonFlag, emit, say, track

if TYPE_CHECKING:
    from edgeseg.train.record import Epoch, RunRecord


def train(
    data: Annotated[Path, typer.Argument(help="Data set with the splits train and validation.")],
    out: Annotated[Path, typer.Option(help="RUN folder to make.")],
    recipe: Annotated[Path | None, typer.Option(help="Recipe (TOML); the default is a plain U-Net.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one value of the recipe.")
    ] = None,
    negatives: Annotated[
        Path | None, typer.Option(help="Folder of pictures that show nothing to find; they join every batch.")
    ] = None,
    start: Annotated[
        Path | None, typer.Option(help="Another RUN whose weights to start from, wherever they fit.")
    ] = None,
    teacher: Annotated[
        list[Path] | None, typer.Option(help="Another RUN that teaches this one; several teach by their mean.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last whole epoch in RUN.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Train a segmentation network into a RUN folder."""
    from edgeseg.optional import require

    require("torch")
    from edgeseg.packages import RUN_RECIPE
    from edgeseg.train.recipe import read_recipe
    from edgeseg.train.training import train as train_run

    source = out / RUN_RECIPE if resume and recipe is None else recipe
    record = train_run(
        data,
        out,
        read_recipe(source, set_ or ()),
        negatives=negatives,
        start=start,
        teachers=teacher or (),
        resume=resume,
        report=_say_epoch,
        track=track,
    )
    text = (
        f"best validation Dice {record.best_validation_dice:.4f} in epoch {record.best_epoch} of {record.epochs}\n"
        f"next: edgeseg export {out} --out model.onnx"
    )
    emit(record, as_json, text)


def _say_epoch(row: Epoch, record: RunRecord) -> None:
    mark = "  best" if record.best_epoch == row.epoch else ""
    say(
        f"epoch {row.epoch:3d}  loss {row.train_loss:.4f}  validation Dice {row.validation_dice:.4f}  "
        f"IoU {row.validation_iou:.4f}  {row.seconds:.0f} s{mark}"
    )
