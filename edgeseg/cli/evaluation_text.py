"""Prints an evaluation for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeseg.cli.output import table

if TYPE_CHECKING:
    from edgeseg.proof.evaluation.evaluation_results import EvaluationResults
    from edgeseg.proof.evaluation.false_alarms import FalseAlarms
    from edgeseg.proof.evaluation.polyp_clip import PolypClip
    from edgeseg.proof.evaluation.several import PairedDifference, SeedSpread
    from edgeseg.proof.verdict.detection import SizeGroup
    from edgeseg.proof.verdict.evaluation import Evaluation
    from edgeseg.threshold import ThresholdChoice

SHOWN_IMAGES = 20


def text_of(results: EvaluationResults) -> str:
    """Everything that was measured, the main figure last."""
    measured = results.measurement
    parts = []
    if measured.evaluation is not None:
        parts.append(_labelled(measured.evaluation))
    if measured.negatives is not None:
        parts.append(_negatives(measured.negatives))
    if measured.positives is not None:
        parts.append(_positives(measured.positives))
    if results.seeds is not None:
        parts.append(_seeds(results.seeds))
    if results.differences:
        parts.append(_differences(results.differences))
    return "\n".join(parts)


def _classes(evaluation: Evaluation) -> str:
    rows = [
        [score.name, str(score.image_count), _figure(score.mean_dice), _figure(score.mean_iou)]
        for score in evaluation.by_class
    ]
    return table("Classes, over the images that show or mark them", ["class", "images", "Dice", "IoU"], rows)


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def threshold_text(choice: ThresholdChoice) -> str:
    """The points and the choice."""
    rows = [
        [
            f"{point.threshold:g}" + (" *" if point == choice.chosen else ""),
            f"{point.mean_dice:.4f}",
            _percent(point.false_alarm_share),
        ]
        for point in choice.points
    ]
    lines = [table("Thresholds", ["threshold", "mean Dice", "false alarms"], rows)]
    limit = choice.max_false_alarms
    demand = "" if limit is None else f" with false alarms on at most {_percent(limit)} of the frames"
    if choice.meets_limit:
        loss = choice.max_dice_loss
        rule = f"the lowest within {loss:g} of the highest Dice" if loss else "the highest Dice"
        lines.append(f"threshold {choice.threshold:g}: {rule}{demand}")
    else:
        lines.append(f"no threshold keeps the limit{demand}; {choice.threshold:g} has the fewest")
    return "\n".join([*lines, f"next: edgeseg export RUN --threshold {choice.threshold:g} --out model.onnx"])


def _labelled(evaluation: Evaluation) -> str:
    worst = sorted(evaluation.per_image, key=lambda score: score.dice)[:SHOWN_IMAGES]
    title = (
        "Images"
        if len(worst) == evaluation.image_count
        else f"The {len(worst)} worst of {evaluation.image_count} images"
    )
    columns = ["image", "Dice", "IoU", "sensitivity", "precision", "HD95 px", "surface Dice", "polyp %"]
    rows = [
        [
            score.name,
            *(f"{value:.4f}" for value in (score.dice, score.iou, score.sensitivity, score.precision)),
            f"{score.hd95_px:.1f}",
            f"{score.surface_dice:.4f}",
            f"{100 * score.polyp_share:.1f}",
        ]
        for score in worst
    ]
    found, interval = evaluation.detection, evaluation.dice_interval
    return "\n".join(
        [
            table(title, columns, rows),
            *([_classes(evaluation)] if evaluation.by_class else []),
            _sizes(evaluation.by_size),
            f"sensitivity {evaluation.mean_sensitivity:.4f}, precision {evaluation.mean_precision:.4f}, "
            f"HD95 mean {evaluation.mean_hd95_px:.1f}, median {evaluation.median_hd95_px:.1f} px, "
            f"surface Dice {evaluation.mean_surface_dice:.4f} within {evaluation.tolerance_px:g} px",
            f"found {found.found} of {found.images_with_polyp} polyps at IoU 0.5, touched {found.touched}",
            f"mean Dice {evaluation.mean_dice:.4f}, mean IoU {evaluation.mean_iou:.4f}, "
            f"{evaluation.image_count} images; "
            f"{100 * interval.level:.0f} % interval of Dice {interval.low:.4f} to {interval.high:.4f}",
        ]
    )


def _sizes(groups: tuple[SizeGroup, ...]) -> str:
    rows = [
        [
            group.name,
            f"{100 * group.above:g} to {100 * group.below:g} %",
            str(group.image_count),
            "–" if group.mean_dice is None else f"{group.mean_dice:.4f}",
            _percent(group.found_share),
        ]
        for group in groups
    ]
    return table("By polyp size", ["polyp", "of the picture", "images", "mean Dice", "found"], rows)


def _negatives(alarms: FalseAlarms) -> str:
    longest = alarms.longest_alarm_frames
    run = "" if longest is None else f", at most {longest} in a row"
    return (
        f"no polyp{_chosen(alarms.frames)}: false masks of at least {_percent(alarms.false_mask_share)} "
        f"on {_percent(alarms.alarm_share)} of "
        f"{alarms.frame_count} frames ({alarms.alarm_count}{run}), any mask on {_percent(alarms.any_mask_share)}; "
        f"{100 * alarms.mean_false_area:.2f} % of the picture and {alarms.blobs_per_frame:.2f} regions a frame"
    )


def _positives(clip: PolypClip) -> str:
    text = (
        f"polyp clip{_chosen(clip.frames)}: masks of at least {_percent(clip.false_mask_share)} "
        f"on {_percent(clip.counting_share)} of "
        f"{clip.frame_count} frames, any mask on {_percent(clip.any_mask_share)}; a mask that lies elsewhere counts too"
    )
    if clip.longest_marked_frames is not None:
        text += f"\n  longest run with such a mask {clip.longest_marked_frames}, without {clip.longest_unmarked_frames}"
    labelled = clip.labelled
    if labelled is not None:
        text += (
            f"\n  of the {labelled.polyp_frames} frames said to show the polyp {_percent(labelled.found_share)} found, "
            f"{_percent(labelled.marked_share)} with any mask, at most {labelled.longest_missed_frames} missed in a row"
            f"\n  of the {labelled.other_frames} other frames {_percent(labelled.other_alarm_share)} with such a mask"
        )
    return text


def _seeds(seeds: SeedSpread) -> str:
    rows = [
        [name.replace("_", " "), f"{spread.mean:.4f}", f"{spread.sd:.4f}", *(f"{value:.4f}" for value in spread.values)]
        for name, spread in seeds.spreads.items()
    ]
    return table(f"{len(seeds.models)} trainings", ["figure", "mean", "sd", *seeds.models], rows)


def _differences(differences: tuple[PairedDifference, ...]) -> str:
    rows = []
    for other in differences:
        difference, interval = "–", "–"
        if other.dice_difference is not None and other.interval is not None:
            difference = f"{other.dice_difference:+.4f}"
            interval = f"{other.interval.low:+.4f} to {other.interval.high:+.4f}"
        counted = "–" if other.images_better is None else f"{other.images_better}, {other.images_worse}"
        dice = "–" if other.mean_dice is None else f"{other.mean_dice:.4f}"
        rows.append([other.model, dice, difference, interval, counted, _percent(other.alarm_share)])
    columns = ["other model", "mean Dice", "minus this", "95 % interval", "better, worse", "false alarms"]
    return table("On the same material", columns, rows)


def _chosen(frames: str) -> str:
    return "" if frames == ":" else f", frames {frames}"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"
