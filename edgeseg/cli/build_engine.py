"""`edgeseg build-engine`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from edgeseg.cli.output import JsonFlag, emit, say, track


def build_engine(
    model: Annotated[Path, typer.Argument(help="An .onnx file or a model package.")],
    precision: Annotated[Literal["fp16", "fp32", "int8"], typer.Option(help="Of the convolutions.")] = "fp16",
    backend: Annotated[
        Literal["auto", "onnxruntime", "tensorrt", "tensorrt-rtx"], typer.Option(help="What shall execute the engine.")
    ] = "auto",
    calibration: Annotated[
        Path | None, typer.Option(help="Calibration table for INT8; a package brings its own.")
    ] = None,
    calibration_data: Annotated[
        Path | None, typer.Option(help="Images to calibrate on instead: a data set's train split, or a folder.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Engine to write; default NAME.PRECISION.engine here.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Build an engine, with a passport that says what it is."""
    from edgeseg.export.build import BuildOptions
    from edgeseg.export.build import build_engine as build

    options = BuildOptions(precision, backend, calibration, calibration_data, out)
    result = build(model, options, track)
    passport = result.passport
    say(f"backend {passport.backend} {passport.backend_version} ({result.backend_reason})")
    text = (
        f"{result.engine}: {passport.precision}, {passport.engine_bytes / 1e6:.2f} MB, "
        f"INT8 in {passport.int8_convolutions} of {passport.convolutions} convolutions\n"
        f"next: edgeseg verify {result.engine} --reference {model} --data DIR"
    )
    emit({"engine": str(result.engine), "backend_reason": result.backend_reason, **passport.to_dict()}, as_json, text)
