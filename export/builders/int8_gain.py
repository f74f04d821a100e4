"""Measures whether INT8 is worth having on this processor: some run it no faster than float32."""

from __future__ import annotations

from edgeseg.runtime.engine.session import Session
from edgeseg.runtime.engine.time_ratio import time_ratio

WORTH_HAVING = 0.97
"""INT8 that takes more of float32's time than this gains nothing that would pay for its rounding."""
QUICK_MS = 1.0
"""A network that is quicker than this is quick enough in any precision, and too quick to be told apart."""


def why_not_int8(int8: Session, float32: Session) -> str | None:
    """Alternate INT8 and float32 on this processor.

    Returns:
        Why INT8 is not worth having, in one clause; None where it is.
    """
    measured = time_ratio(int8, float32)
    if measured.ratio <= WORTH_HAVING or measured.second_ms < QUICK_MS:
        return None
    return (
        f"INT8 takes {measured.ratio:.2f} of float32's time on this processor "
        f"({measured.first_ms:.1f} and {measured.second_ms:.1f} ms a picture)"
    )
