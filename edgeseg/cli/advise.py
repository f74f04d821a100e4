"""`edgeseg advise`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeseg.cli.output import JsonFlag, emit, say, table, track

if TYPE_CHECKING:
    from edgeseg.artifacts import TimeShare
    from edgeseg.machine.advise.advice_values import Advice, Candidate


def advise(
    context: typer.Context,
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="An .onnx file or a model package.")],
    data: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            help="Data set with masks: --split judges, validation chooses the convolutions that leave INT8, train "
            "calibrates a model without a table.",
        ),
    ],
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for the engines, advice.html and advice.json.")
    ] = Path("advice"),
    split: Annotated[
        str, typer.Option(help="train, validation or test; a data set without splits is taken whole.")
    ] = "test",
    max_dice_drop: Annotated[
        float | None,
        typer.Option(help="Limit of the mean Dice drop, as verify has it: 0.0005 FP32, 0.001 FP16, 0.005 INT8."),
    ] = None,
    max_lost_polyps: Annotated[
        int | None,
        typer.Option(min=0, metavar="N", help="Limit of the polyps that float32 finds and an engine loses."),
    ] = None,
    backend: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Backend to weigh; by default every one that executes here. Repeatable."),
    ] = None,
    calibration: Annotated[Path | None, typer.Option(help="Calibration table for INT8; a package has its own.")] = None,
    seconds: Annotated[float, typer.Option(min=0.1, help="Longest time of the timing, in seconds.")] = 60.0,
    as_json: JsonFlag = False,
) -> None:
    """Say which precision to ship on this machine, what it costs and what it gains; exit code 3 if none can be named.

    FP32, FP16, INT8 and a mix of them are built for every backend that executes here, compared on labelled images and
    timed in turns.
    """
    from edgeseg.errors import ToleranceError
    from edgeseg.machine.advise.advice_page import HTML_NAME, JSON_NAME
    from edgeseg.machine.advise.advice_values import AdviseOptions
    from edgeseg.machine.advise.advising import advise as weigh
    from edgeseg.machine.doctor.auto_choice import ask_builders
    from edgeseg.machine.doctor.machine_examination import examine
    from edgeseg.machine.doctor.machine_view import this_machine

    backends = _known(context, backend)
    options = AdviseOptions(data, split, out, backends, calibration, max_dice_drop, max_lost_polyps, seconds)
    advice = weigh(model, options, examine(this_machine(), ask_builders), track, say)
    say(f"wrote {out / HTML_NAME} and {JSON_NAME}")
    emit(advice, as_json, _text(advice))
    if advice.answer != "ship":
        raise typer.Exit(ToleranceError.exit_code)


def _known(context: typer.Context, given: list[str] | None) -> tuple[str, ...]:
    from edgeseg.runtime.engine.backends import backend_names

    names = backend_names()
    unknown = [name for name in given or [] if name not in names]
    if unknown:
        context.fail(f"--backend {unknown[0]} is not one of {', '.join(names)}")
    return tuple(name for name in names if name in (given or ()))


def _text(advice: Advice) -> str:
    columns = ["engine", "holds", "Dice drop", "lost", "ms", "p50", "p99", "/ float32", "/ FP16"]
    rows = [_cells(one, advice) for one in advice.candidates if one.holds is not None]
    lines = [
        advice.headline,
        *(f"  - {sentence}" for sentence in advice.sentences),
        *([table(f"{advice.model_path} on {advice.gpu or advice.machine}", columns, rows)] if rows else []),
        *(f"  {one.name}: {one.reasons[0]}" for one in advice.candidates if one.holds is None),
        *([] if advice.engine is None else [f"engine: {advice.engine}"]),
        "next",
        *(f"  {command}" for command in advice.next_commands),
        f"{advice.notice}.",
    ]
    return "\n".join(lines)


def _cells(one: Candidate, advice: Advice) -> list[str]:
    assert one.end_to_end is not None and one.mean_dice_drop is not None and one.lost is not None
    return [
        f"{one.name}{' *' if one.name == advice.advised else ''}",
        "undecided" if one.holds == "undecided" else "yes" if one.holds else "no",
        f"{one.mean_dice_drop:+.4f}",
        f"{one.lost.count} of {one.lost.of}",
        f"{one.undisturbed_ms:.2f}",
        f"{one.end_to_end.p50_ms:.2f}",
        f"{one.end_to_end.p99_ms:.2f}",
        _share(one.over_float32),
        _share(one.over_fp16),
    ]


def _share(share: TimeShare | None) -> str:
    if share is None:
        return "-"
    return f"{share.ratio:.2f}{' (noise)' if share.outcome == 'within noise' else ''}"
