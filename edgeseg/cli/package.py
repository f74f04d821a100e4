"""`edgeseg package`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeseg.cli.model_argument import TrustOption
from edgeseg.cli.output import JsonFlag, emit, table, track
from edgeseg.shell import quoted

if TYPE_CHECKING:
    from edgeseg.export.package.facts import CardFacts, Clip


def package(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="RUN folder of a training.")],
    data: Annotated[Path, typer.Option(help="Data set with the splits train, validation and test.")],
    out: Annotated[Path, typer.Option(help="Package folder to make; its name is the model's name.")],
    terms: Annotated[str, typer.Option(help="Terms of use, given those of the training data, for the card.")],
    images: Annotated[int, typer.Option(min=1, help="Images of the train split to calibrate on.")] = 256,
    trust: TrustOption = None,
    threshold: Annotated[
        str | None,
        typer.Option(
            metavar="T|FILE", help="Threshold that becomes the graph's 0.5: a number, or threshold.json of this RUN."
        ),
    ] = None,
    negatives: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SOURCE[@FRAMES]", help="Images or a clip without a polyp, to put false alarms on the card."
        ),
    ] = None,
    positives: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SOURCE[@FRAMES]",
            help="Images or a clip that show a polyp, to put on the card how often it is found.",
        ),
    ] = None,
    others: Annotated[
        list[Path] | None,
        typer.Option(metavar="DATA", help="Further data set, on whose test split the card tells figures. Repeatable."),
    ] = None,
    seeds: Annotated[
        list[Path] | None,
        typer.Option(metavar="RUN", help="Training of the same recipe with another seed, for the card. Repeatable."),
    ] = None,
    never_shown: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="The kinds of pictures that training had none of, for the card."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Make a model package: ONNX, calibration table, a card with measured figures, a bill of materials."""
    from edgeseg.optional import require

    require("torch")
    from edgeseg.export.package.packaging import PackageOptions, package_run

    clips = [_clip(text, False) for text in negatives or ()] + [_clip(text, True) for text in positives or ()]
    further = tuple(others or ()), tuple(seeds or ()), never_shown, tuple(trust or ())
    options = PackageOptions(data, terms, images, threshold, tuple(clips), *further)
    facts = package_run(run, out, options, track)
    words = f"{_figures(facts, out)}\nnext: edgeseg build-engine {quoted(out)} --precision int8"
    emit(_document(facts, out), as_json, words)


def _figures(facts: CardFacts, out: Path) -> str:
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
    return table(str(out), columns, rows)


def _document(facts: CardFacts, out: Path) -> dict[str, Any]:
    return {
        "package": str(out),
        "parameters": facts.parameters,
        "multiply_adds": facts.multiply_adds,
        "precisions": {row.precision: row.evaluation.to_dict() for row in facts.rows},
        "clips": {
            marked.clip.name: {row.precision: row.clips[index].share for row in facts.rows}
            for index, marked in enumerate(facts.rows[0].clips)
        },
        "others": {
            name: {row.precision: row.others[index].to_dict() for row in facts.rows}
            for index, name in enumerate(facts.others)
        },
        "seeds": {row.seed: row.mean_dice for row in facts.seeds},
    }


def _clip(text: str, shows_polyp: bool) -> Clip:
    from edgeseg.export.package.facts import Clip
    from edgeseg.proof.evaluation.frame_masks import UnlabelledSource
    from edgeseg.runtime.file.frame_choice import split_choice

    path, frames = split_choice(text)
    return Clip(UnlabelledSource(path, frames), shows_polyp)
