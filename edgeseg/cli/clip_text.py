"""A verdict on clips in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgeseg.artifacts import ClipVerdict, Verdict


def outcome_word(verdict: Verdict | ClipVerdict) -> str:
    """``PASSED``, ``FAILED`` or ``UNDECIDED``."""
    from edgeseg.proof.ci.verdict_figures import outcome_of

    return outcome_of(verdict).upper()


def clip_text(verdict: ClipVerdict) -> str:
    """A verdict that was reached on clips alone."""
    lines = [
        f"{outcome_word(verdict)}: {verdict.precision} on {verdict.backend} "
        f"against {verdict.reference_precision} on {verdict.reference_backend}",
        *(f"  - {reason}" for reason in verdict.reasons),
        *clip_lines(verdict),
        *([] if verdict.next_command is None else [f"next: {verdict.next_command}"]),
    ]
    return "\n".join([*lines, f"{verdict.notice}."])


def clip_lines(verdict: ClipVerdict) -> list[str]:
    """The figures of the clips: false activations and delays; lesions are in the reasons."""
    seconds = ", ".join(f"{row.min_s:g}" for row in verdict.false_activations.counts)
    counts = " ".join(
        f"{row.count}/{former.count}"
        for row, former in zip(
            verdict.false_activations.counts, verdict.reference_false_activations.counts, strict=True
        )
    )
    frames, count = sum(clip.frames for clip in verdict.clips), len(verdict.clips)
    lines = [
        f"{frames} frames of {count} clip{'' if count == 1 else 's'}; false activations of at least {seconds} s, "
        f"engine/reference, in {verdict.false_activations.judged_s:.1f} s: {counts}"
    ]
    live = verdict.live
    if live is None:
        return [*lines, "delays of picture and mark: not measured by a file (--live-report)"]
    figures = [
        "-" if value is None else f"{value:.1f}"
        for value in (live.picture_p50_ms, live.picture_p99_ms, live.mark_p50_ms, live.mark_p99_ms)
    ]
    return [*lines, f"live, ms, median/p99: picture {'/'.join(figures[:2])}, mark {'/'.join(figures[2:])}"]
