"""How well networks that were trained on one source do on another, and how often they mark what is no polyp.

Run: python benchmarks/generalisation.py MODEL... --home DATA --foreign DATA [--sequences FILE.csv]
                                        [--negatives SOURCE@FRAMES]... [--alarm-limit SHARE] [--out FILE.json]

DATA ending in /SPLIT is that split (home/validation); without one the data set is taken whole. Sequences are lines
sequence,first,last of the foreign images in the order of their names; a mean over sequences weighs each the same, as
neighbouring frames are nearly one picture. The figures at 0.5 are followed by those at the threshold where false alarms
over all negatives reach the limit, 5 % unless set, interpolated between two thresholds: networks differ only where they
differ there, too.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from edgeseg.cli.output import table, track
from edgeseg.dataset import SPLITS, Pair, load_pairs
from edgeseg.proof.evaluation.frame_masks import UnlabelledSource
from edgeseg.proof.evaluation.threshold_curves import counting_by_threshold, dice_by_threshold
from edgeseg.runtime.file.frame_choice import split_choice
from edgeseg.runtime.opener.engine_from_file import open_engine
from edgeseg.splitting import read_sequences
from edgeseg.threshold import THRESHOLDS

ALARM_LIMIT = 0.05
FOUND_DICE = 2 / 3
"""IoU of 0.5."""
Scores = NDArray[Any]
"""Rows are images, columns are thresholds."""


@dataclass(frozen=True)
class Row:
    """The figures of one network at one threshold; shares from 0 to 1."""

    model: str
    threshold: float
    home_dice: float
    foreign_dice: float
    foreign_sequences_dice: float
    foreign_found: float
    alarms: tuple[float, ...]
    """One for each source of negatives."""


def rows_of(
    name: str,
    home: Scores,
    foreign: Scores,
    sequences: Sequence[slice],
    alarms: Sequence[Scores],
    alarm_limit: float = ALARM_LIMIT,
) -> list[Row]:
    """The rows at 0.5 and, where negatives allow it, at the limit of false alarms."""
    figures = [
        np.array(THRESHOLDS),
        home.mean(axis=0),
        foreign.mean(axis=0),
        np.mean([foreign[part].mean(axis=0) for part in sequences], axis=0),
        (foreign >= FOUND_DICE).mean(axis=0),
        *(part.mean(axis=0) for part in alarms),
    ]

    def at(place: float) -> Row:
        """The row between two thresholds, such as 6.3; figures in between are interpolated."""
        values = [float(np.interp(place, np.arange(len(THRESHOLDS)), figure)) for figure in figures]
        return Row(name, *values[:5], tuple(values[5:]))

    places = [float(THRESHOLDS.index(0.5))]
    if alarms:
        places += place_of_limit(np.concatenate(alarms).mean(axis=0), alarm_limit)
    return [at(place) for place in places]


def place_of_limit(shares: NDArray[np.float64], limit: float = ALARM_LIMIT) -> list[float]:
    """Find where falling shares of false alarms reach the limit, between two thresholds; empty where they never do."""
    below = np.flatnonzero(shares <= limit)
    if not len(below):
        return []
    after = int(below[0])
    if after == 0:
        return [0.0]
    return [after - 1 + float((shares[after - 1] - limit) / (shares[after - 1] - shares[after]))]


def pairs_of(path: Path) -> list[Pair]:
    """The pairs of DATA/SPLIT, or of a whole data set."""
    return load_pairs(path.parent, path.name) if path.name in SPLITS else load_pairs(path)


def sequences_of(file: Path | None, count: int) -> list[slice]:
    """The stretches of a list of images; one of all of them without a file."""
    if file is None:
        return [slice(0, count)]
    return [slice(sequence.first - 1, sequence.last) for sequence in read_sequences(file)]


def main(
    models: list[Path],
    home: Annotated[Path, typer.Option()],
    foreign: Annotated[Path, typer.Option()],
    sequences: Annotated[Path | None, typer.Option()] = None,
    negatives: Annotated[list[str] | None, typer.Option()] = None,
    out: Annotated[Path | None, typer.Option()] = None,
    alarm_limit: Annotated[float, typer.Option()] = ALARM_LIMIT,
) -> None:
    """Measure each model and print the table."""
    sources = [UnlabelledSource(*split_choice(text)) for text in negatives or ()]
    near, far = pairs_of(home), pairs_of(foreign)
    stretches = sequences_of(sequences, len(far))
    found: list[Row] = []
    for model in models:
        with contextlib.closing(open_engine(model)) as engine:
            tables = [dice_by_threshold(engine, pairs, track=track) for pairs in (near, far)]
            alarms = [counting_by_threshold(engine, source, track=track) for source in sources]
        found += rows_of(model.name, *tables, stretches, alarms, alarm_limit)
    columns = [
        "model",
        "threshold",
        "home",
        "foreign",
        "by sequence",
        "found",
        *(f"alarms {s.path.name}" for s in sources),
    ]
    cells = [
        [
            row.model,
            f"{row.threshold:.2f}",
            f"{row.home_dice:.4f}",
            f"{row.foreign_dice:.4f}",
            f"{row.foreign_sequences_dice:.4f}",
            f"{row.foreign_found:.1%}",
            *(f"{share:.1%}" for share in row.alarms),
        ]
        for row in found
    ]
    sys.stdout.write(table("generalisation", columns, cells) + "\n")
    if out is not None:
        out.write_text(json.dumps([asdict(row) for row in found], indent=1), encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
