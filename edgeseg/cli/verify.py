"""`edgeseg verify`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeseg.cli.bisect_text import run_bisection
from edgeseg.cli.clip_text import clip_lines, clip_text, outcome_word
from edgeseg.cli.model_argument import TrustOption
from edgeseg.cli.output import JsonFlag, emit, say, track

if TYPE_CHECKING:
    from edgeseg.artifacts import ClipVerdict, FoundPolyps, Verdict
    from edgeseg.proof.verdict.engine_verdict import Demands
    from edgeseg.runtime.engine.engine import Engine

MOST_GAINED = 10
"""Names on one line; `--json` and the page have them all."""


def verify(
    engine: Annotated[Path, typer.Argument(metavar="ENGINE", help="The .engine file, with its passport beside it.")],
    reference: Annotated[Path, typer.Option(metavar="MODEL", help="Model that the engine is compared with.")],
    data: Annotated[Path | None, typer.Option(metavar="DIR", help="Data set with masks.")] = None,
    clips: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.toml", help="Clips, and the frames of them that show a lesion; with or without --data."
        ),
    ] = None,
    live_report: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="JSON that live --json printed for this engine: delays for --clips."),
    ] = None,
    split: Annotated[
        str, typer.Option(help="train, validation or test; a data set without splits is taken whole.")
    ] = "test",
    max_dice_drop: Annotated[
        float | None,
        typer.Option(help="Limit of the mean Dice drop; 0.0005 FP32, 0.001 FP16, 0.005 INT8. Below 0 demands a gain."),
    ] = None,
    max_p99_ms: Annotated[
        float | None, typer.Option(min=0, help="Limit of p99 from frame to mask, in milliseconds.")
    ] = None,
    max_lost_polyps: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="N",
            help="Limit of the polyps that the reference finds and the engine loses, by image or by region.",
        ),
    ] = None,
    baseline: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Earlier verdict.json that the engine must not fall behind.")
    ] = None,
    baseline_engine: Annotated[
        Path | None,
        typer.Option(metavar="ENGINE", help="Engine that this one must not be slower than; both are timed in turns."),
    ] = None,
    max_slowdown: Annotated[
        float | None,
        typer.Option(min=0, metavar="PERCENT", help="Limit of that slowdown, in percent; 5 unless set."),
    ] = None,
    min_reference_dice: Annotated[
        float | None,
        typer.Option(
            metavar="D",
            help="Undecided where the reference's mean Dice on images with a polyp is lower; 0.4 unless set.",
        ),
    ] = None,
    min_agreement: Annotated[
        float | None,
        typer.Option(
            metavar="D",
            help="Floor of the Dice of the engine's masks against the reference's; 0.7 unless set, less where a drop "
            "beyond 0.3 is allowed.",
        ),
    ] = None,
    bisect: Annotated[
        bool,
        typer.Option(
            "--bisect",
            help="Instead of a verdict: the first layer at which the engine's graph and the reference's disagree on "
            "eight pictures, and why. ENGINE may be an .onnx file.",
        ),
    ] = False,
    protocol: Annotated[
        Path | None,
        typer.Option(metavar="FILE.toml", help="Limits and data fixed beforehand by `edgeseg protocol`."),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for verdict.json and verdict.html.")
    ] = None,
    junit: Annotated[
        Path | None, typer.Option(metavar="FILE.xml", help="JUnit XML: a test case for each rule.")
    ] = None,
    summary: Annotated[
        Path | None,
        typer.Option(metavar="FILE.md", help='Markdown to append to, such as "$GITHUB_STEP_SUMMARY".'),
    ] = None,
    trust: TrustOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Prove that an engine stays within tolerance of accuracy and latency; exit code 3 if it does not."""
    from edgeseg.errors import ToleranceError, UsageError
    from edgeseg.proof.ci.records import check_records, write_records
    from edgeseg.proof.clips.clip_verdict import ClipRequest
    from edgeseg.proof.verdict.engine_verdict import Demands, verify_engine, verify_on_clips
    from edgeseg.runtime.opener.engine_from_file import open_engine

    def open_reference() -> Engine:
        return open_engine(reference, trusted=trust or ())

    demands = Demands(
        max_dice_drop,
        max_p99_ms,
        max_lost_polyps,
        baseline,
        min_reference_dice,
        min_agreement,
        baseline_engine,
        max_slowdown,
    )
    if bisect:
        idle = (clips, live_report, protocol, junit, summary, trust or None)
        if any(flag is not None for flag in idle) or demands != Demands():
            raise UsageError("--bisect judges no limit and no clip", expected="--data, --split and --report beside it")
        if not run_bisection(engine, reference, data, split, report, as_json):
            raise typer.Exit(ToleranceError.exit_code)
        return
    _refuse_idle_flags(data, clips, live_report, demands)
    check_records(junit, summary, engine, reference, clips, live_report, baseline, baseline_engine, protocol)
    request = None if clips is None else ClipRequest(clips, live_report)
    verdict: Verdict | ClipVerdict
    if data is not None:
        verdict = verify_engine(
            engine, open_reference, data, split, demands, report, track, say, reference, request, protocol
        )
    else:
        assert request is not None
        verdict = verify_on_clips(engine, open_reference, request, report, track, say, reference, protocol)
    write_records(verdict, junit, summary)
    emit(verdict, as_json, _text(verdict))
    if verdict.passed is not True:
        raise typer.Exit(ToleranceError.exit_code)


def _refuse_idle_flags(data: Path | None, clips: Path | None, live_report: Path | None, demands: Demands) -> None:
    """Refuse flags that would do nothing.

    Raises:
        UsageError: Nothing to verify on, or a flag without what it is for.
    """
    from edgeseg.errors import UsageError
    from edgeseg.proof.verdict.engine_verdict import Demands

    if data is None and clips is None:
        raise UsageError("there is nothing to verify on", expected="--data DIR, --clips FILE.toml, or both")
    if live_report is not None and clips is None:
        raise UsageError("--live-report works with --clips only", expected="--clips FILE.toml")
    if demands.max_slowdown is not None and demands.baseline_engine is None:
        raise UsageError("--max-slowdown works with --baseline-engine only", expected="--baseline-engine ENGINE")
    if data is None and demands != Demands():
        raise UsageError(
            "limits for labelled images were given, and no labelled images",
            found="--clips alone",
            expected="--data DIR; limits for clips stand under [limits] in their file",
        )


def _polyps(polyps: FoundPolyps | None) -> list[str]:
    """One line: what each network finds, and which images the engine gains; those that it loses are in the reasons."""
    if polyps is None:
        return []
    gained = f" ({', '.join(polyps.gained.names)})" if 0 < polyps.gained.count <= MOST_GAINED else ""
    return [
        f"polyps found (IoU {polyps.found_iou} or more): {polyps.engine_found} of {polyps.images_with_polyp} "
        f"(reference {polyps.reference_found}), {polyps.lost.count} lost, {polyps.gained.count} gained{gained}"
    ]


def _classes(verdict: Verdict) -> list[str]:
    """One line for each class of several."""
    return [
        f"{score.name}: Dice {_figure(score.mean_dice)} (reference {_figure(reference.mean_dice)}), "
        f"{score.image_count} images"
        for score, reference in zip(verdict.by_class, verdict.reference_by_class, strict=True)
    ]


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _text(verdict: Verdict | ClipVerdict) -> str:
    from edgeseg.artifacts import ClipVerdict
    from edgeseg.proof.verdict.latency_words import latency_lines
    from edgeseg.proof.verdict.measure_words import measure_lines
    from edgeseg.runtime.engine.backends import on_cpu

    if isinstance(verdict, ClipVerdict):
        return clip_text(verdict)
    lines = [
        f"{outcome_word(verdict)}: {verdict.precision} on {verdict.backend} "
        f"against {verdict.reference_precision} on {verdict.reference_backend}",
        *(f"  - {reason}" for reason in verdict.reasons),
        f"mean Dice {verdict.mean_dice:.4f} (reference {verdict.reference_mean_dice:.4f}), "
        f"mean IoU {verdict.mean_iou:.4f}, masks agree to {verdict.mean_agreement:.4f}",
        *_classes(verdict),
        *_polyps(verdict.polyps),
        *measure_lines(verdict),
        *latency_lines(verdict),
    ]
    if verdict.clips is not None:
        lines += clip_lines(verdict.clips)
    if on_cpu(verdict.backend):
        lines.append("these times were measured on this CPU, not on a GPU")
    lines.append(f"this holds for the engine with sha256 {verdict.engine_sha256}, and for no other build")
    if verdict.next_command is not None:
        lines.append(f"next: {verdict.next_command}")
    return "\n".join([*lines, f"{verdict.notice}."])
