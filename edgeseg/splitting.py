"""Train, validation and test from one heap of pairs: by content, so that the same picture never lies on both sides."""

from __future__ import annotations

import csv
import io
import os
import re
import shutil
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeseg.dataset import SPLITS, Pair, hash_pairs, load_pairs
from edgeseg.dataset.layouts import split_folders
from edgeseg.errors import BadInputError, UsageError
from edgeseg.files import atomic_folder, check_writable, read_text, sha256_bytes
from edgeseg.images import hash_pixels
from edgeseg.progress import Track, silent
from edgeseg.shell import quoted
from edgeseg.values import Value


@dataclass(frozen=True)
class FrameSequence:
    """Frames of one sequence: the numbers in their images' names from first to last."""

    name: str
    first: int
    last: int


class DatasetSplit(Value):
    """How a data set was divided."""

    seed: int
    pictures: dict[str, int]
    """Split -> pairs in it."""
    distinct: int
    """Pictures that differ in content."""
    data_sha256: str
    """Hash of all pairs together, the same before and after."""


def split_dataset(
    source: Path,
    target: Path,
    validation: float = 0.1,
    test: float = 0.1,
    seed: int = 0,
    track: Track = silent,
    sequences: Sequence[FrameSequence] | None = None,
) -> DatasetSplit:
    """Divide `source/{images,masks}` into `target/{train,validation,test}/{images,masks}`.

    Pictures are ordered by a hash of their content and the seed: names and order on disk do not matter, and copies
    of one picture stay together. Files are hard links where the file system allows it, else copies.

    Args:
        source: A data set without splits; it is left as it is.
        target: A new or empty folder; it appears whole or not at all.
        validation: Share of the pairs, 0 for none.
        test: Likewise.
        seed: Another seed gives another division.
        track: Shows progress.
        sequences: Frames that stay together, since neighbours of one sequence are nearly one picture; each image must
            belong to one. None looks at content alone.

    Raises:
        UsageError: Shares that leave nothing to train on.
        BadInputError: A pair that cannot be read, too few pictures, splits already there, or `target` not writable.
    """
    if not (0 <= validation < 1 and 0 <= test < 1 and validation + test < 1):
        raise UsageError(
            "these shares leave nothing to train on",
            found=f"validation {validation}, test {test}",
            expected="each from 0 to below 1, together below 1",
        )
    _refuse_splits(source)
    check_writable(target)
    pairs = load_pairs(source, classes=None)
    groups = _groups(pairs, seed, track)
    if sequences is not None:
        groups = _of_sequences(groups, sequences, seed)
    split_of = _divide(groups, len(pairs), validation, test)
    with atomic_folder(target) as folder:
        for split, members in split_of.items():
            place_pairs(folder / split, members)
    return DatasetSplit(
        seed=seed,
        pictures={split: len(members) for split, members in split_of.items()},
        distinct=len(groups),
        data_sha256=hash_pairs(pairs),
    )


def _refuse_splits(source: Path) -> None:
    present = list(split_folders(source)) if source.is_dir() else []
    if present:
        raise BadInputError(
            f"{source} is already split",
            found=", ".join(present),
            expected="DIR/{images,masks}",
            next_command=f"edgeseg data inspect {quoted(source)}",
        )


def _groups(pairs: Sequence[Pair], seed: int, track: Track) -> list[list[Pair]]:
    """Pairs with the same picture together, in the order of the seeded hash."""
    same: dict[str, list[Pair]] = defaultdict(list)
    for pair in track(pairs, "pairs", len(pairs)):
        frame, _ = pair.read_values()
        same[sha256_bytes(f"{seed} {hash_pixels(frame)}".encode())].append(pair)
    return [same[key] for key in sorted(same)]


def read_sequences(path: Path) -> list[FrameSequence]:
    """Read a table of frames that belong together.

    Args:
        path: CSV with the columns `sequence`, `first` and `last`.

    Raises:
        BadInputError: It cannot be read, or a row is none.
    """
    try:
        rows = list(csv.DictReader(io.StringIO(read_text(path, "a table of sequences"))))
        found = [FrameSequence(row["sequence"].strip(), int(row["first"]), int(row["last"])) for row in rows]
    except (KeyError, TypeError, ValueError, AttributeError, csv.Error) as error:
        raise BadInputError(
            f"{path} is no table of sequences", found=error, expected="CSV with the columns sequence, first, last"
        ) from error
    if not found:
        raise BadInputError(f"{path} has no rows", expected="one row for each sequence")
    return found


def _of_sequences(groups: Sequence[list[Pair]], sequences: Sequence[FrameSequence], seed: int) -> list[list[Pair]]:
    """Join the groups of copies that share a sequence, in the order of a seeded hash of their sequences' names."""
    joined: list[tuple[set[str], list[Pair]]] = []
    for group in groups:
        names, pairs = {_sequence_of(pair, sequences) for pair in group}, list(group)
        for entry in [entry for entry in joined if entry[0] & names]:
            joined.remove(entry)
            names, pairs = names | entry[0], entry[1] + pairs
        joined.append((names, pairs))
    joined.sort(key=lambda entry: sha256_bytes(f"{seed} {sorted(entry[0])}".encode()))
    return [pairs for _, pairs in joined]


def _sequence_of(pair: Pair, sequences: Sequence[FrameSequence]) -> str:
    digits = re.findall(r"\d+", pair.image.stem)
    number = int(digits[-1]) if digits else None
    names = [one.name for one in sequences if number is not None and one.first <= number <= one.last]
    if len(names) != 1:
        raise BadInputError(
            f"{pair.image.name} belongs to no one sequence",
            found=", ".join(names) if names else "no row with its number",
            expected="one sequence with first <= number <= last",
        )
    return names[0]


def _divide(groups: Sequence[list[Pair]], count: int, validation: float, test: float) -> dict[str, list[Pair]]:
    """Fill test, then validation, and leave the rest to train; a share above 0 gets one picture at least."""
    waiting = list(groups)
    filled: dict[str, list[Pair]] = {}
    for split, share in (("test", test), ("validation", validation)):
        wanted = max(1, round(share * count)) if share > 0 else 0
        filled[split] = _filled(waiting, wanted)
    filled["train"] = [pair for group in waiting for pair in group]
    wanted_splits = {"train": 1.0, "validation": validation, "test": test}
    lacking = [split for split in SPLITS if wanted_splits[split] > 0 and not filled[split]]
    if lacking:
        raise BadInputError(
            "too few different pictures to split",
            found=f"{len(groups)} different of {count}, none left for {', '.join(lacking)}",
            expected="at least one for each split",
        )
    return {split: filled[split] for split in SPLITS if filled[split]}


def _filled(waiting: list[list[Pair]], wanted: int) -> list[Pair]:
    """Take groups in their order until there are as many pairs as wanted, none that overshoots farther than it helps.

    Where all do, the smallest is taken.
    """
    members: list[Pair] = []
    for group in list(waiting):
        lacking = wanted - len(members)
        if lacking > 0 and len(group) - lacking <= lacking:
            members += group
            waiting.remove(group)
    if wanted and not members and waiting:
        smallest = min(waiting, key=len)
        members += smallest
        waiting.remove(smallest)
    return members


def place_pairs(folder: Path, pairs: Sequence[Pair]) -> None:
    """Put pairs into `folder/{images,masks}`, as hard links or else as copies."""
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    for pair in pairs:
        _link_or_copy(pair.image, folder / "images" / pair.image.name)
        _link_or_copy(pair.mask, folder / "masks" / pair.mask.name)


def _link_or_copy(source: Path, target: Path) -> None:
    real = source.resolve()
    try:
        os.link(real, target)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(real, target)
