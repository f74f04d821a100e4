"""`edgeseg history`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeseg.cli.output import JsonFlag, emit, say, table

if TYPE_CHECKING:
    from edgeseg.proof.history.verdict_history import VersionRow

COLUMNS = ["version", "Dice", "drop", "polyps lost", "p99, ms", "verdict", "protocol"]


def history(
    verdicts: Annotated[list[Path], typer.Argument(metavar="VERDICT...", help="verdict.json files, in any order.")],
    out: Annotated[Path, typer.Option(metavar="FILE.html", help="The page.")] = Path("history.html"),
    as_json: JsonFlag = False,
) -> None:
    """Show verdicts of several versions side by side, on one page."""
    from edgeseg.files import check_writable_file, write_text
    from edgeseg.proof.history.history_page import render_history
    from edgeseg.proof.history.verdict_history import read_history

    check_writable_file(out, *verdicts)
    found = read_history(verdicts)
    write_text(out, render_history(found))
    say(f"wrote {out}")
    emit(found, as_json, table("verdicts, oldest first", COLUMNS, [_row(row) for row in found.versions]))


def _row(row: VersionRow) -> list[str]:
    from edgeseg.proof.ci.verdict_figures import OUTCOMES

    protocol = "-" if row.protocol is None else "kept" if row.protocol.kept else "not kept"
    lost = "-" if row.lost_polyps is None else f"{row.lost_polyps} of {row.found_by_reference}"
    figures = [
        "-" if value is None else f"{value:{form}}"
        for value, form in ((row.mean_dice, ".4f"), (row.mean_dice_drop, "+.4f"), (row.p99_ms, ".2f"))
    ]
    return [row.name, *figures[:2], lost, figures[2], OUTCOMES[str(row.passed)], protocol]
