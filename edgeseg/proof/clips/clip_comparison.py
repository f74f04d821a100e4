"""Two networks on the same clips: every lesion and every clip with the figures of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgeseg.artifacts import ClipRow, LesionRow, LesionsFound
from edgeseg.files import sha256_file
from edgeseg.frames import Mask
from edgeseg.metrics import dice_per_image
from edgeseg.progress import Track, silent
from edgeseg.proof.clips.clip_file import Clip, ClipSet
from edgeseg.proof.clips.clip_marks import ClipMarks, marks_of_clip
from edgeseg.proof.clips.clip_measures import false_activations, held_frames, lag_frames, lesion_times
from edgeseg.proof.verdict.engine_comparison import refuse_other_classes
from edgeseg.proof.verdict.proportion import share_interval
from edgeseg.runtime.engine.engine import Engine


@dataclass(frozen=True, eq=False)
class PairedClip:
    """One clip under both networks."""

    clip: Clip
    engine: ClipMarks
    reference: ClipMarks
    row: ClipRow
    lesions: tuple[LesionRow, ...]

    def masks_of(self, index: int) -> tuple[Mask, Mask]:
        """The engine's and the reference's mask of a frame, uint8 [H,W] of 0 and 255."""
        return self.engine.mask_of(index), self.reference.mask_of(index)


def compare_clips(engine: Engine, reference: Engine, clips: ClipSet, track: Track = silent) -> list[PairedClip]:
    """Take every clip through both networks. One clip's masks are held packed, no picture is.

    Raises:
        MismatchError: The networks have other classes.
        BadInputError: A clip that cannot be read, or that does not fit what the file of clips says of it.
    """
    refuse_other_classes(engine.info, reference.info)
    return [
        paired(clip, marks_of_clip(engine, clip, track), marks_of_clip(reference, clip, track)) for clip in clips.clips
    ]


def paired(clip: Clip, engine: ClipMarks, reference: ClipMarks) -> PairedClip:
    """Measure one clip from the marks of both networks."""
    dice, marked = [], []
    for index in range(len(engine.frames)):
        ours, theirs = engine.mask_of(index), reference.mask_of(index)
        dice.append(dice_per_image(ours, theirs))
        marked.append((bool(ours.any()), bool(theirs.any())))
    lag = lag_frames(engine, reference)
    held, could_be_held = held_frames(engine, reference)
    row = ClipRow(
        name=clip.name,
        sha256=sha256_file(clip.path),
        frames=len(dice),
        fps=engine.fps,
        width=engine.width,
        height=engine.height,
        false_activations=false_activations([engine]),
        reference_false_activations=false_activations([reference]),
        agreement=_agreement(engine, reference, lag),
        one_sided_frames=sum(ours != theirs for ours, theirs in marked),
        lag_frames=lag,
        held_frames=held,
        could_be_held_frames=could_be_held,
        changed_outside_px=engine.changed_outside_px,
        not_finite_frames=engine.not_finite_frames,
        dice=tuple(round(value, 4) for value in dice),
    )
    return PairedClip(clip, engine, reference, row, _lesions(clip, engine, reference))


def lesions_found(rows: Sequence[LesionRow]) -> LesionsFound:
    """Count the lesions that each network finds, and name those that only one of them does."""
    count = len(rows)
    engine, reference = sum(row.engine.found for row in rows), sum(row.reference.found for row in rows)
    return LesionsFound(
        of=count,
        engine=engine,
        engine_interval=share_interval(engine, count) if count else None,
        reference=reference,
        reference_interval=share_interval(reference, count) if count else None,
        lost=tuple(named(row) for row in rows if row.reference.found and not row.engine.found),
        gained=tuple(named(row) for row in rows if row.engine.found and not row.reference.found),
    )


def named(row: LesionRow) -> str:
    """The name of a lesion among those of all clips: ``CLIP: LESION``."""
    return f"{row.clip}: {row.lesion}"


def _agreement(engine: ClipMarks, reference: ClipMarks, lag: int) -> float | None:
    """The mean Dice on lesions against the reference's masks of `lag` frames before: a delay is judged by itself."""
    dice = []
    for index in range(lag, len(engine.frames)):
        ours, theirs = engine.mask_of(index), reference.mask_of(index - lag)
        if any(engine.frames[index].shown) and (ours.any() or theirs.any()):
            dice.append(dice_per_image(ours, theirs))
    return float(np.mean(dice)) if dice else None


def _lesions(clip: Clip, engine: ClipMarks, reference: ClipMarks) -> tuple[LesionRow, ...]:
    times_s, period_s = [frame.time_s for frame in engine.frames], 1 / engine.fps
    rows = []
    for place, entry in enumerate(clip.lesions):
        shown = np.array([frame.shown[place] for frame in engine.frames])
        both = [
            lesion_times(shown, np.array([frame.marked[place] for frame in of.frames]), times_s, period_s)
            for of in (engine, reference)
        ]
        frames = int(np.count_nonzero(shown))
        rows.append(
            LesionRow(
                clip=clip.name,
                lesion=entry.name or "lesion",
                shown_frames=frames,
                shown_s=frames * period_s,
                engine=both[0],
                reference=both[1],
            )
        )
    return tuple(rows)
