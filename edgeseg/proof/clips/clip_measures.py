"""Measures of the marks of clips: times of its lesions, false activations, how far two networks are apart in time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import chain, pairwise

import numpy as np
from numpy.typing import NDArray

from edgeseg.artifacts import ActivationCount, FalseActivations, LesionTimes
from edgeseg.proof.clips.clip_marks import ClipMarks
from edgeseg.proof.verdict.rate import rate_interval
from edgeseg.proof.verdict.thumbnails import dice_of_thumbnails
from edgeseg.runtime.video.tracks import FORGET_FRAMES, tracks_of

FOUND_S = 0.2
"""A mark must stand for so long at a time for its lesion to be found: what flashes up once draws no eye."""
MIN_DURATIONS_S = (0.07, 0.2, 0.5, 1.0, 2.0)
"""Durations from which false activations are counted."""
LONGEST_LAG_S = 1.0
FEWEST_LAGGED_FRAMES = 25
"""Below this many marked frames no lag is told."""
CLEAR_LAG_GAIN = 0.02
"""How much better the masks must fit later ones' Dice before that counts as a lag."""

Flags = NDArray[np.bool_]
"""bool [n], one for each frame of a clip."""


def runs_of(flags: Iterable[bool], bridged: int = 0) -> list[tuple[int, int]]:
    """First and last index of every run of true flags; gaps of up to `bridged` do not end one."""
    runs: list[tuple[int, int]] = []
    for index in np.flatnonzero(np.fromiter(flags, np.bool_)).tolist():
        if runs and index - runs[-1][1] <= bridged + 1:
            runs[-1] = runs[-1][0], index
        else:
            runs.append((index, index))
    return runs


def lesion_times(shown: Flags, marked: Flags, times_s: Sequence[float], period_s: float) -> LesionTimes:
    """Measure one lesion under one network.

    Args:
        shown: The frames that show it; at least one.
        marked: The frames that show it with a mark on it.
        times_s: When each frame is shown.
        period_s: How long a frame stands.
    """
    showings = runs_of(shown)
    standing, missing = [], []
    for first, last in showings:
        part = marked[first : last + 1]
        standing += [end - begin + 1 for begin, end in runs_of(part, FORGET_FRAMES)]
        missing += [end - begin + 1 for begin, end in runs_of(~part)]
    needed = min(FOUND_S, period_s * max(last - first + 1 for first, last in showings))
    first_shown = showings[0][0]
    first_mark = int(marked.argmax()) if marked.any() else None
    return LesionTimes(
        found=max(standing, default=0) * period_s >= needed - 1e-9,
        first_mark_frames=None if first_mark is None else first_mark - first_shown,
        first_mark_ms=None if first_mark is None else 1000 * (times_s[first_mark] - times_s[first_shown]),
        longest_miss_frames=max(missing, default=0),
        longest_miss_ms=1000 * period_s * max(missing, default=0),
        marked_share=float(np.count_nonzero(marked) / np.count_nonzero(shown)),
        switches=sum(
            int(np.count_nonzero(marked[first + 1 : last + 1] != marked[first:last])) for first, last in showings
        ),
    )


def false_activations(clips: Sequence[ClipMarks]) -> FalseActivations:
    """Count the false activations of one network in some clips.

    An activation is a stretch of one track of regions that lie on no lesion; short gaps are bridged. The part of a
    track that is seen while a lesion is in view of which nobody knows where it is, is left out.
    """
    durations = list(chain.from_iterable(_durations_s(clip) for clip in clips))
    judged = [(clip, frame) for clip in clips for frame in clip.frames if frame.is_judged]
    judged_s = sum(1 / clip.fps for clip, _ in judged)
    counts = []
    for min_s in MIN_DURATIONS_S:
        count = sum(duration_s >= min_s - 1e-9 for duration_s in durations)
        counts.append(
            ActivationCount(
                min_s=min_s,
                count=count,
                per_minute=60 * count / judged_s if judged else None,
                interval=rate_interval(count, judged_s / 60) if judged else None,
            )
        )
    return FalseActivations(
        judged_frames=len(judged),
        judged_s=judged_s,
        counts=tuple(counts),
        false_frame_share=sum(bool(frame.false_regions) for _, frame in judged) / len(judged) if judged else None,
    )


def _durations_s(clip: ClipMarks) -> list[float]:
    """How long each false activation of a clip lasts, from its first frame to the end of its last."""
    track_of = tracks_of(chain.from_iterable(frame.links for frame in clip.frames))
    seen: dict[int, set[int]] = defaultdict(set)
    for index, frame in enumerate(clip.frames):
        for number in frame.false_regions:
            seen[track_of[number]].add(index)
    durations = []
    for indices in seen.values():
        flags = np.zeros(len(clip.frames), np.bool_)
        flags[list(indices)] = True
        for first, last in runs_of(flags, FORGET_FRAMES):
            durations.append(clip.frames[last].time_s - clip.frames[first].time_s + 1 / clip.fps)
    return durations


def lag_frames(engine: ClipMarks, reference: ClipMarks) -> int:
    """How many frames earlier the reference's masks are that the engine's fit best; 0 for an engine that is in time.

    Masks that are held or come late fit the reference's masks of former frames better than those of their own. The
    fit is the mean Dice of small copies, over the frames that the engine marks.
    """
    most = min(round(LONGEST_LAG_S * engine.fps), len(engine.frames) - 1)
    ours = [frame.thumbnail for frame in engine.frames]
    theirs = np.stack([frame.thumbnail for frame in reference.frames])
    indices = np.array([index for index in range(most, len(ours)) if ours[index].any()], np.intp)
    if len(indices) < FEWEST_LAGGED_FRAMES:
        return 0
    marked = np.stack([ours[index] for index in indices])
    fits = [float(dice_of_thumbnails(marked, theirs[indices - lag]).mean()) for lag in range(most + 1)]
    best = int(np.argmax(fits))
    return best if fits[best] >= fits[0] + CLEAR_LAG_GAIN else 0


def held_frames(engine: ClipMarks, reference: ClipMarks) -> tuple[int, int]:
    """Count the frames whose mask repeats the former frame's though the reference's changed, and those that could.

    A picture that stands still repeats both masks and counts in neither.
    """
    held = could_be = 0
    for (before, now), (reference_before, reference_now) in zip(
        pairwise(engine.frames), pairwise(reference.frames), strict=True
    ):
        if now.thumbnail.any() and reference_now.packed != reference_before.packed:
            could_be += 1
            held += now.packed == before.packed
    return held, could_be
