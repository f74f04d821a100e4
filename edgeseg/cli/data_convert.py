"""`edgeseg data convert`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from edgeseg.cli.output import JsonFlag, emit, track
from edgeseg.errors import UsageError
from edgeseg.shell import quoted


def convert(
    source: Annotated[
        Path, typer.Argument(metavar="SOURCE", help="A data set in any layout, a COCO file, or a CSV of pairs.")
    ],
    out: Annotated[Path, typer.Option("--out", help="New folder for the data set.")],
    foreground: Annotated[
        str | None, typer.Option(metavar="LABEL[,LABEL]", help="Labels or COCO categories that are the polyp.")
    ] = None,
    exif: Annotated[
        Literal["refuse", "upright", "stored"],
        typer.Option(help="How masks were drawn where image and mask state different EXIF orientations."),
    ] = "refuse",
    classes: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Colours that are classes: a CSV of name,r,g,b, or CVAT's labelmap.txt."),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(metavar="LABEL,LABEL,...", help="Labels that become 0, 1, 2 and on: the background's first."),
    ] = None,
    ignore: Annotated[
        int | None, typer.Option(min=0, max=254, help="With --labels: label of pixels that nobody judges.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Write a data set in the standard layout: from COCO, masks of instances, colours, odd depths and orientations."""
    from edgeseg.conversion import ConversionOptions, convert_dataset

    if ignore is not None and labels is None:
        raise UsageError("--ignore works with --labels only", found="no --labels LABEL,LABEL,...")
    chosen, numbered = _labels("--foreground", foreground), _labels("--labels", labels)
    if numbered is not None and (chosen is not None or classes is not None):
        raise UsageError("--labels excludes --foreground and --classes", expected="one of them")
    result = convert_dataset(source, out, ConversionOptions(chosen, exif, classes, numbered, ignore), track)
    counts = ", ".join(f"{count} {name}" for name, count in result.pictures.items())
    left = (
        f"left out, without a partner: {len(result.left_out)} files, such as {result.left_out[0]}\n"
        if result.left_out
        else ""
    )
    emit(result, as_json, f"{counts} in {out}, from {result.source}\n{left}next: edgeseg data inspect {quoted(out)}")


def _labels(option: str, text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise UsageError(f"{option} {text} is no list of labels", expected="numbers: 1 or 1,2") from error
