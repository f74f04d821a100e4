"""How long to wait before a source is opened again."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

_SHORTEST = 0.5
"""Smallest share of the nominal pause, so that boxes that lost the same server do not come back in step."""


@dataclass
class Backoff:
    """Pauses that double up to a longest one, each shortened at random by up to a half.

    Source: "equal jitter" of Exponential Backoff And Jitter, AWS Architecture Blog, 2015.
    """

    first_s: float
    longest_s: float
    rng: random.Random = field(default_factory=random.Random)
    failures: int = 0
    """The number of failures in a row."""

    def next_pause_s(self) -> float:
        """Count one more failure and return the pause after it, in seconds."""
        nominal_s = min(self.longest_s, self.first_s * 2.0 ** min(self.failures, 30))
        self.failures += 1
        return nominal_s * self.rng.uniform(_SHORTEST, 1.0)

    def reset(self) -> None:
        """Start over with the shortest pause: a picture came."""
        self.failures = 0
