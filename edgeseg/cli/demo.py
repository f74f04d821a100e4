"""`edgeseg demo`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeseg.cli.output import JsonFlag, emit, say, table, track

if TYPE_CHECKING:
    from edgeseg.demo import DemoResult, EngineRow


def demo(
    out: Annotated[Path, typer.Option(help="Folder for all results.")] = Path("demo"),
    as_json: JsonFlag = False,
) -> None:
    """Walk the whole path on synthetic endoscopy: minutes on two CPU cores, no GPU."""
    from edgeseg.errors import ToleranceError
    from edgeseg.files import check_writable
    from edgeseg.optional import require

    require("torch")
    from edgeseg.demo import run_demo

    check_writable(out / "data")
    result = run_demo(out, say, track)
    document = {
        "passed": result.passed,
        "against_int8": result.against_int8,
        "engines": [row.to_dict() for row in result.rows],
        "page": str(result.page),
        "clip": str(result.clip),
        "clips": {"passed": result.clips.passed, "reasons": list(result.clips.reasons), "page": str(result.clips_page)},
        "seconds": result.seconds,
    }
    emit(document, as_json, _text(result))
    if not result.passed:
        raise typer.Exit(ToleranceError.exit_code)


def _text(result: DemoResult) -> str:
    columns = ["engine", "precision", "size", "INT8 convolutions", "Dice", "drop", "p50", "p99", "verdict"]
    title = f"synthetic endoscopy, {result.seconds:.0f} s; times of one picture on this CPU"
    lines = [
        table(title, columns, [_cells(row) for row in result.rows]),
        f"page  {result.page}",
        f"video {result.clips_page}",
        f"clip  {result.clip}",
    ]
    if result.against_int8 is not None:
        lines.append(result.against_int8)
    return "\n".join(lines)


def _cells(row: EngineRow) -> list[str]:
    verdict = row.verdict
    cells = [
        row.backend,
        row.precision,
        f"{row.engine_bytes / 1e6:.2f} MB",
        f"{row.int8_convolutions} of {row.convolutions}",
    ]
    if verdict is None:
        return [*cells, "-", "-", "-", "-", "built; needs an RTX GPU to run"]
    times = verdict.latency.end_to_end
    return [
        *cells,
        f"{verdict.mean_dice:.4f}",
        f"{verdict.mean_dice_drop:+.4f}",
        f"{times.p50_ms:.1f} ms",
        f"{times.p99_ms:.1f} ms",
        "passed" if verdict.passed is True else "failed" if verdict.passed is False else "undecided",
    ]
