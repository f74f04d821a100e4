"""Train a recipe on a data set into a RUN folder."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import edgeseg
from edgeseg.errors import UsageError
from edgeseg.files import check_writable, write_text
from edgeseg.progress import Say, Track, quiet, silent
from edgeseg.train import run_folder
from edgeseg.train.architectures.own_network import try_training
from edgeseg.train.architectures.registry import parameter_count
from edgeseg.train.arithmetic import settled
from edgeseg.train.distillation import teacher_from_models
from edgeseg.train.loop import Trainer
from edgeseg.train.processes import Launch, is_first_process, open_fabric, process_count
from edgeseg.train.qat.fake_quantised_network import FakeQuantisedNetwork
from edgeseg.train.qat.qat_recipe import recipe_for_qat
from edgeseg.train.qat.starting_point import StartingPoint
from edgeseg.train.recipe import Recipe
from edgeseg.train.record import RUN_RECORD, Epoch, Origin, Progress, RunRecord, write_curves, write_history
from edgeseg.train.reproducibility import deterministic_algorithms
from edgeseg.train.resuming import remove_leftovers
from edgeseg.train.sample_memory import Storage, available_bytes, choose_storage, sample_bytes
from edgeseg.train.samples import Samples
from edgeseg.train.shared_pictures import SharedPictures
from edgeseg.train.starting_weights import starting_weights
from edgeseg.train.threads import usable_threads
from edgeseg.train.training_data import (
    TrainingData,
    batch_of_one_process,
    check_foreground,
    decode,
    find_data,
)

Report = Callable[[Epoch, RunRecord], None]
DRAWN = "train-images.txt"
"""The names of the training images in a RUN whose recipe takes a fraction of them."""


@usable_threads()
def train(
    data: Path,
    run: Path,
    recipe: Recipe,
    *,
    negatives: Path | None = None,
    starts: Sequence[Path] = (),
    teachers: Sequence[Path] = (),
    qat: StartingPoint | None = None,
    trusted: Collection[str] = (),
    resume: bool = False,
    launch: Launch | None = None,
    shared: SharedPictures | None = None,
    checkpoint_minutes: float = 10.0,
    epoch_checkpoint_s: float = 0.0,
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
        starts: Another RUN or a model package whose weights are taken over where they fit, or several, of which the
            mean is; of no effect once a checkpoint is there.
        teachers: RUNs, model packages or ONNX files whose networks soften the targets; the same ones where resuming.
        qat: The trained network whose INT8 graph is trained; None trains the recipe's float network. The same one where
            resuming.
        trusted: Code that the teachers' networks may be (`python:...`); the recipe's own is imported in any case.
        resume: Go on from the RUN's last checkpoint.
        launch: On how many devices; None is one, or what torchrun says.
        shared: The pictures of `data` where another training has found and decoded them before.
        checkpoint_minutes: After so long without a checkpoint one is written inside an epoch.
        epoch_checkpoint_s: An epoch that ends sooner after the last checkpoint writes none but that of a best epoch.
        report: Is called after each epoch, in the first process.
        say: Takes lines for the person, in the first process.
        track: Draws the progress inside epochs.

    Returns:
        The record that also lies in `run.json`.

    Raises:
        BadInputError: The data, a RUN folder that is in use, a loss that is not finite, a full disk.
        MismatchError: Resuming with other data, another recipe or architecture; `qat` of another network.
        UsageError: A recipe or options that quantisation-aware training does not go with.
        MissingComponentError: The recipe's precision needs a GPU.
        LostProcessError: One of several processes has gone.
    """
    check_writable(run)
    launch = launch or Launch()
    _check_epochs(recipe, resume or bool(starts))
    if qat is not None:
        recipe = recipe_for_qat(recipe, qat.recipe, process_count(launch), started=bool(starts))
    try_training(recipe, batch_of_one_process(data, negatives, recipe, process_count(launch)))
    shown, classes = track if is_first_process() else silent, recipe.model.out_channels
    inputs = find_data(data, negatives, teachers, shown, classes) if shared is None else shared.inputs
    inputs = inputs.drawn(recipe.training.fraction, recipe.training.seed)
    teacher = teacher_from_models(teachers, recipe.training.teacher_share, recipe.model_spec(), trusted)
    begin = starting_weights(starts, recipe, data)
    kept = run_folder.kept_precision(run) if resume else None
    recipe, arithmetic = settled(recipe, kept, process_count(launch))
    started_from = None if begin is None else begin.sha256
    origin = Origin(inputs.sha256(), started_from, arithmetic.reason, None if qat is None else qat.checkpoint_sha256)
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
        samples, empty = _decoded(inputs, shared, recipe, run, say, track)
        network = None if qat is None else FakeQuantisedNetwork(qat, recipe)
        trainer = Trainer(recipe, run, samples, inputs.validation, empty, teacher, fabric, network)
        if begin is not None and not resume:
            trainer.start_from(begin.weights)  # before there is a folder: weights that do not fit leave none
        if first:
            if not resume:
                run_folder.start(run, recipe, _record(recipe, Progress(), origin, 0))
                _write_drawn(run, recipe, inputs)
            stack.enter_context(run_folder.locked(run))
            remove_leftovers(run)
        fabric.barrier()
        if resume and not trainer.resume(say) and begin is not None:
            trainer.start_from(begin.weights)
        return _fit(trainer, origin, report, track, (checkpoint_minutes, epoch_checkpoint_s))


def _check_epochs(recipe: Recipe, has_weights: bool) -> None:
    """Refuse a recipe without epochs where there are no weights to keep."""
    if recipe.training.epochs == 0 and not has_weights:
        raise UsageError(
            "a training without epochs has nothing to keep",
            found="training.epochs=0 and no weights to start from",
            next_command="edgeseg train DATA --out RUN --start ANOTHER_RUN --set training.epochs=0",
        )


def _decoded(
    inputs: TrainingData, shared: SharedPictures | None, recipe: Recipe, run: Path, say: Say, track: Track
) -> tuple[Samples, Samples | None]:
    if shared is None:
        return decode(inputs, recipe, _storage(inputs, recipe, run, say), track)
    samples = shared.samples_of(inputs.pairs, recipe)
    check_foreground(samples)
    return samples, None


def _write_drawn(run: Path, recipe: Recipe, inputs: TrainingData) -> None:
    """Keep the names of the training pairs, where they are a part of the split's."""
    if recipe.training.fraction < 1:
        write_text(run / DRAWN, "\n".join(pair.name for pair in inputs.pairs) + "\n")


def _storage(inputs: TrainingData, recipe: Recipe, run: Path, say: Say) -> Storage:
    count = len(inputs.pairs) + len(inputs.negatives)
    needed = sample_bytes(count, recipe.model.height, recipe.model.width) * int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    folder = next(parent for parent in run.absolute().parents if parent.is_dir())
    return choose_storage(needed, available_bytes(), folder, say)


def _fit(
    trainer: Trainer, origin: Origin, report: Report | None, track: Track, checkpoints: tuple[float, float]
) -> RunRecord:
    parameters = parameter_count(trainer.bare_network.network)

    def record() -> RunRecord:
        return _record(trainer.recipe, trainer.progress, origin, parameters)

    def finish_epoch(row: Epoch) -> None:
        _write(trainer, record())
        if report is not None:
            report(row, record())

    first = trainer.fabric.is_global_zero
    if first:  # what a training that was killed between last.pt and run.json did not get to
        _write(trainer, record())
    trainer.fit(finish_epoch, track, *checkpoints)
    if first and trainer.recipe.training.epochs:
        write_curves(trainer.run, trainer.progress.history)
    return record()


def _write(trainer: Trainer, record: RunRecord) -> None:
    record.write(trainer.run / RUN_RECORD)
    write_history(trainer.run, trainer.progress.history)


def _record(recipe: Recipe, progress: Progress, origin: Origin, parameters: int) -> RunRecord:
    rows, training = progress.history, recipe.training
    return RunRecord(
        finished=progress.is_over(training),
        epochs=rows[-1].epoch if rows else 0,
        best_epoch=progress.kept(training).epoch if rows else 0,
        best_validation_dice=progress.kept(training).validation_dice if rows else 0.0,
        data_sha256=origin.data_sha256,
        start_sha256=origin.start_sha256,
        qat_sha256=origin.qat_sha256,
        precision_reason=origin.precision_reason,
        recipe_sha256=recipe.sha256,
        seed=training.seed,
        parameters=parameters,
        tools={
            "edgeseg": edgeseg.__version__,
            **{name: importlib.metadata.version(name) for name in ("torch", "kornia")},
        },
    )
