"""The figures of a verdict by name, and its worst images in words: what every form for CI shows."""

from __future__ import annotations

from itertools import chain

from edgeseg.artifacts import ClipVerdict, RuleResult, Verdict, VerdictRow
from edgeseg.proof.verdict.verdict_pictures import worst_rows

WORST_IMAGES = 5
OUTCOMES = {"True": "passed", "False": "failed", "undecided": "undecided"}
SIGNS = {"passed": "✓", "failed": "✗", "undecided": "?"}


def outcome_of(judged: Verdict | ClipVerdict | RuleResult) -> str:
    """``passed``, ``failed`` or ``undecided``."""
    return OUTCOMES[str(judged.passed)]


def clips_of(verdict: Verdict | ClipVerdict) -> ClipVerdict | None:
    """The verdict on clips: itself, the one that it takes in, or None."""
    return verdict.clips if isinstance(verdict, Verdict) else verdict


def rules_of(verdict: Verdict | ClipVerdict) -> list[tuple[str, RuleResult]]:
    """Every rule's outcome, each with ``images`` or ``clips`` for what it judges."""
    own = "images" if isinstance(verdict, Verdict) else "clips"
    clips = verdict.clips.rules if isinstance(verdict, Verdict) and verdict.clips is not None else ()
    return [*((own, rule) for rule in verdict.rules), *(("clips", rule) for rule in clips)]


def figures_of(verdict: Verdict | ClipVerdict) -> dict[str, str]:
    """The figures by the names that they have in the JSON, as text; what was not measured is left out."""
    figures: dict[str, object] = {
        "outcome": outcome_of(verdict),
        "engine_sha256": verdict.engine_sha256,
        "backend": verdict.backend,
        "precision": verdict.precision,
        "reference_precision": verdict.reference_precision,
    }
    if isinstance(verdict, Verdict):
        interval, times = verdict.confidence_interval, verdict.latency.end_to_end
        figures |= {
            "image_count": verdict.image_count,
            "mean_dice": verdict.mean_dice,
            "reference_mean_dice": verdict.reference_mean_dice,
            "mean_dice_drop": verdict.mean_dice_drop,
            "mean_dice_drop_low": interval.low,
            "mean_dice_drop_high": interval.high,
            "lost_polyps": None if verdict.polyps is None else verdict.polyps.lost.count,
            "p50_ms": times.p50_ms,
            "p99_ms": times.p99_ms,
            "machine": verdict.latency.machine,
            "data_sha256": verdict.data_sha256,
        }
    clips = clips_of(verdict)
    if clips is not None:
        figures |= {
            "lesions_found": clips.lesions_found.engine,
            "reference_lesions_found": clips.lesions_found.reference,
            "lesions": clips.lesions_found.of,
            "lost_lesions": len(clips.lesions_found.lost),
            "clips_sha256": clips.clips_sha256,
        }
    if verdict.protocol is not None:
        figures |= {"protocol_sha256": verdict.protocol.sha256, "protocol_kept": verdict.protocol.kept}
    return {name: _as_text(value) for name, value in figures.items() if value is not None}


def worst_in_words(verdict: Verdict, most: int = WORST_IMAGES) -> list[str]:
    """The images with the largest drop, worst first, one line each; an image without a drop is none of them."""
    lost = set(() if verdict.polyps is None else verdict.polyps.lost.names)
    return [_image(row, row.name in lost) for row in worst_rows(verdict.rows, most) if row.drop > 0 or not row.finite]


def _image(row: VerdictRow, is_lost: bool) -> str:
    words = [f"Dice {row.dice:.4f} (reference {row.reference_dice:.4f})"]
    words += chain(["polyp lost"] if is_lost else [], [] if row.finite else ["no finite output"])
    return f"{row.name}: {', '.join(words)}"


def _as_text(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value).lower() if isinstance(value, bool) else str(value)
