"""The inputs of a training: the pairs of both splits, negatives, teachers; found and checked first, then decoded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edgeseg.dataset import Pair, find_layout, hash_files, hash_pairs, load_images, load_splits
from edgeseg.errors import BadInputError
from edgeseg.files import sha256_bytes, sha256_file, sha256_of_hashes
from edgeseg.graph.onnx_files import load_onnx
from edgeseg.packages import RUN_CHECKPOINT, find_model, onnx_of
from edgeseg.progress import Track, silent
from edgeseg.shell import quoted
from edgeseg.train.recipe import Recipe
from edgeseg.train.sample_memory import Storage
from edgeseg.train.samples import IGNORED, Samples, load_negatives, load_samples


@dataclass(frozen=True)
class TrainingData:
    """The inputs of a training, checked and not yet decoded."""

    pairs: tuple[Pair, ...]
    validation: tuple[Pair, ...]
    negatives: tuple[Path, ...] = ()
    teachers: tuple[Path, ...] = ()
    """RUN folders, model packages or ONNX files."""

    def sha256(self) -> str:
        """One hash for all of it."""
        hashes = [hash_pairs(self.pairs), hash_pairs(self.validation)]
        hashes += [hash_files(self.negatives)] if self.negatives else []
        return sha256_of_hashes([*hashes, *map(_weights_sha256, self.teachers)])

    def drawn(self, fraction: float, seed: int) -> TrainingData:
        """The same with a share of the training pairs, by a hash of content and seed: names and order do not matter.

        With one seed, the pairs of a smaller share are among those of every larger one.

        Raises:
            BadInputError: The share is less than half a pair.
        """
        if fraction == 1:
            return self
        count = round(fraction * len(self.pairs))
        if count == 0:
            raise BadInputError(
                "this fraction of the training images is empty",
                found=f"training.fraction={fraction:g} of {len(self.pairs)} images",
                expected=f"at least {1 / len(self.pairs):.2g}, which is one image",
            )
        order = sorted(self.pairs, key=lambda pair: sha256_bytes(f"{seed} {sha256_file(pair.image)}".encode()))
        chosen = set(order[:count])
        return replace(self, pairs=tuple(pair for pair in self.pairs if pair in chosen))


def _weights_sha256(model: Path) -> str:
    files = find_model(model)
    return sha256_file(model / RUN_CHECKPOINT) if files.kind == "run" else load_onnx(onnx_of(files)).sha256


def find_data(
    data: Path, negatives: Path | None, teachers: Sequence[Path] = (), track: Track = silent, classes: int = 1
) -> TrainingData:
    """The pairs of both splits, the negatives, the networks that teach; every pair is read once and checked.

    Args:
        data: A data set with the splits train and validation.
        negatives: A folder of pictures that show nothing to find.
        teachers: RUN folders, model packages or ONNX files.
        track: Shows progress.
        classes: Number of classes with the background, or 1.

    Raises:
        BadInputError: One of them is missing or empty, there are no splits, or a pair has a problem.
    """
    if not find_layout(data).is_divided:
        raise BadInputError(
            f"{data} has no splits, so nothing could choose the best epoch",
            expected="train and validation",
            next_command=f"edgeseg data split {quoted(data)} --out DIR",
        )
    pairs = load_splits(data, ("train", "validation"), track, classes)
    empty = () if negatives is None else tuple(load_images(negatives))
    return TrainingData(tuple(pairs["train"]), tuple(pairs["validation"]), empty, tuple(teachers))


def batch_of_one_process(data: Path, negatives: Path | None, recipe: Recipe, processes: int = 1) -> int:
    """Count the pictures that one process sees in a step, fewer than the recipe's where the data set is small.

    Files are listed and none is read.

    Raises:
        BadInputError: There is no data set, or no folder of negatives.
    """
    training, empty = recipe.training, 0 if negatives is None else len(load_images(negatives))
    part = find_layout(data).parts.get("train")
    pairs = training.batch_size if part is None else len(part.pairing.pairs)
    drawn = min(round(training.batch_size * training.negative_share), training.batch_size - 1, empty)
    return max(1, (min(training.batch_size - drawn, pairs) + drawn) // processes)


def decode(
    inputs: TrainingData, recipe: Recipe, storage: Storage, track: Track = silent
) -> tuple[Samples, Samples | None]:
    """The training split and the negatives, decoded at the network's size.

    Raises:
        BadInputError: A file cannot be read, a mask has another size than its image, the disk has no room.
    """
    size = recipe.model.height, recipe.model.width
    samples = load_samples(inputs.pairs, *size, track, storage.allocate, recipe.model.out_channels)
    check_foreground(samples)
    if not inputs.negatives:
        return samples, None
    return samples, load_negatives(inputs.negatives, *size, track, storage.allocate)


def check_foreground(samples: Samples) -> None:
    """Refuse samples that show nothing to learn.

    Raises:
        BadInputError: Every mask is empty.
    """
    masks = samples.masks
    if not bool(((masks > 0) & (masks < IGNORED)).any()):
        raise BadInputError(
            "every training mask is empty: there is nothing to learn",
            found=f"{len(samples)} masks without a marked pixel at {masks.shape[3]}x{masks.shape[2]}",
            expected="polyps in some of them; pictures without one can be given by --negatives",
            next_command="edgeseg data inspect DATA",
        )
