"""The verdict as one page that opens anywhere: no script, no request, pictures inside."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgeseg.artifacts import Verdict
from edgeseg.dataset import Pair
from edgeseg.files import check_writable, write_text
from edgeseg.proof.clips.clip_page import ClipSection
from edgeseg.proof.verdict import verdict_charts as charts
from edgeseg.proof.verdict.latency_words import baseline_lines, evidence_lines
from edgeseg.proof.verdict.non_inferiority import non_inferiority_in_words
from edgeseg.proof.verdict.probability_shift import shift_in_words
from edgeseg.proof.verdict.templates import render
from edgeseg.proof.verdict.verdict_pictures import WorstImage, draw_worst
from edgeseg.runtime.engine.backends import on_cpu
from edgeseg.runtime.engine.engine import Engine

JSON_NAME = "verdict.json"
HTML_NAME = "verdict.html"
_TEMPLATE = "verdict/verdict.html.j2"


def check_report_folder(folder: Path, baseline: Path | None = None) -> None:
    """Refuse a place for the report that could not be written, before hours of inference.

    Args:
        folder: The place.
        baseline: A former verdict that must stay: an engine that failed would be the next one's baseline.

    Raises:
        UnwritableError: Not a folder, or not writable.
        UsageError: The former verdict lies there.
    """
    check_writable(folder / JSON_NAME, baseline)


def write_report(
    folder: Path,
    verdict: Verdict,
    engine: Engine,
    reference: Engine,
    pairs: Sequence[Pair],
    clips: ClipSection | None = None,
) -> None:
    """Write `verdict.json` and `verdict.html`, each whole or not at all; files of these names are replaced.

    Args:
        folder: Made where it is missing.
        verdict: What was concluded.
        engine: The engine, to segment the worst images once more.
        reference: Likewise.
        pairs: The images of the verdict.
        clips: What the page shows of clips, where there were any.
    """
    page = render_page(verdict, draw_worst(verdict.rows, engine, reference, pairs), clips)
    write_text(folder / HTML_NAME, page)
    verdict.write(folder / JSON_NAME)


def render_page(verdict: Verdict, worst: Sequence[WorstImage], clips: ClipSection | None = None) -> str:
    """The page as HTML text; every name from outside is escaped.

    Args:
        verdict: What was concluded.
        worst: The images with the largest drop, drawn, in the order to show.
        clips: What to show of clips.
    """
    latency, timing = verdict.latency, verdict.baseline_timing
    return render(
        _TEMPLATE,
        verdict=verdict,
        on_cpu=on_cpu(verdict.backend),
        worst=worst,
        clips=clips,
        frame=charts,
        scatter=charts.scatter_chart(verdict.rows),
        confidences=charts.confidence_chart(verdict.rows),
        shift=None if verdict.probability_shift is None else shift_in_words(verdict.probability_shift),
        non_inferiority=_non_inferiority(verdict),
        drops=charts.drop_chart(verdict.rows, verdict.limits.max_dice_drop),
        times=charts.latency_chart(latency.end_to_end, verdict.latency_samples_ms, verdict.limits.max_p99_ms),
        evidence=evidence_lines(verdict.latency_evidence),
        turns=None if timing is None else charts.turns_chart(timing.baseline_samples_ms, timing.engine_samples_ms),
        against=baseline_lines(timing),
        stages=[(name, getattr(latency, name)) for name in ("pre", "infer", "post", "end_to_end")],
    )


def _non_inferiority(verdict: Verdict) -> str | None:
    test = verdict.non_inferiority
    return None if test is None else non_inferiority_in_words(test, verdict.image_count)
