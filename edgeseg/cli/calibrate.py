"""`edgeseg calibrate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeseg.cli.output import JsonFlag, emit, say, track
from edgeseg.cli.registry_options import MethodOption, SelectionOption
from edgeseg.shell import quoted

if TYPE_CHECKING:
    from edgeseg.artifacts import CalibrationTable
    from edgeseg.calibration.observer import Observer


def calibrate(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="An .onnx file or a model package.")],
    data: Annotated[Path, typer.Option(help="Data set, or a folder of images; masks are not needed.")],
    out: Annotated[Path, typer.Option(help="Calibration table to write.")],
    split: Annotated[str, typer.Option(help="Split to use, if the data set has splits.")] = "train",
    images: Annotated[int, typer.Option(min=1, help="How many images to use.")] = 256,
    select: SelectionOption = "even",
    seed: Annotated[
        int | None, typer.Option(min=0, help="Draw other images; works with every --select but even. [default: 0]")
    ] = None,
    method: MethodOption = "max",
    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.png",
            help="Plot to write (.png, .svg or .pdf): the eight tensors whose range the method cuts most; "
            "not with --method max, which cuts none.",
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Measure the ranges of the activations that INT8 needs."""
    from edgeseg.calibration.range_plot import check_range_plot
    from edgeseg.calibration.ranges import calibrate as measure
    from edgeseg.calibration.selection import DEFAULT_SELECTION, choose_images
    from edgeseg.dataset import load_images
    from edgeseg.errors import UsageError
    from edgeseg.files import check_writable
    from edgeseg.graph.onnx_files import load_onnx
    from edgeseg.packages import find_model, onnx_of

    if seed is not None and select == DEFAULT_SELECTION:
        raise UsageError(
            "--seed draws nothing with --select even",
            found=f"--seed {seed}",
            expected="--select random, stratified or diverse beside it",
        )
    source = onnx_of(find_model(model))
    artifact = load_onnx(source)
    check_writable(out, source)
    if plot is not None:
        check_range_plot(plot, method)
        check_writable(plot, source, out)
    chosen = choose_images(load_images(data, split), images, select, seed or 0, track)
    observers: dict[str, Observer] = {}
    table = measure(artifact, chosen, track, method, say, data, observers.update)
    table.write(out)
    if plot is not None:
        _write_plot(plot, table, observers, model)
    follow = f"next: edgeseg build-engine {quoted(model)} --precision int8 --calibration {quoted(out)}"
    emit(table, as_json, f"{out}: {_in_words(table)}\n{follow}")


def _in_words(table: CalibrationTable) -> str:
    from edgeseg.calibration.asymmetry import asymmetry_in_words
    from edgeseg.calibration.method_trial import trial_in_words

    corrected = f", biases of {len(table.bias_shifts)} convolutions corrected" if table.bias_shifts else ""
    lines = [f"{len(table.ranges)} tensors on {table.image_count} images, method {table.method}{corrected}"]
    if table.trained:
        lines.append(f"{table.trained} ranges are those of the quantisation-aware training")
    if table.method_trial is not None:
        lines.append(trial_in_words(table.method_trial))
    if table.asymmetry is not None:
        lines.append(asymmetry_in_words(table.asymmetry))
    return "\n".join(lines)


def _write_plot(path: Path, table: CalibrationTable, observers: dict[str, Observer], model: Path) -> None:
    from edgeseg.calibration.range_plot import most_cut, write_range_plot

    shown = most_cut(table, observers)
    title = (
        f"{model.name}, method {table.method} on {table.image_count} images: "
        f"the {len(shown)} of {len(observers)} tensors whose range is cut most"
    )
    write_range_plot(shown, title, path)
    say(f"wrote {path}")
