"""Train a recipe on a data set into a RUN folder."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import edgeseg
from edgeseg.dataset import Pair, find_layout, hash_files, hash_pairs, load_images, load_splits
from edgeseg.errors import BadInputError
from edgeseg.files import check_writable, sha256_file, sha256_of_hashes
from edgeseg.packages import RUN_CHECKPOINT
from edgeseg.progress import Say, Track, quiet, silent
from edgeseg.shell import quoted
from edgeseg.train import run_folder
from edgeseg.train.architectures.own_network import try_training
from edgeseg.train.architectures.registry import parameter_count
from edgeseg.train.arithmetic import settled
from edgeseg.train.checkpoint import load_best
from edgeseg.train.distillation import teacher_from_runs
from edgeseg.train.loop import Trainer
from edgeseg.train.memory import Storage, available_bytes, choose_storage, sample_bytes
from edgeseg.train.processes import Launch, is_first_process, open_fabric, process_count
from edgeseg.train.recipe import Recipe
from edgeseg.train.record import RUN_RECORD, Epoch, Origin, Progress, RunRecord, write_curves, write_history
from edgeseg.train.reproducibility import deterministic_algorithms
from edgeseg.train.resuming import remove_leftovers
from edgeseg.train.samples import FOREGROUND, Samples, load_negatives, load_samples
from edgeseg.train.threads import usable_threads

Report = Callable[[Epoch, RunRecord], None]


@dataclass(frozen=True)
class TrainingData:
    """The inputs of a training, checked and not yet decoded."""

    pairs: tuple[Pair, ...]
    validation: tuple[Pair, ...]
    negatives: tuple[Path, ...]
    teachers: tuple[Path, ...]
    """RUN folders."""

    def sha256(self) -> str:
        """One hash for all of it."""
        hashes = [hash_pairs(self.pairs), hash_pairs(self.validation)]
        hashes += [hash_files(self.negatives)] if self.negatives else []
        return sha256_of_hashes([*hashes, *(sha256_file(run / RUN_CHECKPOINT) for run in self.teachers)])


@usable_threads()
def train(
    data: Path,
    run: Path,
    recipe: Recipe,
    *,
    negatives: Path | None = None,
    start: Path | None = None,
    teachers: Sequence[Path] = (),
    trusted: Collection[str] = (),
    resume: bool = False,
    launch: Launch | None = None,
    checkpoint_minutes: float = 10.0,
    report: Report | None = None,
    say: Say = quiet,
    track: Track = silent,
) -> RunRecord:
    """Train.

    Args:
        data: A data set with the splits train and validation.
        run: The RUN folder; new or empty, unless `resume`.
        recipe: What to do; must be the RUN's own where resuming.
        negatives: A folder of pictures that show nothing to find.
        start: Another RUN whose best weights are taken over where they fit; of no effect once a checkpoint is there.
        teachers: RUNs whose networks soften the targets; the same ones where resuming.
        trusted: Code that the teachers' networks may be (`python:...`); the recipe's own is imported in any case.
        resume: Go on from the RUN's last checkpoint.
        launch: On how many devices; None is one, or what torchrun says.
        checkpoint_minutes: After so long without a checkpoint one is written inside an epoch.
        report: Is called after each epoch, in the first process.
        say: Takes lines for the person, in the first process.
        track: Draws the progress inside epochs.

    Returns:
        The record that also lies in `run.json`.

    Raises:
        BadInputError: The data, a RUN folder that is in use, a loss that is not finite, a full disk.
        MismatchError: Resuming with other data, another recipe or architecture.
        MissingComponentError: The recipe's precision needs a GPU.
        LostProcessError: One of several processes has gone.
    """
    check_writable(run)
    launch = launch or Launch()
    try_training(recipe, batch_of_one_process(data, negatives, recipe, process_count(launch)))
    inputs = find_data(data, negatives, teachers, track if is_first_process() else silent)
    teacher = teacher_from_runs(teachers, recipe.training.teacher_share, recipe.model_spec(), trusted)
    weights = None if start is None else load_best(start)[1]
    kept = run_folder.kept_precision(run) if resume else None
    recipe, arithmetic = settled(recipe, kept, process_count(launch))
    started_from = None if start is None else sha256_file(start / RUN_CHECKPOINT)
    origin = Origin(inputs.sha256(), started_from, arithmetic.reason)
    first = is_first_process()
    if first and resume:
        origin = run_folder.check_resumable(run, recipe, origin)
    elif first:
        run_folder.check_new(run)
    if not first:
        say, track = quiet, silent
    if arithmetic.worth_saying:
        say(str(arithmetic))
    with contextlib.ExitStack() as stack:
        stack.enter_context(deterministic_algorithms(recipe.training.deterministic))
        fabric = open_fabric(launch, arithmetic.precision)
        storage = _storage(inputs, recipe, run, say)
        samples, empty = decode(inputs, recipe, storage, track)
        if first:
            if not resume:
                run_folder.start(run, recipe, _record(recipe, Progress(), origin, 0))
            stack.enter_context(run_folder.locked(run))
            remove_leftovers(run)
        fabric.barrier()
        trainer = Trainer(recipe, run, samples, inputs.validation, empty, teacher, fabric)
        if not (resume and trainer.resume(say)) and weights is not None:
            trainer.start_from(weights)
        return _fit(trainer, origin, report, track, checkpoint_minutes)


def find_data(data: Path, negatives: Path | None, teachers: Sequence[Path] = (), track: Track = silent) -> TrainingData:
    """The pairs of both splits, the negatives, the RUNs that teach; every pair is read once and checked.

    Raises:
        BadInputError: One of them is missing or empty, there are no splits, or a pair has a problem.
    """
    if not find_layout(data).is_divided:
        raise BadInputError(
            f"{data} has no splits, so nothing could choose the best epoch",
            expected="train and validation",
            next_command=f"edgeseg data split {quoted(data)} --out DIR",
        )
    pairs = load_splits(data, ("train", "validation"), track)
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
    samples = load_samples(inputs.pairs, *size, track, storage.allocate)
    if not bool((samples.masks == FOREGROUND).any()):
        raise BadInputError(
            "every training mask is empty: there is nothing to learn",
            found=f"{len(samples)} masks without a marked pixel at {size[1]}x{size[0]}",
            expected="polyps in some of them; pictures without one can be given by --negatives",
            next_command="edgeseg data inspect DATA",
        )
    if not inputs.negatives:
        return samples, None
    return samples, load_negatives(inputs.negatives, *size, track, storage.allocate)


def _storage(inputs: TrainingData, recipe: Recipe, run: Path, say: Say) -> Storage:
    count = len(inputs.pairs) + len(inputs.negatives)
    needed = sample_bytes(count, recipe.model.height, recipe.model.width) * int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    folder = next(parent for parent in run.absolute().parents if parent.is_dir())
    return choose_storage(needed, available_bytes(), folder, say)


def _fit(trainer: Trainer, origin: Origin, report: Report | None, track: Track, checkpoint_minutes: float) -> RunRecord:
    parameters = parameter_count(trainer.bare_network)

    def record() -> RunRecord:
        return _record(trainer.recipe, trainer.progress, origin, parameters)

    def finish_epoch(row: Epoch) -> None:
        _write(trainer, record())
        if report is not None:
            report(row, record())

    first = trainer.fabric.is_global_zero
    if first:  # what a training that was killed between last.pt and run.json did not get to
        _write(trainer, record())
    trainer.fit(finish_epoch, track, checkpoint_minutes)
    if first:
        write_curves(trainer.run, trainer.progress.history)
    return record()


def _write(trainer: Trainer, record: RunRecord) -> None:
    record.write(trainer.run / RUN_RECORD)
    write_history(trainer.run, trainer.progress.history)


def _record(recipe: Recipe, progress: Progress, origin: Origin, parameters: int) -> RunRecord:
    done, training = len(progress.history), recipe.training
    return RunRecord(
        finished=done >= training.epochs or progress.exhausted(training.patience),
        epochs=done,
        best_epoch=progress.best.epoch if done else 0,
        best_validation_dice=progress.best.validation_dice if done else 0.0,
        data_sha256=origin.data_sha256,
        start_sha256=origin.start_sha256,
        precision_reason=origin.precision_reason,
        recipe_sha256=recipe.sha256,
        seed=training.seed,
        parameters=parameters,
        tools={
            "edgeseg": edgeseg.__version__,
            **{name: importlib.metadata.version(name) for name in ("torch", "kornia")},
        },
    )
