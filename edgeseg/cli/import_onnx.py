"""`edgeseg import-onnx`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from edgeseg.cli.output import JsonFlag, emit, say
from edgeseg.shell import quoted


def import_onnx(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="A float network from elsewhere: pictures in, ONNX opset 11 to 24."),
    ],
    out: Annotated[Path, typer.Option(help="ONNX file to write.")],
    mean: Annotated[str, typer.Option(help="Mean of R,G,B after division by --scale.")] = "0,0,0",
    std: Annotated[str, typer.Option(help="Standard deviation of R,G,B: input = (x / scale - mean) / std.")] = "1,1,1",
    scale: Annotated[float, typer.Option(help="Number that the levels 0..255 are divided by first.")] = 255.0,
    bgr: Annotated[bool, typer.Option("--bgr", help="The network takes B,G,R planes.")] = False,
    output: Annotated[
        Literal["auto", "logits", "probability"],
        typer.Option(help="logits if sigmoid or softmax is still to come; auto looks at the last operator."),
    ] = "auto",
    channel: Annotated[
        int | None, typer.Option(min=0, help="Channel to use alone, if classes overlap (a sigmoid each).")
    ] = None,
    class_name: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Name of a class; repeat it for each, the background first if there is one."),
    ] = None,
    output_name: Annotated[
        str | None, typer.Option(help="Output to use, if there are several, or a tensor inside.")
    ] = None,
    height: Annotated[
        int | None, typer.Option(min=1, max=8192, help="Input height, if the file leaves it open.")
    ] = None,
    width: Annotated[int | None, typer.Option(min=1, max=8192, help="Input width, if the file leaves it open.")] = None,
    data: Annotated[
        Path | None, typer.Option(help="Images for the parity check against FILE; noise is always checked, too.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Import a network from elsewhere: wrap it into edgeseg's graph and compare the result with the file."""
    from edgeseg.export.foreign.foreign_options import ImportOptions
    from edgeseg.export.foreign.importing import import_onnx as wrap

    options = ImportOptions(
        mean=_colour("--mean", mean),
        std=_colour("--std", std),
        scale=scale,
        bgr=bgr,
        output=output,
        channel=channel,
        class_names=tuple(class_name or ()),
        output_name=output_name,
        height=height,
        width=width,
    )
    result = wrap(file, out, options, data)
    for warning in result.warnings:
        say(f"warning: {warning}")
    difference = result.metadata.provenance.metrics["max_probability_difference"]
    text = "\n".join(
        [
            f"{out}: probabilities within {difference:.2g} of {file}",
            *(f"  {change}" for change in result.changes),
            f"next: edgeseg calibrate {quoted(out)} --data DIR --out {quoted(out.with_suffix('.calibration.json'))}",
        ]
    )
    document = {"out": str(out), "changes": list(result.changes), "warnings": list(result.warnings)}
    emit({**document, **result.metadata.to_dict()}, as_json, text)


def _colour(option: str, text: str) -> tuple[float, float, float]:
    try:
        red, green, blue = (float(part) for part in text.split(","))
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is not three numbers R,G,B", param_hint=option) from error
    return red, green, blue
