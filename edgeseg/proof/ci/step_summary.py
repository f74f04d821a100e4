"""A verdict as Markdown that GitHub and GitLab show beside a run."""

from __future__ import annotations

import html
import re

from edgeseg.artifacts import ClipVerdict, Verdict
from edgeseg.proof.ci.verdict_figures import SIGNS, clips_of, outcome_of, rules_of, worst_in_words

MARKDOWN = re.compile(r"([\\`*_{}\[\]()#!|~])")
"""The characters that mean something inside a paragraph of Markdown."""
LIST_MARK = re.compile(r"^(\d*)([-+=.])")
"""The others that mean something where it begins: they make lists and headings."""


def summary_of(verdict: Verdict | ClipVerdict) -> str:
    """The verdict in Markdown: outcome, figures with their limits, each rule that had something to say.

    Args:
        verdict: Names in it that come from outside are escaped.
    """
    outcome = outcome_of(verdict)
    lines = [
        f"## {SIGNS[outcome]} {outcome}: {_plain(verdict.model.architecture)}, "
        f"{verdict.precision} on {_plain(verdict.backend)}",
        "",
        "| figure | engine | reference | limit |",
        "| --- | --- | --- | --- |",
        *(f"| {' | '.join(cells)} |" for cells in _figures(verdict)),
        "",
    ]
    for _, rule in rules_of(verdict):
        lines += [f"- {SIGNS[outcome_of(rule)]} {_plain(rule.rule)}: {_plain(reason)}" for reason in rule.reasons]
    worst = worst_in_words(verdict) if isinstance(verdict, Verdict) and verdict.passed is not True else []
    lines += ["", "Worst images:", "", *(f"- {_plain(image)}" for image in worst)] if worst else []
    if verdict.next_command is not None:
        lines += ["", f"Next: <code>{html.escape(' '.join(verdict.next_command.split()))}</code>"]
    return "\n".join([*lines, "", f"Engine sha256 {verdict.engine_sha256}. {verdict.notice}.", ""])


def _figures(verdict: Verdict | ClipVerdict) -> list[tuple[str, str, str, str]]:
    """The rows of the table: name, engine, reference, limit."""
    rows = []
    if isinstance(verdict, Verdict):
        interval, times, limits = verdict.confidence_interval, verdict.latency.end_to_end, verdict.limits
        drop = f"{verdict.mean_dice_drop:+.4f} (95 % {interval.low:+.4f} to {interval.high:+.4f})"
        rows += [
            ("images", str(verdict.image_count), "", ""),
            ("mean Dice", f"{verdict.mean_dice:.4f}", f"{verdict.reference_mean_dice:.4f}", ""),
            ("mean Dice drop", drop, "", f"{limits.max_dice_drop:g}"),
        ]
        if verdict.polyps is not None:
            lost = verdict.polyps.lost
            rows.append(("polyps lost", f"{lost.count} of {lost.of}", "", _limit(limits.max_lost_polyps)))
        rows.append(("p50, p99, ms", f"{times.p50_ms:.2f}, {times.p99_ms:.2f}", "", _limit(limits.max_p99_ms)))
    clips = clips_of(verdict)
    if clips is not None:
        found = clips.lesions_found
        rows += [
            ("lesions found", f"{found.engine} of {found.of}", f"{found.reference} of {found.of}", ""),
            ("lesions lost", str(len(found.lost)), "", f"{clips.limits.max_lost_lesions}"),
        ]
    if verdict.protocol is not None:
        kept = "kept" if verdict.protocol.kept else "not kept"
        rows.append((f"protocol {verdict.protocol.sha256[:12]}", kept, "", ""))
    return rows


def _limit(limit: float | None) -> str:
    return "" if limit is None else f"{limit:g}"


def _plain(text: str) -> str:
    """Text in one line without Markdown or HTML in it."""
    return LIST_MARK.sub(r"\1\\\2", MARKDOWN.sub(r"\\\1", html.escape(" ".join(text.split()), quote=False)))
