"""Several data sets as one: the splits of each stay what they are, so that nothing crosses from test to train."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgeseg.dataset import SPLITS, find_layout, hash_pairs, load_pairs
from edgeseg.errors import BadInputError, UsageError
from edgeseg.files import atomic_folder, check_writable
from edgeseg.progress import Track, silent
from edgeseg.shell import quoted
from edgeseg.splitting import place_pairs
from edgeseg.values import Value


class JoinedDatasets(Value):
    """Several data sets, written as one."""

    pictures: dict[str, dict[str, int]]
    """Split -> data set -> pairs in it."""
    data_sha256: str
    """Hash of all pairs together."""


def join_datasets(sources: Sequence[Path], target: Path, track: Track = silent) -> JoinedDatasets:
    """Write `target/{train,validation,test}/NAME/{images,masks}` with the pairs of every data set.

    Files are hard links where the file system allows it, else copies.

    Args:
        sources: Data sets with splits; NAME is the last part of each path. They are left as they are.
        target: A new or empty folder; it appears whole or not at all.
        track: Shows progress.

    Raises:
        UsageError: Fewer than two data sets, or two of one name.
        BadInputError: A data set without splits or with a problem, or `target` not writable.
    """
    names = [source.absolute().name for source in sources]
    if len(set(names)) != len(names) or len(names) < 2:
        raise UsageError(
            "data sets are joined under the names of their folders",
            found=", ".join(names) or "none",
            expected="two or more different names",
        )
    check_writable(target)
    found = {}
    for name, source in zip(names, sources, strict=True):
        layout = find_layout(source)
        if not layout.is_divided:
            raise BadInputError(
                f"{source} has no splits, so its test pictures could end up among those to train on",
                expected="DIR/{train,validation,test}/{images,masks}",
                next_command=f"edgeseg data split {quoted(source)} --out DIR",
            )
        parts = [split for split in SPLITS if split in layout.parts]
        found[name] = {split: load_pairs(source, split, track, classes=None) for split in parts}
    with atomic_folder(target) as folder:
        for name, splits in found.items():
            for split, pairs in splits.items():
                place_pairs(folder / split / name, pairs)
    return JoinedDatasets(
        pictures={
            split: {name: len(splits[split]) for name, splits in found.items() if split in splits} for split in SPLITS
        },
        data_sha256=hash_pairs([pair for splits in found.values() for pairs in splits.values() for pair in pairs]),
    )
