"""`edgeseg train`."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeseg.cli.model_argument import TrustOption
from edgeseg.cli.output import JsonFlag, emit, say, track
from edgeseg.shell import quoted

if TYPE_CHECKING:
    from edgeseg.train.processes import Launch
    from edgeseg.train.recipe import Recipe
    from edgeseg.train.record import Epoch, RunRecord


def train(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Data set with the splits train and validation.")],
    out: Annotated[Path, typer.Option(help="RUN folder to make; with --find-lr a folder for picture and table.")],
    recipe: Annotated[
        Path | None,
        typer.Option(metavar="FILE|NAME", help="Recipe (TOML), or the name of one of ours; default: a plain U-Net."),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Change one value of the recipe, for example training.epochs=3. Repeatable.",
        ),
    ] = None,
    negatives: Annotated[
        Path | None, typer.Option(help="Folder of pictures without anything to find; every batch gets some.")
    ] = None,
    start: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="MODEL",
            help="Start from the weights of another RUN or a package, wherever they fit; of several, from their mean. "
            "Repeatable.",
        ),
    ] = None,
    qat: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN",
            help="Train another RUN's best network further as its INT8 graph computes it; without --recipe by that "
            "RUN's own, 5 epochs at a tenth of its learning rate.",
        ),
    ] = None,
    teacher: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="MODEL",
            help="Also learn from another RUN, a package or an .onnx file; several teach by their mean. Repeatable.",
        ),
    ] = None,
    trust: TrustOption = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue from the last checkpoint in RUN.")] = False,
    find_lr: Annotated[
        bool, typer.Option("--find-lr", help="Do not train: try learning rates and suggest one.")
    ] = False,
    devices: Annotated[
        int | None,
        typer.Option(min=1, help="Number of GPUs (or CPU processes) that share every batch; torchrun works too."),
    ] = None,
    checkpoint_minutes: Annotated[
        float, typer.Option(min=0, help="Minutes between the checkpoints inside a long epoch.")
    ] = 10.0,
    as_json: JsonFlag = False,
) -> None:
    """Train a segmentation network into a RUN folder."""
    from edgeseg.errors import UsageError
    from edgeseg.optional import require

    require("torch")
    from edgeseg.train.architectures.catalogue import is_own
    from edgeseg.train.processes import Launch, is_first_process
    from edgeseg.train.training import train as train_run

    if find_lr and (resume or qat or devices not in (None, 1)):
        raise UsageError("--find-lr does not work with --resume, --qat or --devices")
    chosen, source = _recipe(out, recipe, set_ or (), resume, qat, Launch(devices), bool(start))
    trusted = list(trust or ())
    if is_own(chosen.model.architecture):
        if source == recipe or any("model.architecture" in setting for setting in set_ or ()):
            trusted.append(chosen.model.architecture)  # named just now
        _try_own_network(out, chosen, trusted)
    if find_lr:
        from edgeseg.train.rate_range import find_learning_rate

        found = find_learning_rate(
            data,
            out,
            chosen,
            negatives=negatives,
            starts=start or (),
            teachers=teacher or (),
            trusted=trusted,
            say=say,
            track=track,
        )
        emit(found, as_json, found.describe(out))
        return
    if not is_first_process():
        sys.stdout = sys.stderr  # the result is the first process's to print
    begin = None
    if qat is not None:
        from edgeseg.export.torch.qat_start import starting_point

        begin = starting_point(qat, data, trusted, say, track)
    with _way_back_said(out, _way_back(data, out, negatives, start or (), qat, teacher or (), trusted, devices)):
        record = train_run(
            data,
            out,
            chosen,
            negatives=negatives,
            starts=start or (),
            teachers=teacher or (),
            qat=begin,
            trusted=trusted,
            resume=resume,
            launch=Launch(devices),
            checkpoint_minutes=checkpoint_minutes,
            report=_say_epoch,
            say=say,
            track=track,
        )
    if is_first_process():
        emit(record, as_json, _result(record, out, chosen))


def _recipe(
    out: Path,
    recipe: Path | None,
    settings: Sequence[str],
    resume: bool,
    qat: Path | None,
    launch: Launch,
    started: bool,
) -> tuple[Recipe, Path | None]:
    """The recipe to train by, and the file that it came from; None for the default one."""
    from edgeseg.packages import RUN_RECIPE
    from edgeseg.train.processes import process_count
    from edgeseg.train.qat.qat_recipe import qat_recipe, recipe_for_qat, recipe_of_run
    from edgeseg.train.recipe import read_recipe

    source = recipe
    if recipe is None and (resume or qat is not None):
        source = (out if resume or qat is None else qat) / RUN_RECIPE
    if qat is None:
        return read_recipe(source, settings), source
    chosen = qat_recipe(qat, settings) if source == qat / RUN_RECIPE else read_recipe(source, settings)
    return recipe_for_qat(chosen, recipe_of_run(qat), process_count(launch), started), source


def _way_back(
    data: Path,
    out: Path,
    negatives: Path | None,
    starts: Sequence[Path],
    qat: Path | None,
    teachers: Sequence[Path],
    trusted: Sequence[str],
    devices: int | None,
) -> str:
    """The command that resumes a training; recipe and settings lie in the RUN."""
    options: list[tuple[str, Path | int | str | None]] = [
        ("--negatives", negatives),
        ("--qat", qat),
        ("--devices", devices),
    ]
    options += [("--start", start) for start in starts]
    options += [("--teacher", teacher) for teacher in teachers]
    options += [("--trust", code) for code in trusted]
    given = [word for name, value in options if value is not None for word in (name, str(value))]
    return shlex.join(["edgeseg", "train", str(data), "--out", str(out), *given, "--resume"])


@contextlib.contextmanager
def _way_back_said(out: Path, command: str) -> Iterator[None]:
    """Say how to go on where a person or the system stops the training."""
    from edgeseg.packages import RUN_RECIPE
    from edgeseg.train.processes import is_first_process

    try:
        yield
    except Exception:  # says itself what to do
        raise
    except BaseException:
        if is_first_process() and (out / RUN_RECIPE).is_file():
            say(f"continue with: {command}")
        raise


def _result(record: RunRecord, out: Path, recipe: Recipe) -> str:
    from edgeseg.train.architectures.catalogue import is_own

    architecture = recipe.model.architecture
    trust = f" --trust {quoted(architecture)}" if is_own(architecture) else ""
    kept = "kept:" if recipe.training.keep == "last" else "best"
    epoch = f"in epoch {record.best_epoch} of {record.epochs}" if record.epochs else "with the weights as they were"
    return (
        f"{kept} validation Dice {record.best_validation_dice:.4f} {epoch}\n"
        f"next: edgeseg export {quoted(out)} --out model.onnx{trust}"
    )


def _try_own_network(run: Path, recipe: Recipe, trusted: Collection[str]) -> None:
    """Import the user's code and run it once, before images are read; not where only a RUN folder names it."""
    from edgeseg.train.architectures.own_network import check_trusted
    from edgeseg.train.architectures.registry import network_from_recipe
    from edgeseg.train.processes import is_first_process

    architecture = recipe.model.architecture
    check_trusted(
        run, architecture, trusted, f"edgeseg train DATA --out {quoted(run)} --resume --trust {quoted(architecture)}"
    )
    if is_first_process():
        say(f"importing {architecture}: this runs its code")
    network_from_recipe(recipe.model)


def _say_epoch(row: Epoch, record: RunRecord) -> None:
    mark = "  kept" if record.best_epoch == row.epoch else ""
    if row.epoch == 0:
        say(f"as started  validation Dice {row.validation_dice:.4f}  IoU {row.validation_iou:.4f}{mark}")
        return
    say(
        f"epoch {row.epoch:3d}  loss {row.train_loss:.4f}  validation Dice {row.validation_dice:.4f}  "
        f"IoU {row.validation_iou:.4f}  {row.seconds:.0f} s, waited for data {row.data_wait_share or 0:.1%}{mark}"
    )
