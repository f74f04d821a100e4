"""`edgeseg evaluate`."""

from __future__ import annotations

import contextlib
import functools
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeseg.cli.model_argument import TrustOption
from edgeseg.cli.output import JsonFlag, emit, say, track

if TYPE_CHECKING:
    from edgeseg.proof.evaluation.evaluation_results import EvaluationResults
    from edgeseg.proof.evaluation.frame_masks import UnlabelledSource
    from edgeseg.proof.evaluation.measurement import Material
    from edgeseg.threshold import ThresholdChoice

_Negatives = typer.Option(
    metavar="SOURCE[@FRAMES]", help="Video or folder of images without a polyp, to count false alarms."
)
_Positives = typer.Option(
    metavar="SOURCE[@FRAMES]", help="Clip that shows a polyp but has no masks, to count the frames that are marked."
)
_Shown = typer.Option(metavar="FILE.csv", help="The frames of --positives that show the polyp: columns first,last.")
_Frames = typer.Option(
    metavar="A:B[:STEP],...",
    help="Frames to take when there is one source, as Python slices: 550:, -300:, 28:53,60:93.",
)
_Share = typer.Option(help="Smallest mask that counts on frames without ground truth, as a share of the picture.")
_Tolerance = typer.Option(min=0, help="Tolerance of the surface Dice, in pixels of the image.")
_Threshold = typer.Option(
    metavar="T|FILE", help="Measure as if the model were exported with this threshold: a number or threshold.json."
)
_Choose = typer.Option("--choose-threshold", help="Try thresholds on the validation split and choose one.")
_Limit = typer.Option(metavar="SHARE", min=0, max=1, help="With --choose-threshold: allowed share of false alarms.")
_DiceLoss = typer.Option(
    metavar="DICE",
    min=0,
    max=1,
    help="With --choose-threshold: mean Dice that a lower threshold, which finds more, may cost.",
)
_Seeds = typer.Option(
    metavar="MODEL", help="Another training of the same network, for mean and sd over all. Repeatable."
)
_Compare = typer.Option(
    metavar="MODEL", help="Another network, for the paired difference on the same images. Repeatable."
)
_Sheet = typer.Option(
    metavar="FILE.png", help="Contact sheet to draw: the worst and best images and the largest false masks."
)
_Pictures = typer.Option(min=1, help="How many of each kind --sheet and --report show.")
_Report = typer.Option(metavar="DIR", help="Folder for the page, JSON and CSV files.")


def evaluate(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="RUN folder, .onnx file, model package or .engine file.")
    ],
    data: Annotated[Path | None, typer.Argument(metavar="DATA", help="Data set with masks.")] = None,
    split: Annotated[
        str | None, typer.Option(help="Split to use, test by default; a data set without splits is taken whole.")
    ] = None,
    negatives: Annotated[str | None, _Negatives] = None,
    positives: Annotated[str | None, _Positives] = None,
    polyp_frames: Annotated[Path | None, _Shown] = None,
    frames: Annotated[str | None, _Frames] = None,
    false_mask_share: Annotated[float, _Share] = 0.01,
    tolerance_px: Annotated[float, _Tolerance] = 2.0,
    threshold: Annotated[str | None, _Threshold] = None,
    choose_threshold: Annotated[bool, _Choose] = False,
    max_false_alarms: Annotated[float | None, _Limit] = None,
    max_dice_loss: Annotated[float, _DiceLoss] = 0.0,
    seeds: Annotated[list[Path] | None, _Seeds] = None,
    compare: Annotated[list[Path] | None, _Compare] = None,
    sheet: Annotated[Path | None, _Sheet] = None,
    pictures: Annotated[int, _Pictures] = 6,
    report: Annotated[Path | None, _Report] = None,
    trust: TrustOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Measure a model: on labelled images, on frames without a polyp, on a clip that shows one.

    Dice and IoU are per image, then averaged. Without DATA one of --negatives and --positives is needed.
    """
    from edgeseg.cli.evaluation_text import text_of
    from edgeseg.proof.evaluation.evaluation_results import EvaluationRequest, evaluate_models
    from edgeseg.runtime.opener.engine_from_file import open_engine

    _refuse_odd_words(choose_threshold, locals())
    _check_outputs(sheet, report)
    chosen_split = split or ("validation" if choose_threshold else "test")
    sources = {"negatives": negatives, "positives": positives}
    unlabelled = {name: _unlabelled(text, frames, false_mask_share) for name, text in sources.items()}
    material = _material(data, chosen_split, unlabelled, polyp_frames, tolerance_px)
    open_named = functools.partial(open_engine, trusted=trust or ())
    if choose_threshold:
        from edgeseg.proof.evaluation.threshold_choice import choose_threshold as try_thresholds

        with contextlib.closing(open_named(model)) as opened:
            choice = try_thresholds(
                opened, material.pairs or (), material.negatives, max_false_alarms, max_dice_loss, track=track
            )
        _tell_choice(choice, model, report, as_json)
        return
    drawn = pictures if sheet is not None or report is not None else 0
    request = EvaluationRequest(model, material, threshold, tuple(seeds or ()), tuple(compare or ()), drawn)
    results = evaluate_models(request, open_named, track)
    _write(results, sheet, report)
    emit(results.document(), as_json, text_of(results))


def _refuse_odd_words(choose_threshold: bool, words: dict[str, Any]) -> None:
    """Options that mean nothing together; ``words`` are the command's arguments by name."""
    from edgeseg.errors import UsageError

    if choose_threshold and words["data"] is None:
        raise UsageError("a threshold is chosen on labelled images", expected="DATA with a validation split")
    of_choice = ("max_false_alarms", "max_dice_loss")
    of_measurement = ("positives", "threshold", "seeds", "compare", "sheet")
    for name in of_measurement if choose_threshold else of_choice:
        if words[name]:
            relation = "works only without" if choose_threshold else "needs"
            raise UsageError(f"--{name.replace('_', '-')} {relation} --choose-threshold")
    if words["polyp_frames"] is not None and words["positives"] is None:
        raise UsageError("--polyp-frames says which frames of --positives show the polyp", found="no --positives")
    if words["frames"] is not None and (words["negatives"] is None) == (words["positives"] is None):
        raise UsageError(
            "--frames chooses from one source",
            found="none" if words["negatives"] is None else "--negatives and --positives",
            expected="either --negatives or --positives, or the frames behind each source: --negatives clip.mp4@550:",
        )


def _check_outputs(sheet: Path | None, report: Path | None) -> None:
    from edgeseg.cli.sheet_argument import check_sheet
    from edgeseg.proof.evaluation.evaluation_page import check_report_folder

    check_sheet(sheet)
    if report is not None:
        check_report_folder(report)


def _unlabelled(text: str | None, frames: str | None, false_mask_share: float) -> UnlabelledSource | None:
    """Read --negatives or --positives, with the frames from behind the @ or from --frames."""
    from edgeseg.errors import UsageError
    from edgeseg.proof.evaluation.frame_masks import UnlabelledSource
    from edgeseg.runtime.file.frame_choice import ALL_FRAMES, FrameChoice, split_choice

    if text is None:
        return None
    path, choice = split_choice(text)
    if frames is not None and choice != ALL_FRAMES:
        raise UsageError("frames are chosen twice", found=f"{text} and --frames {frames}", expected="one of them")
    return UnlabelledSource(path, choice if frames is None else FrameChoice.parse(frames), false_mask_share)


def _material(
    data: Path | None,
    split: str,
    unlabelled: dict[str, UnlabelledSource | None],
    polyp_frames: Path | None,
    tolerance_px: float,
) -> Material:
    from edgeseg.dataset import load_pairs
    from edgeseg.proof.evaluation.measurement import Material
    from edgeseg.proof.evaluation.polyp_clip import read_ranges

    return Material(
        pairs=None if data is None else load_pairs(data, split, classes=None),
        negatives=unlabelled["negatives"],
        positives=unlabelled["positives"],
        shown=None if polyp_frames is None else read_ranges(polyp_frames),
        tolerance_px=tolerance_px,
    )


def _tell_choice(choice: ThresholdChoice, model: Path, report: Path | None, as_json: bool) -> None:
    from edgeseg.cli.evaluation_text import threshold_text
    from edgeseg.errors import ToleranceError
    from edgeseg.proof.evaluation.evaluation_page import THRESHOLD_JSON_NAME, write_threshold_report

    if report is not None:
        write_threshold_report(report, str(model), choice)
        say(f"wrote {report / THRESHOLD_JSON_NAME} and threshold.html")
    emit(choice, as_json, threshold_text(choice))
    if not choice.meets_limit:
        raise typer.Exit(ToleranceError.exit_code)


def _write(results: EvaluationResults, sheet: Path | None, report: Path | None) -> None:
    from edgeseg.proof.evaluation.evaluation_page import HTML_NAME, write_report
    from edgeseg.proof.evaluation.sheet import write_sheet

    if sheet is not None and results.sections:
        write_sheet(sheet, results.sections)
        say(f"wrote {sheet}")
    elif sheet is not None:
        say(f"nothing was marked, so there is nothing to show: {sheet} is not written")
    if report is not None:
        write_report(report, results)
        say(f"wrote {report / HTML_NAME}, evaluation.json and CSV files")
