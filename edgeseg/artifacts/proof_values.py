"""The parts that verdicts on images and on clips share."""

from __future__ import annotations

from typing import Literal

import pydantic

from edgeseg.values import Part

RESEARCH_NOTICE = "Research use only; not a medical device"


class ConfidenceInterval(Part):
    """A confidence interval: of a mean over images by the bootstrap, of a share of them after Clopper and Pearson."""

    low: float
    high: float
    level: float = 0.95


class RuleResult(Part):
    """The outcome of one rule of a verdict."""

    rule: str
    """The rule's name, the same in every verdict."""
    passed: bool | Literal["undecided"]
    reasons: tuple[str, ...] = ()
    """The rule's sentences, which the verdict's `reasons` repeat; empty where there was nothing to say."""


class ProtocolRecord(Part):
    """The protocol that a verdict was reached under, and if it was kept."""

    sha256: str
    """Hash of the protocol's file."""
    set_by: str
    set_at: pydantic.AwareDatetime
    kept: bool
    deviations: tuple[str, ...] = ()
    """One sentence for each way in which it was not kept."""
