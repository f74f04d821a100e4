"""Train a recipe on a data set into a RUN folder."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Sequence
from pathlib import Path

import edgeseg
from edgeseg.dataset import hash_files, hash_pairs, load_images, load_pairs
from edgeseg.errors import BadInputError, MismatchError
from edgeseg.files import check_writable, sha256_file, sha256_of_hashes, write_text
from edgeseg.packages import RUN_CHECKPOINT, RUN_RECIPE
from edgeseg.progress import Track, silent
from edgeseg.train.architectures.registry import parameter_count
from edgeseg.train.checkpoint import load_best
from edgeseg.train.distillation import teacher_from_runs
from edgeseg.train.loop import Trainer
from edgeseg.train.recipe import Recipe, read_recipe, recipe_to_toml
from edgeseg.train.record import RUN_RECORD, Epoch, RunRecord, write_curves, write_history
from edgeseg.train.samples import load_negatives, load_samples

Report = Callable[[Epoch, RunRecord], None]


def train(
    data: Path,
    run: Path,
    recipe: Recipe,
    *,
    negatives: Path | None = None,
    start: Path | None = None,
    teachers: Sequence[Path] = (),
    resume: bool = False,
    report: Report | None = None,
    track: Track = silent,
) -> RunRecord:
    """Train.

    Args:
        data: A data set with the splits train and validation.
        run: The RUN folder; new or empty, unless `resume`.
        recipe: What to do; must be the RUN's own where resuming.
        negatives: A folder of pictures that show nothing to find.
        start: Another RUN whose best weights are taken over where they fit; of no effect where resuming.
        teachers: RUNs whose networks soften the targets; the same ones where resuming.
        resume: Go on from the RUN's last whole epoch.
        report: Is called after each epoch.
        track: Draws the progress inside epochs.

    Returns:
        The record that also lies in `run.json`.

    Raises:
        BadInputError: The data, or a RUN folder that is in use.
        MismatchError: Resuming with other data or another recipe.
    """
    check_writable(run)
    pairs, validation = load_pairs(data, "train"), load_pairs(data, "validation")
    if data.resolve() in {pair.image.parent.parent.resolve() for pair in validation}:
        raise BadInputError(
            f"{data} has no splits, so nothing could choose the best epoch",
            expected="train and validation",
            next_command=f"edgeseg data split {data} --out DIR",
        )
    negative_images = [] if negatives is None else load_images(negatives)
    hashes = [hash_pairs(pairs), hash_pairs(validation), *([hash_files(negative_images)] if negative_images else [])]
    teacher = teacher_from_runs(teachers, recipe.training.teacher_share, recipe.model_spec())
    hashes += [sha256_file(folder / RUN_CHECKPOINT) for folder in teachers]
    data_sha256 = sha256_of_hashes(hashes)
    weights = None if start is None else load_best(start)[1]
    size = recipe.model.height, recipe.model.width
    samples = load_samples(pairs, *size, track)
    empty = load_negatives(negative_images, *size, track) if negative_images else None
    _prepare(run, recipe, data_sha256, resume)
    trainer = Trainer(recipe, run, samples, validation, empty, teacher)
    if resume:
        trainer.resume()
    elif weights is not None:
        trainer.start_from(weights)

    def finish_epoch(row: Epoch) -> None:
        record = _record(trainer, data_sha256)
        record.write(run / RUN_RECORD)
        write_history(run, trainer.progress.history)
        if report is not None:
            report(row, record)

    trainer.fit(finish_epoch, track)
    write_curves(run, trainer.progress.history)
    return _record(trainer, data_sha256)


def _prepare(run: Path, recipe: Recipe, data_sha256: str, resume: bool) -> None:
    if resume:
        _check_resumable(run, recipe, data_sha256)
        return
    if run.exists() and (not run.is_dir() or any(run.iterdir())):
        raise BadInputError(
            f"{run} exists and is not empty",
            expected="a new folder for a new training",
            next_command=f"edgeseg train DATA --out {run} --resume goes on with the one that is there",
        )
    run.mkdir(parents=True, exist_ok=True)
    write_text(run / RUN_RECIPE, recipe_to_toml(recipe))


def _check_resumable(run: Path, recipe: Recipe, data_sha256: str) -> None:
    if not (run / RUN_RECORD).is_file():
        raise BadInputError(f"there is nothing to resume in {run}", expected=f"{RUN_RECORD} of a training")
    if read_recipe(run / RUN_RECIPE) != recipe:
        raise MismatchError(
            f"the recipe differs from the one that {run} was started with", expected=str(run / RUN_RECIPE)
        )
    record = RunRecord.read(run / RUN_RECORD)
    if record.data_sha256 != data_sha256:
        raise MismatchError(
            f"the data differ from those that {run} was started with",
            found=f"data {data_sha256[:12]}",
            expected=f"data {record.data_sha256[:12]}",
        )


def _record(trainer: Trainer, data_sha256: str) -> RunRecord:
    progress, training = trainer.progress, trainer.recipe.training
    done = len(progress.history)
    return RunRecord(
        finished=done >= training.epochs or progress.exhausted(training.patience),
        epochs=done,
        best_epoch=progress.best.epoch,
        best_validation_dice=progress.best.validation_dice,
        data_sha256=data_sha256,
        recipe_sha256=trainer.recipe.sha256,
        seed=training.seed,
        parameters=parameter_count(trainer.bare_network),
        tools={
            "edgeseg": edgeseg.__version__,
            **{name: importlib.metadata.version(name) for name in ("torch", "kornia")},
        },
    )
