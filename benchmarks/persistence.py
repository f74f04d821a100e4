"""Costs and gains of withholding marks until they have lasted: false alarms, finds, delay.

Run: python benchmarks/persistence.py MODEL --normal CLIP@FRAMES --polyp CLIP --shown FIRST:STOP,...
                                      --labelled DATA --sequences FILE.csv [--threshold T]

The network's maps are made once, and each setting of `edgeseg.runtime.video.persistence` runs over them. A frame counts
where the mask covers at least 1 % of the picture; an alarm is a run of such frames. The sequences of a labelled set
stand for clips whose every frame shows a polyp; found there is a Dice of 2/3 (IoU 0.5). They have about 25 frames, so a
delay costs more of them than of a real clip. Delay: frames from the first that is marked without persistence to the
first that is marked with it, mean over sequences; never: sequences that are marked without it and not with it.
"""

from __future__ import annotations

import contextlib
import itertools
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import compress, pairwise
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import typer

from edgeseg.cli.output import table, track
from edgeseg.dataset import load_pairs
from edgeseg.frames import THRESHOLD, Frame, Mask
from edgeseg.metrics import dice_per_image
from edgeseg.proof.evaluation.frame_masks import FALSE_MASK_SHARE, UnlabelledSource, rgb_frames
from edgeseg.proof.evaluation.shifted_engine import ShiftedEngine
from edgeseg.proof.verdict.evaluation import finite_probability_of
from edgeseg.runtime.engine.engine import Engine
from edgeseg.runtime.engine.inputs import PackedFrame
from edgeseg.runtime.file.frame_choice import FrameChoice, split_choice
from edgeseg.runtime.opener.engine_from_file import open_engine
from edgeseg.runtime.video.persistence import MarkPersistence, PersistenceSettings
from edgeseg.splitting import read_sequences

FOUND_DICE = 2 / 3
CONFIRM, STRONG, FORGET = (1, 2, 3, 5), (0.5, 0.7, 0.9), (0, 5)


def maps_of(engine: Engine, frames: Iterable[Frame]) -> list[Any]:
    """The maps of a clip, float16 [1,h,w]: what is kept of them must fit in memory."""
    return [finite_probability_of(engine, PackedFrame(frame, "rgb")).astype(np.float16) for frame in frames]


def clip_of(engine: Engine, source: str) -> tuple[list[Any], list[int]]:
    """The maps of a clip's chosen frames and their indices."""
    chosen, indices = UnlabelledSource(*split_choice(source)), []

    def frames() -> Iterable[Frame]:
        for _, index, frame in track(rgb_frames(chosen), chosen.path.name, None):
            indices.append(index)
            yield frame

    return maps_of(engine, frames()), indices


def steadied(maps: Sequence[Any], settings: PersistenceSettings) -> list[Mask]:
    """The masks of a clip at the network's size."""
    persistence = MarkPersistence(settings)
    return [
        np.where(persistence.update(each.astype(np.float32))[0] >= THRESHOLD, 255, 0).astype(np.uint8) for each in maps
    ]


def counts(mask: Mask) -> bool:
    """True if a mask covers enough of the picture."""
    return cv2.countNonZero(mask) >= FALSE_MASK_SHARE * mask.size


def first(flags: Sequence[bool]) -> int | None:
    """Index of the first that is true."""
    return flags.index(True) if True in flags else None


@dataclass(frozen=True)
class Clips:
    """All maps of one network."""

    normal: list[Any]
    polyp: list[Any]
    inside: list[bool]
    """True for each frame of `polyp` that shows it."""
    sequences: list[list[Any]]
    truths: list[list[Mask]]
    alone: list[int | None]
    """The first frame of each sequence that is marked without persistence; None where none is."""


def row_of(clips: Clips, settings: PersistenceSettings) -> list[str]:
    """A line of the table."""
    alarms = [counts(mask) for mask in steadied(clips.normal, settings)]
    runs = sum(now and not before for before, now in pairwise([False, *alarms]))
    finds = list(compress(map(counts, steadied(clips.polyp, settings)), clips.inside))
    by_part = [steadied(maps, settings) for maps in clips.sequences]
    dice = [
        dice_per_image(mask, truth)
        for masks, truths in zip(by_part, clips.truths, strict=True)
        for mask, truth in zip(masks, truths, strict=True)
    ]
    shown = [first(list(map(counts, masks))) for masks in by_part]
    delays = [
        now - before for before, now in zip(clips.alone, shown, strict=True) if before is not None and now is not None
    ]
    never = sum(before is not None and now is None for before, now in zip(clips.alone, shown, strict=True))
    return [
        f"{settings.confirm_frames}",
        f"{settings.strong:g}",
        f"{settings.forget_frames}",
        f"{np.mean(alarms):.1%}",
        f"{runs}",
        f"{np.mean(finds):.1%}",
        f"{np.mean(np.array(dice) >= FOUND_DICE):.1%}",
        f"{np.mean(dice):.4f}",
        f"{np.mean(delays):.2f}",
        f"{never}",
    ]


def main(
    model: Path,
    normal: Annotated[str, typer.Option()],
    polyp: Annotated[str, typer.Option()],
    shown: Annotated[str, typer.Option()],
    labelled: Annotated[Path, typer.Option()],
    sequences: Annotated[Path, typer.Option()],
    threshold: Annotated[float, typer.Option()] = 0.5,
) -> None:
    """Try all settings and print the table."""
    pairs = load_pairs(labelled)
    parts = [slice(each.first - 1, each.last) for each in read_sequences(sequences)]
    with contextlib.closing(ShiftedEngine(open_engine(model), threshold)) as engine:
        size = engine.info.model.width, engine.info.model.height
        healthy, _ = clip_of(engine, normal)
        sick, indices = clip_of(engine, polyp)
        maps = maps_of(engine, (pair.read()[0] for pair in track(pairs, labelled.name, len(pairs))))
    truths = [cv2.resize(pair.read()[1], size, interpolation=cv2.INTER_NEAREST) for pair in pairs]
    chosen = set(FrameChoice.parse(shown).indices(max(indices) + 1))
    by_part = [maps[part] for part in parts]
    plain = [[counts(mask) for mask in steadied(each, PersistenceSettings(1, THRESHOLD, 0))] for each in by_part]
    clips = Clips(
        healthy,
        sick,
        [index in chosen for index in indices],
        by_part,
        [truths[part] for part in parts],  # type: ignore[misc]
        list(map(first, plain)),
    )
    rows = [row_of(clips, PersistenceSettings(*each)) for each in itertools.product(CONFIRM, STRONG, FORGET)]
    columns = ["confirm", "strong", "forget", "alarm frames", "alarms", "clip found", "found", "Dice", "delay", "never"]
    sys.stdout.write(table(f"{model.name}", columns, rows) + "\n")


if __name__ == "__main__":
    typer.run(main)
