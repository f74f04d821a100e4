"""`edgeseg data`: make a synthetic data set, inspect, convert, split or join, gather pictures without a polyp."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeseg.cli.data_convert import convert
from edgeseg.cli.output import JsonFlag, emit, say, table, track
from edgeseg.errors import BadInputError, UsageError

if TYPE_CHECKING:
    from edgeseg.dataset import Pair
    from edgeseg.inspection import DatasetReport, DicomReport, Spread
    from edgeseg.train.negatives import NegativesOfSource

app = typer.Typer(
    help="Make, inspect, convert, split or join data sets; gather pictures without a polyp.", no_args_is_help=True
)

Out = Annotated[Path, typer.Option("--out", help="New folder for the data set.")]
Seed = Annotated[int, typer.Option(min=0, help="Random seed; another one gives another result.")]
Count = typer.Option(min=0, help="Pictures in this split.")
Side = typer.Option(min=32, max=4096, help="Side in pixels.")

_Sources = typer.Argument(
    metavar="SOURCE[@FRAMES]",
    help="Videos, folders of images, or images; @START:STOP:STEP takes some frames (or images by name), as in Python.",
)
_Windows = typer.Option(metavar="DATA", help="Also cut windows beside the polyps out of the train split of DATA.")
_Margin = typer.Option(min=0, max=0.5, help="Distance that windows keep from polyps, as a share of the shorter side.")
_WindowSide = typer.Option(
    min=32, max=4096, help="Resize windows to this side in pixels; by default they are not resized."
)


@app.command("synth")
def synth(
    out: Out,
    seed: Seed = 0,
    train: Annotated[int, Count] = 200,
    validation: Annotated[int, Count] = 40,
    test: Annotated[int, Count] = 40,
    height: Annotated[int, Side] = 256,
    width: Annotated[int, Side] = 256,
    clip: Annotated[Path | None, typer.Option(help="Also write a video: FILE.mp4.")] = None,
    clip_frames: Annotated[int, typer.Option(min=1, help="Frames of the video, at 25 a second.")] = 150,
    clip_height: Annotated[int, Side] = 480,
    clip_width: Annotated[int, Side] = 640,
    clip_masks: Annotated[Path | None, typer.Option(help="New folder for the video's masks.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Make a synthetic endoscopy data set with exact masks, and a video if wanted."""
    from edgeseg.synthetic.folders import write_dataset
    from edgeseg.synthetic.synthetic_clip import check_clip, write_clip

    _check_clip_folder(out, clip, clip_masks)
    counts = {"train": train, "validation": validation, "test": test}
    if clip is not None:
        check_clip(clip, clip_frames, clip_height, clip_width, masks_dir=clip_masks)
    write_dataset(out, seed, counts, height, width, track=track)
    if clip is not None:
        write_clip(clip, seed, clip_frames, clip_height, clip_width, masks_dir=clip_masks, track=track)
    clip_result = {"clip": None if clip is None else str(clip), "clip_frames": 0 if clip is None else clip_frames}
    result = {"out": str(out), "seed": seed, "pictures": counts, "data_sha256": _content(out, counts), **clip_result}
    words = f"{sum(counts.values())} pictures in {out}"
    emit(result, as_json, words if clip is None else f"{words}, {clip_frames} frames in {clip}")


@app.command("inspect")
def inspect(
    root: Annotated[
        Path,
        typer.Argument(
            metavar="DIR",
            help="DIR/{train,validation,test}/{images,masks}, DIR/{images,masks}, or DICOM: a file or a folder.",
        ),
    ],
    sheet: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Contact sheet to draw: pairs with their masks outlined.")
    ] = None,
    pictures: Annotated[int, typer.Option(min=1, help="How many pairs --sheet shows.")] = 24,
    as_json: JsonFlag = False,
) -> None:
    """Show what a data set holds and name everything that is wrong with it (exit code 5)."""
    from edgeseg.cli.sheet_argument import check_sheet
    from edgeseg.inspection import inspect_dicom, report_and_pairs

    check_sheet(sheet)
    report: DatasetReport | DicomReport
    dicom = inspect_dicom(root)
    if dicom is None:
        report, pairs = report_and_pairs(root, track)
        if sheet is not None and pairs:
            _write_sheet(sheet, pairs, pictures)
        emit(report, as_json, _report_text(report, root))
    else:
        report = dicom
        emit(report, as_json, _dicom_text(report, root))
    if report.problems:
        say(f"error: {len(report.problems)} problem{'s' if len(report.problems) > 1 else ''} in {root}")
        raise typer.Exit(BadInputError.exit_code)


@app.command("statistics")
def statistics(
    root: Annotated[Path, typer.Argument(metavar="DIR", help="A data set, or a plain folder of images.")],
    out: Annotated[Path, typer.Option("--out", help="NAME.json, for the drift watch of live video.")],
    split: Annotated[str, typer.Option(help="Which split.")] = "train",
    height: Annotated[int, Side] = 224,
    width: Annotated[int, Side] = 224,
    as_json: JsonFlag = False,
) -> None:
    """Measure brightness, contrast, saturation, hue and sharpness of the pictures a network was trained on."""
    from edgeseg.files import check_writable
    from edgeseg.runtime.live.scene.statistics import statistics_of_folder

    check_writable(out)
    found = statistics_of_folder(root, height, width, split, track)
    found.write(out)
    rows = [(name, f"{spread.mean:.1f}", f"{spread.deviation:.1f}") for name, spread in found.spreads.items()]
    emit(found, as_json, f"{found.image_count} pictures of {root} at {width}x{height} in {out}\n{_lines(rows)}")


def _lines(rows: list[tuple[str, str, str]]) -> str:
    return "\n".join(f"  {name:12s} {mean:>8s} +- {deviation}" for name, mean, deviation in rows)


@app.command("split")
def split(
    source: Annotated[Path, typer.Argument(metavar="DIR", help="DIR/{images,masks}; it is left unchanged.")],
    out: Out,
    validation: Annotated[float, typer.Option(help="Share of the pictures for validation.")] = 0.1,
    test: Annotated[float, typer.Option(help="Share of the pictures for the test.")] = 0.1,
    sequences: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.csv",
            help="Frames that stay together: columns sequence, first, last, the numbers in the images' names.",
        ),
    ] = None,
    seed: Seed = 0,
    as_json: JsonFlag = False,
) -> None:
    """Split a data set by content: the same picture never lies in two splits, nor does a sequence of frames."""
    from edgeseg.splitting import read_sequences, split_dataset

    together = None if sequences is None else read_sequences(sequences)
    result = split_dataset(source, out, validation, test, seed, track, together)
    counts = ", ".join(f"{count} {name}" for name, count in result.pictures.items())
    emit(result, as_json, f"{counts} in {out}")


@app.command("join")
def join(
    sources: Annotated[list[Path], typer.Argument(metavar="DATA...", help="Data sets with splits.")],
    out: Out,
    as_json: JsonFlag = False,
) -> None:
    """Write several data sets as one, each split under the names of their folders, to train on all of them."""
    from edgeseg.joining import join_datasets

    result = join_datasets(sources, out, track)
    lines = [
        f"{split}: {', '.join(f'{count} {name}' for name, count in parts.items())}"
        for split, parts in result.pictures.items()
    ]
    emit(result, as_json, "\n".join([*lines, f"in {out}, content {result.data_sha256}"]))


def _write_sheet(sheet: Path, pairs: Sequence[Pair], pictures: int) -> None:
    from edgeseg.proof.evaluation.evaluation_pictures import draw_truths
    from edgeseg.proof.evaluation.sheet import write_sheet

    write_sheet(sheet, [draw_truths(pairs, pictures)], predictions=False)
    say(f"wrote {sheet}")


app.command("convert")(convert)


@app.command("negatives")
def negatives(
    out: Annotated[Path, typer.Option("--out", help="New folder for the pictures and their list.")],
    sources: Annotated[list[str] | None, _Sources] = None,
    windows: Annotated[Path | None, _Windows] = None,
    margin: Annotated[float, _Margin] = 0.02,
    window_side: Annotated[int | None, _WindowSide] = None,
    as_json: JsonFlag = False,
) -> None:
    """Gather pictures without a polyp into a folder for `edgeseg train --negatives`.

    The list negatives.csv in it says what each picture came from. Keep the frames that you will evaluate on out of it.
    """
    from edgeseg.runtime.file.frame_choice import split_choice
    from edgeseg.train.negatives import NegativeSource, WindowSource, write_negatives
    from edgeseg.windows import WindowRule

    if windows is None and (window_side is not None or margin != WindowRule.margin):
        raise UsageError("--margin and --window-side work with --windows only", found="no --windows DATA")
    chosen = [NegativeSource(*split_choice(text)) for text in sources or ()]
    window_source = None if windows is None else WindowSource(windows, WindowRule(margin), window_side)
    result = write_negatives(chosen, window_source, out, track)
    lines = [f"{part.pictures:6d}  {part.source}{_taken_text(part)}" for part in result.sources]
    emit(result, as_json, "\n".join([*lines, f"{result.pictures} pictures in {out}, content {result.data_sha256}"]))


def _taken_text(part: NegativesOfSource) -> str:
    if part.frames is None:
        return f", windows of {part.seen} training pictures"
    return "" if part.frames == ":" else f", frames {part.frames}"


def _check_clip_folder(out: Path, clip: Path | None, clip_masks: Path | None) -> None:
    if clip_masks is not None and clip is None:
        raise UsageError("--clip-masks works with --clip only", found="no --clip", next_command="add --clip FILE.mp4")
    if clip_masks is not None and clip_masks.absolute() == out.absolute():
        raise UsageError("--clip-masks and --out name the same folder", next_command="choose another --clip-masks")


def _content(root: Path, counts: dict[str, int]) -> str:
    """One hash over all pairs, as `edgeseg data inspect` gives it."""
    from edgeseg.dataset import hash_pairs, load_pairs

    return hash_pairs([pair for split, count in counts.items() if count for pair in load_pairs(root, split)])


def _report_text(report: DatasetReport, root: Path) -> str:
    columns = ["split", "images", "masks", "pairs", "width", "height", "foreground", "empty masks"]
    rows = [
        [
            split.name,
            str(split.images),
            str(split.masks),
            str(split.pairs),
            _spread_text(split.width),
            _spread_text(split.height),
            "-" if split.foreground_share is None else f"{split.foreground_share:.1%}",
            str(split.empty_masks),
        ]
        for split in report.splits
    ]
    lines = [table(str(root), columns, rows), f"content  {report.data_sha256}", f"layout   {report.layout}"]
    lines += [f"masks    {report.masks}", *(f"note     {note}" for note in report.notes)]
    lines += ["", "problems"] + [f"  {problem}" for problem in report.problems] if report.problems else ["no problems"]
    return "\n".join(lines)


def _dicom_text(report: DicomReport, root: Path) -> str:
    columns = ["file", "frames", "size", "photometric", "bits", "pixels", "rate"]
    rows = [
        [
            item.file,
            str(item.frames),
            f"{item.width}x{item.height}",
            item.photometric,
            str(item.bits),
            item.syntax,
            "-" if item.rate is None else f"{item.rate:g}",
        ]
        for item in report.objects
    ]
    passed_over = [] if report.passed_over is None else [f"note     passed over {report.passed_over}"]
    problems = (
        ["", "problems", *(f"  {problem}" for problem in report.problems)] if report.problems else ["no problems"]
    )
    return "\n".join([table(f"{root}: DICOM without masks", columns, rows), *passed_over, *problems])


def _spread_text(spread: Spread | None) -> str:
    if spread is None:
        return "-"
    if spread.minimum == spread.maximum:
        return str(spread.minimum)
    return f"{spread.minimum} / {spread.median:g} / {spread.maximum}"
