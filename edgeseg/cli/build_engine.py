"""`edgeseg build-engine`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from edgeseg.cli.output import JsonFlag, emit, say, track

if TYPE_CHECKING:
    from edgeseg.export.build import BuildResult

DECIDED_BY_PASSPORT = ("precision", "backend", "calibration", "calibration_data")


def build_engine(
    context: typer.Context,
    model: Annotated[Path | None, typer.Argument(help="An .onnx file or a model package.")] = None,
    precision: Annotated[Literal["fp16", "fp32", "int8"], typer.Option(help="Of the convolutions.")] = "fp16",
    backend: Annotated[
        Literal["auto", "onnxruntime", "tensorrt", "tensorrt-rtx"],
        typer.Option(help="What shall execute the engine; auto: tensorrt where it and a GPU are, else onnxruntime."),
    ] = "auto",
    calibration: Annotated[
        Path | None, typer.Option(help="Calibration table for INT8; a package brings its own.")
    ] = None,
    calibration_data: Annotated[
        Path | None, typer.Option(help="Images to calibrate on instead: a data set's train split, or a folder.")
    ] = None,
    from_passport: Annotated[
        Path | None, typer.Option(help="Repeat the build of this NAME.engine.json instead of naming a MODEL.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Engine to write; default NAME.PRECISION.engine here, or the passport's own engine."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Build an engine, with a passport that says what it is."""
    _check_usage(context, model, from_passport)
    if from_passport is not None:
        _rebuild(from_passport, out, as_json)
        return
    from edgeseg.export.build import BuildOptions
    from edgeseg.export.build import build_engine as build

    assert model is not None
    result = build(model, BuildOptions(precision, backend, calibration, calibration_data, out), track, say)
    _emit(result, {}, as_json, f"next: edgeseg verify {result.engine} --reference {model} --data DIR")


def _check_usage(context: typer.Context, model: Path | None, from_passport: Path | None) -> None:
    if (model is None) == (from_passport is None):
        context.fail("name a MODEL to build from, or a build to repeat by --from-passport FILE: one of the two")
    given = [
        name
        for name in DECIDED_BY_PASSPORT
        if (source := context.get_parameter_source(name)) is not None and source.name == "COMMANDLINE"
    ]
    if from_passport is not None and given:
        options = ", ".join("--" + name.replace("_", "-") for name in given)
        context.fail(f"the passport decides how a build is repeated; leave out {options}")


def _rebuild(passport: Path, out: Path | None, as_json: bool) -> None:
    from edgeseg.export.rebuild import rebuild_engine

    rebuilt = rebuild_engine(passport, out, track, say)
    facts = {"identical": rebuilt.identical, "differences": rebuilt.differences}
    if rebuilt.identical:
        verdict = "the same bytes as before: its verdict holds"
    else:
        verdict = f"other bytes than before ({'; '.join(rebuilt.differences) or 'all that is recorded is equal'})"
        verdict += f"\nnext: edgeseg verify {rebuilt.result.engine} --reference MODEL --data DIR"
    _emit(rebuilt.result, facts, as_json, verdict)


def _emit(result: BuildResult, facts: dict[str, Any], as_json: bool, last: str) -> None:
    passport = result.passport
    say(f"backend {passport.backend} {passport.backend_version} ({result.backend_reason})")
    text = (
        f"{result.engine}: {passport.precision}, {passport.engine_bytes / 1e6:.2f} MB, "
        f"INT8 in {passport.int8_convolutions} of {passport.convolutions} convolutions\n{last}"
    )
    document = {"engine": str(result.engine), "backend_reason": result.backend_reason, **facts, **passport.to_dict()}
    emit(document, as_json, text)
