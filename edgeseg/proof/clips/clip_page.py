"""The verdict on clips as a page of its own, or as a part of the verdict on images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeseg.artifacts import ClipVerdict
from edgeseg.files import write_text
from edgeseg.proof.clips import clip_charts
from edgeseg.proof.clips.clip_comparison import PairedClip
from edgeseg.proof.clips.clip_pictures import DisputedFrame, draw_disputed
from edgeseg.proof.clips.live_delays import MARK_DELAY_MS, PICTURE_DELAY_MS
from edgeseg.proof.verdict.templates import render

_TEMPLATE = "clips/clip_verdict.html.j2"


@dataclass(frozen=True)
class ClipSection:
    """The part of a page that shows clips."""

    verdict: ClipVerdict
    timelines: Sequence[clip_charts.Timeline]
    disputed: Sequence[DisputedFrame]
    geometry: object = clip_charts
    cleared_picture_ms: float = PICTURE_DELAY_MS
    cleared_mark_ms: float = MARK_DELAY_MS


def clip_section(verdict: ClipVerdict, clips: Sequence[PairedClip]) -> ClipSection:
    """Lay out the timelines and draw the frames that the networks dispute.

    Args:
        verdict: What was concluded.
        clips: What it was concluded from.
    """
    return ClipSection(verdict, [clip_charts.timeline(pair) for pair in clips], draw_disputed(clips))


def write_clip_report(folder: Path, section: ClipSection, html_name: str, json_name: str) -> None:
    """Write the page and the verdict, each whole or not at all; files of these names are replaced.

    Args:
        folder: Made where it is missing.
        section: What the page shows.
        html_name: File name of the page.
        json_name: File name of the verdict.
    """
    write_text(folder / html_name, render_clip_page(section))
    section.verdict.write(folder / json_name)


def render_clip_page(section: ClipSection) -> str:
    """The page as HTML text; every name from outside is escaped."""
    return render(_TEMPLATE, verdict=section.verdict, clips=section)
