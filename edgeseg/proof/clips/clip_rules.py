"""When an engine has passed on clips; each rule gives findings as those of `verdict/rules.py` do."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from edgeseg.artifacts import ClipLimits, ClipRow, FalseActivations, LesionRow, LesionTimes
from edgeseg.proof.clips.clip_comparison import lesions_found, named
from edgeseg.proof.verdict.rules import MOST_NAMES, Finding

COUNTED_FROM_S = 0.5
"""Minimum duration of the false activations that the limit is for: shorter ones pass before an eye has gone there."""
MOST_HELD_SHARE = 0.25
"""Share of changed frames whose mask may repeat the former one's: a steady picture moves a few pixels at most."""


def judge_clips(
    clips: Sequence[ClipRow],
    lesions: Sequence[LesionRow],
    false: FalseActivations,
    reference_false: FalseActivations,
    limits: ClipLimits,
    built_from_reference: bool | None = None,
) -> dict[str, list[Finding]]:
    """Every rule's findings, by the rule's name.

    Args:
        clips: All clips.
        lesions: The lesions of all clips.
        false: The engine's false activations over all clips.
        reference_false: The reference's.
        limits: What is demanded.
        built_from_reference: Whether the engine's passport names the reference as its network; None if unknown.
    """
    return {
        "lost lesions": judge_lost_lesions(lesions, limits),
        "time to the first mark": judge_first_marks(lesions, limits),
        "longest miss": judge_misses(lesions, limits),
        "frames marked": judge_marked_share(lesions, limits),
        "flicker": judge_flicker(lesions, limits),
        "false activations": judge_false_activations(false, reference_false, limits),
        "agreement on lesions": judge_agreement(clips, limits, built_from_reference),
        "late or held masks": judge_time(clips, limits),
        "pixels outside the mark": judge_pixels(clips),
    }


def judge_lost_lesions(lesions: Sequence[LesionRow], limits: ClipLimits) -> list[Finding]:
    """The lesions that the reference finds and the engine does not."""
    if not lesions:
        return [Finding("undecided", "no clip shows a lesion, so there is none that the engine could lose")]
    found = lesions_found(lesions)
    if not found.reference:
        return [Finding("undecided", f"the reference finds none of the {found.of} lesions, so none could be lost")]
    interval = found.engine_interval
    assert interval is not None
    sentence = (
        f"the engine finds {found.engine} of {found.of} lesions (95 % interval {100 * interval.low:.1f} to "
        f"{100 * interval.high:.1f} %), the reference {found.reference}"
    )
    if found.lost:
        more = f" and {len(found.lost) - MOST_NAMES} more" if len(found.lost) > MOST_NAMES else ""
        sentence += f"; it loses {', '.join(found.lost[:MOST_NAMES])}{more}"
    return [_held_against(sentence, len(found.lost), limits.max_lost_lesions, "max_lost_lesions")]


def judge_first_marks(lesions: Sequence[LesionRow], limits: ClipLimits) -> list[Finding]:
    """How much later than the reference's the engine's first mark comes."""

    def later_ms(row: LesionRow) -> float | None:
        if row.engine.first_mark_ms is None or row.reference.first_mark_ms is None:
            return None
        return row.engine.first_mark_ms - row.reference.first_mark_ms

    return _worst(
        lesions,
        later_ms,
        limits.max_longer_delay_ms,
        "max_longer_delay_ms",
        lambda row, late: f"the first mark on {named(row)} comes {late:.0f} ms later than the reference's",
    )


def judge_misses(lesions: Sequence[LesionRow], limits: ClipLimits) -> list[Finding]:
    """How much longer than the reference's the engine's longest miss is."""
    return _worst(
        lesions,
        lambda row: row.engine.longest_miss_ms - row.reference.longest_miss_ms if row.reference.found else None,
        limits.max_longer_miss_ms,
        "max_longer_miss_ms",
        lambda row, longer: (
            f"the engine misses {named(row)} for up to {row.engine.longest_miss_ms:.0f} ms at a time, "
            f"{longer:.0f} ms longer than the reference"
        ),
    )


def judge_marked_share(lesions: Sequence[LesionRow], limits: ClipLimits) -> list[Finding]:
    """The share of the frames with a lesion that are marked, over all lesions."""
    if not lesions:
        return []
    frames = sum(row.shown_frames for row in lesions)
    engine, reference = (
        sum(row.shown_frames * times.marked_share for row, times in _times(lesions, which)) / frames
        for which in ("engine", "reference")
    )
    sentence = (
        f"the engine marks {100 * engine:.1f} % of the {frames} frames with a lesion, the reference "
        f"{100 * reference:.1f} %"
    )
    return [_held_against(sentence, reference - engine, limits.max_marked_share_drop, "max_marked_share_drop")]


def judge_flicker(lesions: Sequence[LesionRow], limits: ClipLimits) -> list[Finding]:
    """Switches a second between marked and unmarked, over all lesions."""
    if not lesions:
        return []
    seconds = sum(row.shown_s for row in lesions)
    engine, reference = (
        sum(times.switches for _, times in _times(lesions, which)) / seconds for which in ("engine", "reference")
    )
    sentence = (
        f"the engine's marks on lesions flicker {engine:.2f} times a second, the reference's {reference:.2f} times"
    )
    return [_held_against(sentence, engine - reference, limits.max_more_flicker_per_s, "max_more_flicker_per_s")]


def judge_false_activations(engine: FalseActivations, reference: FalseActivations, limits: ClipLimits) -> list[Finding]:
    """False activations of half a second or more, in a minute.

    One activation more is no rate: where the judged time is too short for one to be within the limit, it is undecided.
    """
    if not engine.judged_frames:
        return [Finding("undecided", "no frame is without a lesion, so false activations could not be told")]
    ours, theirs = (
        next(row.count for row in side.counts if row.min_s == COUNTED_FROM_S) for side in (engine, reference)
    )
    minutes = engine.judged_s / 60
    sentence = (
        f"the engine has {ours} false activation{'' if ours == 1 else 's'} of {COUNTED_FROM_S} s or more in "
        f"{minutes:.2f} minutes, the reference {theirs}"
    )
    more = ours - theirs
    if more == 1 and more / minutes > limits.max_more_false_per_minute:
        return [Finding("undecided", f"{sentence}; longer clips are needed to tell a rate from one activation")]
    return [_held_against(sentence, more / minutes, limits.max_more_false_per_minute, "max_more_false_per_minute")]


def judge_agreement(
    clips: Sequence[ClipRow], limits: ClipLimits, built_from_reference: bool | None = None
) -> list[Finding]:
    """The mean Dice of the engine's masks against the reference's on lesions, in the clip with the lowest."""
    marked = [(clip, clip.agreement) for clip in clips if clip.agreement is not None]
    if not marked:
        return []
    clip, reached = min(marked, key=lambda each: each[1])
    sentence = (
        f"the engine's masks agree with the reference's to a mean Dice of {reached:.4f} on the lesions of {clip.name}"
    )
    cause = "; the engine was built from another network than the reference" if built_from_reference is False else ""
    passed = reached >= limits.min_agreement
    relation = "above" if passed else "below"
    return [Finding(passed, f"{sentence}; this is {relation} min_agreement {limits.min_agreement:g}{cause}")]


def judge_time(clips: Sequence[ClipRow], limits: ClipLimits) -> list[Finding]:
    """Masks that come late or stand still over a picture that moves."""
    findings = []
    for clip in clips:
        late_ms = 1000 * clip.lag_frames / clip.fps
        if late_ms > limits.max_longer_delay_ms:
            findings.append(
                Finding(
                    False,
                    f"the engine's masks in {clip.name} fit the reference's of {clip.lag_frames} frames "
                    f"({late_ms:.0f} ms) before best: they come late or are held; this is beyond max_longer_delay_ms "
                    f"{limits.max_longer_delay_ms:g}",
                )
            )
        if clip.held_frames > MOST_HELD_SHARE * clip.could_be_held_frames:
            findings.append(
                Finding(
                    False,
                    f"the engine's masks in {clip.name} are held: {clip.held_frames} of {clip.could_be_held_frames} "
                    "repeat the mask of the frame before, though the reference's changed",
                )
            )
    return findings


def judge_pixels(clips: Sequence[ClipRow]) -> list[Finding]:
    """Pixels that the overlay changed outside the mark, and results that are not finite, of which there may be none."""
    findings = []
    for clip in clips:
        if clip.not_finite_frames:
            findings.append(
                Finding(False, f"the engine gave NaN or infinity on {clip.not_finite_frames} frames of {clip.name}")
            )
        if clip.changed_outside_px:
            findings.append(
                Finding(False, f"the overlay changed {clip.changed_outside_px} pixels outside the mark in {clip.name}")
            )
    return findings


def _times(lesions: Sequence[LesionRow], which: str) -> list[tuple[LesionRow, LesionTimes]]:
    return [(row, getattr(row, which)) for row in lesions]


def _worst(
    lesions: Sequence[LesionRow],
    excess_of: Callable[[LesionRow], float | None],
    limit: float,
    name: str,
    say: Callable[[LesionRow, float], str],
) -> list[Finding]:
    """The lesions beyond a limit, worst first; nothing where there is none."""
    beyond = [(row, excess) for row in lesions if (excess := excess_of(row)) is not None and excess > limit]
    beyond.sort(key=lambda each: -each[1])
    return [_held_against(say(row, excess), excess, limit, name) for row, excess in beyond[:MOST_NAMES]]


def _held_against(sentence: str, value: float, limit: float, name: str) -> Finding:
    passed = value <= limit + 1e-9
    return Finding(passed, f"{sentence}; this {'is within' if passed else 'is beyond'} {name} {limit:g}")
