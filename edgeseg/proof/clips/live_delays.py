"""Delays that live video measured: a file has none, for its frames wait for their masks."""

from __future__ import annotations

from pathlib import Path

from edgeseg.artifacts import LiveDelays
from edgeseg.errors import BadInputError, MismatchError
from edgeseg.files import read_text
from edgeseg.strict_text import parse_json

PICTURE_DELAY_MS, MARK_DELAY_MS = 5.75, 120.0
"""The limits that GI Genius was cleared with (FDA, De Novo DEN200055): delay of the video, delay of its markers."""
_FORM = "what `edgeseg live ENGINE SOURCE --json` prints at its end"


def read_live_delays(path: Path, engine_sha256: str) -> LiveDelays:
    """Take the delays from the report of `edgeseg live --json`.

    They are those that 21 CFR 876.1520 (b)(2) (iii) and (iv) ask for, inside this machine: from a frame's arrival to
    the moment at which the picture, or its mark, is handed to the screen.

    Args:
        path: The JSON document.
        engine_sha256: Hash of the engine that is proven.

    Raises:
        BadInputError: It is no such document.
        MismatchError: It is of another engine.
    """
    text = read_text(path, _FORM)
    try:
        status = parse_json(text)
        engine, picture, mark = status["engine"], status["picture_age_ms"], status["mask_age_ms"]
        delays = LiveDelays(
            picture_p50_ms=picture["p50"],
            picture_p99_ms=picture["p99"],
            mark_p50_ms=mark["p50"],
            mark_p99_ms=mark["p99"],
            frames=status["frames"],
            source=status["source"],
        )
    except (ValueError, KeyError, TypeError) as error:
        raise BadInputError(f"{path} is no report of live video", found=error, expected=_FORM) from error
    if engine != engine_sha256:
        raise MismatchError(
            f"{path} reports another engine",
            found=f"engine sha256 {engine}",
            expected=f"engine sha256 {engine_sha256}",
            next_command="edgeseg live ENGINE SOURCE --json > FILE",
        )
    return delays
