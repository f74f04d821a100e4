"""Pictures that several trainings share: decoded once into files that each process maps into its memory."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edgeseg.dataset import Labelled, Pair
from edgeseg.file_locks import alone_in
from edgeseg.files import atomic_file, write_text
from edgeseg.progress import Track, silent
from edgeseg.train.recipe import Recipe
from edgeseg.train.samples import IGNORED, Samples, load_samples
from edgeseg.train.training_data import TrainingData


@dataclass(frozen=True, eq=False)
class KeptPair(Pair):
    """A pair whose decoded form lies in a mapped file."""

    kept: Labelled = field(kw_only=True)

    def read_labelled(self, classes: int = 1) -> Labelled:
        """The frame, its mask and the pixels to ignore, as they were decoded for this number of classes."""
        return self.kept


@dataclass(frozen=True, eq=False)
class SharedPictures:
    """The decoded pictures of one data set.

    Make one by `share_pictures`.
    """

    inputs: TrainingData
    """The pairs; those of validation read from the mapped file."""
    folder: Path
    """The folder of the files, for this data set alone."""

    def samples_of(self, pairs: Sequence[Pair], recipe: Recipe, track: Track = silent) -> Samples:
        """Training pairs at a recipe's size, decoded by the first that asks for it.

        Args:
            pairs: All training pairs of `inputs`, or some.
            recipe: Its model section tells size and number of classes.
            track: Shows progress.

        Raises:
            BadInputError: A pair cannot be read.
        """
        model = recipe.model
        stem = f"train-{model.height}x{model.width}-{model.out_channels}"
        paths = [self.folder / f"{stem}-{part}.npy" for part in ("images", "masks")]
        with alone_in(self.folder):
            if not all(path.is_file() for path in paths):
                self._decode(paths, recipe, track)
        images, masks = (torch.from_numpy(np.load(path, mmap_mode="c")) for path in paths)
        row_of = {pair: row for row, pair in enumerate(self.inputs.pairs)}
        rows = [row_of[pair] for pair in pairs]
        if rows != list(range(len(images))):
            images, masks = images[rows], masks[rows]
        has_ignored = bool((masks == IGNORED).any())
        return Samples(images.permute(0, 3, 1, 2), masks.unsqueeze(1), has_ignored)

    def _decode(self, paths: Sequence[Path], recipe: Recipe, track: Track) -> None:
        model = recipe.model
        with contextlib.ExitStack() as stack:
            temporary = [stack.enter_context(atomic_file(path)) for path in paths]
            waiting = iter(temporary)

            def allocate(shape: tuple[int, ...]) -> NDArray[np.uint8]:
                array: NDArray[np.uint8] = np.lib.format.open_memmap(next(waiting), "w+", np.uint8, shape)
                return array

            load_samples(self.inputs.pairs, model.height, model.width, track, allocate, model.out_channels)


def share_pictures(inputs: TrainingData, folder: Path, classes: int, track: Track = silent) -> SharedPictures:
    """Decode the validation pairs, each at its own size, unless a process has done it before.

    Args:
        inputs: What was found and checked.
        folder: The folder for the files; made where it is missing, and for this data set alone.
        classes: Number of classes with the background, or 1.
        track: Shows progress.

    Raises:
        BadInputError: A pair cannot be read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pixels, index = folder / f"validation-{classes}.bin", folder / f"validation-{classes}.json"
    with alone_in(folder):
        if not index.is_file():
            _write_pairs(inputs.validation, pixels, index, classes, track)
    flat = np.memmap(pixels, np.uint8, "c")
    rows = json.loads(index.read_text(encoding="utf-8"))
    kept = tuple(
        KeptPair(pair.name, pair.image, pair.mask, pair.coding, kept=_labelled(flat, row))
        for pair, row in zip(inputs.validation, rows, strict=True)
    )
    return SharedPictures(TrainingData(inputs.pairs, kept), folder)


def _write_pairs(pairs: Sequence[Pair], pixels: Path, index: Path, classes: int, track: Track) -> None:
    rows, offset = [], 0
    with atomic_file(pixels) as temporary, temporary.open("wb") as stream:
        for pair in track(pairs, "reading validation images"):
            labelled = pair.read_labelled(classes)
            planes = [labelled.frame, labelled.mask]
            planes += [] if labelled.ignored is None else [labelled.ignored.view(np.uint8)]
            for plane in planes:
                stream.write(np.ascontiguousarray(plane).tobytes())
            height, width = labelled.mask.shape
            rows.append({"offset": offset, "height": height, "width": width, "ignored": labelled.ignored is not None})
            offset += sum(plane.size for plane in planes)
    write_text(index, json.dumps(rows))


def _labelled(flat: NDArray[np.uint8], row: dict[str, Any]) -> Labelled:
    height, width = row["height"], row["width"]
    area, start = height * width, row["offset"]
    frame = flat[start : start + 3 * area].reshape(height, width, 3)
    mask = flat[start + 3 * area : start + 4 * area].reshape(height, width)
    ignored = (
        flat[start + 4 * area : start + 5 * area].reshape(height, width).view(np.bool_) if row["ignored"] else None
    )
    return Labelled(frame, mask, ignored)
