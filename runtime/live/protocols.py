"""Asks whether PyAV's FFmpeg can speak a protocol; its wheels leave some out."""

from __future__ import annotations

from edgeseg.errors import MissingComponentError
from edgeseg.optional import require


def refuse_missing_srt(way_round: str) -> None:
    """Refuse SRT where FFmpeg has no libsrt; an address without a host fails at once either way.

    Args:
        way_round: What to do instead.

    Raises:
        MissingComponentError: It has none.
    """
    av = require("av")
    try:
        av.open("srt://").close()
    except av.error.ProtocolNotFoundError as error:
        raise MissingComponentError(
            "this build of PyAV has no SRT", found=error.strerror, next_command=way_round
        ) from error
    except (av.FFmpegError, OSError):
        return
