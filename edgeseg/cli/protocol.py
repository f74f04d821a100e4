"""`edgeseg protocol`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeseg.cli.output import JsonFlag, emit
from edgeseg.shell import quoted

if TYPE_CHECKING:
    from edgeseg.artifacts import VerdictLimits


def protocol(
    out: Annotated[Path, typer.Option(metavar="FILE.toml", help="The file to write; it must not exist yet.")],
    by: Annotated[str, typer.Option(metavar="NAME", help="Whoever sets the limits: name and role.")],
    data: Annotated[Path | None, typer.Option(metavar="DIR", help="Data set with masks to verify on.")] = None,
    clips: Annotated[
        Path | None, typer.Option(metavar="FILE.toml", help="Clips to verify on, with their limits.")
    ] = None,
    split: Annotated[
        str, typer.Option(help="train, validation or test; a data set without splits is taken whole.")
    ] = "test",
    max_dice_drop: Annotated[
        float | None, typer.Option(help="Limit of the mean Dice drop; needed with --data. Below 0 demands a gain.")
    ] = None,
    max_p99_ms: Annotated[
        float | None, typer.Option(min=0, help="Limit of p99 from frame to mask, in milliseconds.")
    ] = None,
    max_lost_polyps: Annotated[
        int | None,
        typer.Option(min=0, metavar="N", help="Limit of the polyps that the reference finds and the engine loses."),
    ] = None,
    min_reference_dice: Annotated[
        float | None, typer.Option(metavar="D", help="As for verify; 0.4 unless set.")
    ] = None,
    min_agreement: Annotated[float | None, typer.Option(metavar="D", help="As for verify; 0.7 unless set.")] = None,
    max_slowdown: Annotated[
        float | None,
        typer.Option(min=0, metavar="PERCENT", help="Limit of the slowdown against verify's --baseline-engine."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Fix the limits and the data of later verifications, before the engine is built."""
    from edgeseg.files import check_writable_file
    from edgeseg.proof.protocol.protocol_file import write_protocol

    limits = _limits(
        data, clips, max_dice_drop, max_p99_ms, max_lost_polyps, min_reference_dice, min_agreement, max_slowdown
    )
    check_writable_file(out)
    file = write_protocol(out, by, limits, data, split, clips)
    document = {"protocol": str(out), "sha256": file.sha256, **file.protocol.model_dump(mode="json")}
    emit(document, as_json, f"{out}: sha256 {file.sha256}\nnext: edgeseg verify ENGINE --protocol {quoted(out)}")


def _limits(
    data: Path | None,
    clips: Path | None,
    max_dice_drop: float | None,
    max_p99_ms: float | None,
    max_lost_polyps: int | None,
    min_reference_dice: float | None,
    min_agreement: float | None,
    max_slowdown: float | None,
) -> VerdictLimits | None:
    """The limits for labelled images, floors among them; None without images.

    Raises:
        UsageError: There is nothing to fix, or limits and images do not come together.
    """
    from edgeseg.errors import UsageError
    from edgeseg.proof.verdict.plausibility import with_floors
    from edgeseg.proof.verdict.rules import limits_for

    named = (max_dice_drop, max_p99_ms, max_lost_polyps, min_reference_dice, min_agreement, max_slowdown)
    if data is None and clips is None:
        raise UsageError("there is nothing to fix", expected="--data DIR, --clips FILE.toml, or both")
    if data is None and any(limit is not None for limit in named):
        raise UsageError(
            "limits for labelled images were given, and no labelled images",
            found="--clips alone",
            expected="--data DIR; limits for clips stand under [limits] in their file",
        )
    if data is not None and max_dice_drop is None:
        raise UsageError(
            "a protocol fixes its limits in figures, not in defaults",
            found="--data without --max-dice-drop",
            expected="--max-dice-drop D, such as 0.005, which is the default of an INT8 engine",
        )
    return None if data is None else with_floors(limits_for("fp32", *named))
