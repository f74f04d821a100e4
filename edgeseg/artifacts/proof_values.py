"""The parts that verdicts on images and on clips share."""

from __future__ import annotations

from edgeseg.values import Part

RESEARCH_NOTICE = "Research use only; not a medical device"


class ConfidenceInterval(Part):
    """A confidence interval: of a mean over images by the bootstrap, of a share of them after Clopper and Pearson."""

    low: float
    high: float
    level: float = 0.95
