"""`edgeseg build-engine`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from edgeseg.cli.output import JsonFlag, emit, say, track
from edgeseg.cli.registry_options import BackendOption, TableMethodOption
from edgeseg.cli.tensorrt_flags import (
    NAMES,
    ComputeCapabilities,
    HardwareCompatible,
    MaxBatch,
    MinBatch,
    OptBatch,
    VersionCompatible,
    WorkspaceMib,
    tensorrt_options,
)
from edgeseg.files import check_writable
from edgeseg.runtime.engine.backends import AUTO
from edgeseg.shell import quoted

if TYPE_CHECKING:
    from edgeseg.export.build import BuildResult

LIMITS = ("max_dice_drop", "max_lost_polyps")
DECIDED_BY_PASSPORT = (
    "precision",
    "keep_int8",
    "precision_plan",
    "write_plan",
    *LIMITS,
    "data",
    "backend",
    "calibration",
    "calibration_data",
    "method",
    *NAMES,
)
DECIDED_BY_PLAN = ("precision", "keep_int8", "write_plan", *LIMITS, "data")
NOT_OF_A_PLAN = ("keep_int8", "calibration", "calibration_data", "method", "out", "report", *NAMES)


def build_engine(
    context: typer.Context,
    model: Annotated[Path | None, typer.Argument(metavar="MODEL", help="An .onnx file or a model package.")] = None,
    precision: Annotated[Literal["fp16", "fp32", "int8"], typer.Option(help="Precision of the convolutions.")] = "fp16",
    precision_plan: Annotated[
        Path | None,
        typer.Option(help="File that gives each convolution its precision (TOML or .json), instead of --precision."),
    ] = None,
    write_plan: Annotated[
        Path | None,
        typer.Option(
            help="Write the plan behind --precision to this file, for you to edit, and build nothing; "
            "with a limit, the plan that was found, beside the engine."
        ),
    ] = None,
    max_dice_drop: Annotated[
        float | None,
        typer.Option(help="Build INT8, and send convolutions back to float until the mean Dice drop on --data fits."),
    ] = None,
    max_lost_polyps: Annotated[
        int | None,
        typer.Option(min=0, metavar="N", help="The same, until INT8 loses at most N polyps that float32 finds."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Labelled data set for these limits; its validation split decides."),
    ] = None,
    backend: BackendOption = AUTO,
    calibration: Annotated[Path | None, typer.Option(help="Calibration table for INT8; a package has its own.")] = None,
    calibration_data: Annotated[
        Path | None,
        typer.Option(help="Images to calibrate on, instead of a table: a data set's train split, or a folder."),
    ] = None,
    method: TableMethodOption = None,
    from_passport: Annotated[
        Path | None,
        typer.Option(help="Repeat the build that this NAME.engine.json records, instead of naming a MODEL."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Engine to write; default NAME.PRECISION.engine here, or the passport's own engine."),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Write the engine's layers, with their times where they can be measured (JSON).")
    ] = None,
    keep_int8: Annotated[
        bool, typer.Option("--keep-int8", help="Build INT8 even if float32 is as fast on this processor.")
    ] = False,
    min_batch: MinBatch = None,
    opt_batch: OptBatch = None,
    max_batch: MaxBatch = None,
    workspace_mib: WorkspaceMib = None,
    hardware_compatible: HardwareCompatible = None,
    version_compatible: VersionCompatible = False,
    compute_capabilities: ComputeCapabilities = None,
    as_json: JsonFlag = False,
) -> None:
    """Build an engine, with a passport that says what it is."""
    _check_usage(context)
    if report is not None:
        check_writable(report)
    if from_passport is not None:
        _rebuild(from_passport, out, report, as_json)
        return
    assert model is not None
    from edgeseg.export.mixing.accuracy_limits import limits_on

    limits = limits_on(data, max_dice_drop, max_lost_polyps)
    if write_plan is not None and limits is None:
        _write_plan(model, precision, backend, write_plan, as_json)
        return
    from edgeseg.calibration.plan_files import read_plan
    from edgeseg.export.build import BuildOptions
    from edgeseg.export.build import build_engine as build

    options = BuildOptions(
        precision if limits is None else "int8",
        backend,
        calibration,
        calibration_data,
        out,
        tensorrt_options(context.params),
        None if precision_plan is None else read_plan(precision_plan),
        precision_plan or write_plan,
        limits,
        keep_int8=keep_int8,
        method=method,
    )
    result = build(model, options, track, say)
    _emit(
        result,
        {},
        report,
        as_json,
        f"next: edgeseg verify {quoted(result.engine)} --reference {quoted(model)} --data DIR",
    )


def _check_usage(context: typer.Context) -> None:
    named = context.params
    if (named["model"] is None) == (named["from_passport"] is None):
        context.fail("give either a MODEL to build from or --from-passport FILE")
    if named["from_passport"] is not None:
        _refuse(context, DECIDED_BY_PASSPORT, "--from-passport repeats a build as it was; leave out")
    if named["precision_plan"] is not None:
        _refuse(context, DECIDED_BY_PLAN, "--precision-plan gives the precision; leave out")
    limited = any(named[name] is not None for name in LIMITS)
    if limited and named["precision"] != "int8":
        _refuse(context, ("precision",), "a limit asks for INT8 and what it needs of float; leave out")
    if named["write_plan"] is not None and not limited:
        _refuse(context, NOT_OF_A_PLAN, "--write-plan builds nothing; leave out")


def _refuse(context: typer.Context, names: tuple[str, ...], why: str) -> None:
    sources = {name: context.get_parameter_source(name) for name in names}
    given = [name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"]
    if given:
        context.fail(f"{why} {', '.join('--' + name.replace('_', '-') for name in given)}")


def _write_plan(
    model: Path,
    precision: Literal["fp16", "fp32", "int8"],
    backend: str,
    path: Path,
    as_json: bool,
) -> None:
    from edgeseg.export.precision_plans import write_plan

    plan = write_plan(model, precision, backend, path)
    text = f"{path}: {plan.default}, except for {len(plan.layers)} layers"
    next_command = f"edgeseg build-engine {quoted(model)} --backend {quoted(backend)} --precision-plan {quoted(path)}"
    emit({"plan": str(path), **plan.to_dict()}, as_json, f"{text}\nnext: edit it, then {next_command}")


def _rebuild(passport: Path, out: Path | None, report: Path | None, as_json: bool) -> None:
    from edgeseg.export.rebuild import rebuild_engine

    rebuilt = rebuild_engine(passport, out, track, say)
    facts = {
        "identical": rebuilt.identical,
        "differences": rebuilt.differences,
        "next_command": rebuilt.next_command,
    }
    if rebuilt.identical:
        verdict = f"byte for byte the former engine (sha256 {rebuilt.former.engine_sha256[:12]}), so its verdict holds"
    else:
        why = "; ".join(rebuilt.differences) or "no difference on record"
        verdict = (
            f"the bytes differ from the former engine's ({why}): a verdict belongs to its engine's sha256, so "
            f"{rebuilt.result.passport.engine_sha256[:12]} needs a new one\nnext: {rebuilt.next_command}"
        )
    _emit(rebuilt.result, facts, report, as_json, verdict)


def _emit(result: BuildResult, facts: dict[str, Any], report: Path | None, as_json: bool, last: str) -> None:
    passport = result.passport
    if report is not None:
        from edgeseg.export.layers.engine_layers import layer_report

        layer_report(result.engine).write(report)
        facts = {**facts, "report": str(report)}
    say(f"backend {passport.backend} {passport.backend_version} ({result.backend_reason})")
    if result.instead_of_int8 is not None:
        say(f"built float32 instead of INT8: {result.instead_of_int8}; --keep-int8 builds INT8 anyway")
    text = (
        f"{result.engine}: {passport.precision}, {passport.engine_bytes / 1e6:.2f} MB, "
        f"INT8 in {passport.int8_convolutions} of {passport.convolutions} convolutions\n{last}"
    )
    facts = {"backend_reason": result.backend_reason, "instead_of_int8": result.instead_of_int8, **facts}
    document = {"engine": str(result.engine), **facts, **passport.to_dict()}
    emit(document, as_json, text)
