"""`evaluation.json` read back: an evaluation's own keys on top, the rest where it was asked for."""

from __future__ import annotations

import json
from typing import Any

import pydantic

from edgeseg.class_overlap import ClassScore
from edgeseg.errors import BadInputError
from edgeseg.proof.evaluation.false_alarms import FalseAlarms
from edgeseg.proof.evaluation.polyp_clip import PolypClip
from edgeseg.proof.evaluation.several import PairedDifference, SeedSpread
from edgeseg.proof.verdict.detection import SizeGroup
from edgeseg.proof.verdict.evaluation import Evaluation
from edgeseg.strict_text import parse_json
from edgeseg.values import Part, describe_validation, part_from_json

_BESIDE = ("negatives", "positives", "seeds", "comparisons")


class EvaluationDocument(Part):
    """The document that `edgeseg evaluate` writes: `--json`, or `evaluation.json` of its report."""

    evaluation: Evaluation | None
    """None where no labelled images were measured; likewise the others."""
    negatives: FalseAlarms | None = None
    positives: PolypClip | None = None
    seeds: SeedSpread | None = None
    comparisons: tuple[PairedDifference, ...] = ()

    @classmethod
    def from_json(cls, text: str, origin: str) -> EvaluationDocument:
        """Read it back.

        Raises:
            BadInputError: Not JSON, or no document of an evaluation.
        """
        try:
            document = parse_json(text)
            own = {key: value for key, value in document.items() if key not in _BESIDE}
            beside = {key: document[key] for key in _BESIDE if key in document}
            if not document:
                raise ValueError("an empty document")
            return part_from_json(cls, json.dumps({"evaluation": own or None, **beside}))
        except pydantic.ValidationError as error:
            found = describe_validation(error)
        except (ValueError, AttributeError) as error:
            found = str(error)
        raise BadInputError(f"{origin} is no evaluation", found=found, expected="evaluation.json of edgeseg evaluate")

    def facts(self) -> dict[str, Any]:
        """Name -> what a person reads, in reading order."""
        return {
            **({} if self.evaluation is None else _labelled(self.evaluation)),
            **({} if self.negatives is None else {"false alarms": _alarms(self.negatives)}),
            **({} if self.positives is None else {"polyp clip": _clip(self.positives)}),
            **({} if self.seeds is None else _seeds(self.seeds)),
            **{f"against {other.model}": _difference(other) for other in self.comparisons},
        }


def _labelled(evaluation: Evaluation) -> dict[str, Any]:
    interval, found = evaluation.dice_interval, evaluation.detection
    between = f"{100 * interval.level:.0f} % interval {interval.low:.4f} to {interval.high:.4f}"
    return {
        "images": evaluation.image_count,
        "mean Dice": f"{evaluation.mean_dice:.4f}, {between}",
        "mean IoU": f"{evaluation.mean_iou:.4f}",
        "sensitivity": f"{evaluation.mean_sensitivity:.4f}",
        "precision": f"{evaluation.mean_precision:.4f}",
        "HD95": f"mean {evaluation.mean_hd95_px:.1f}, median {evaluation.median_hd95_px:.1f} px",
        "surface Dice": f"{evaluation.mean_surface_dice:.4f} within {evaluation.tolerance_px:g} px",
        "polyps found": f"{found.found} of {found.images_with_polyp} at IoU 0.5, {found.touched} touched",
        **{score.name: _class(score) for score in evaluation.by_class},
        **{f"{group.name} polyps": _size(group) for group in evaluation.by_size if group.image_count},
        "lowest Dice": ", ".join(
            f"{score.name} {score.dice:.4f}" for score in sorted(evaluation.per_image, key=lambda row: row.dice)[:3]
        ),
        "data": evaluation.data_sha256,
    }


def _class(score: ClassScore) -> str:
    shown = f"{score.image_count} images"
    if score.mean_dice is None or score.mean_iou is None:
        return shown
    return f"{shown}, Dice {score.mean_dice:.4f}, IoU {score.mean_iou:.4f}"


def _size(group: SizeGroup) -> str:
    dice = "" if group.mean_dice is None else f", mean Dice {group.mean_dice:.4f}"
    found = "" if group.found_share is None else f", {_percent(group.found_share)} found"
    return f"{group.image_count} images{dice}{found}"


def _alarms(alarms: FalseAlarms) -> str:
    return (
        f"on {_percent(alarms.alarm_share)} of {alarms.frame_count} frames without a polyp "
        f"(masks of at least {_percent(alarms.false_mask_share)}), any mask on {_percent(alarms.any_mask_share)}"
    )


def _clip(clip: PolypClip) -> str:
    return (
        f"masks of at least {_percent(clip.false_mask_share)} on {_percent(clip.counting_share)} "
        f"of {clip.frame_count} frames, any mask on {_percent(clip.any_mask_share)}"
    )


def _seeds(seeds: SeedSpread) -> dict[str, Any]:
    spreads = {
        name.replace("_", " "): f"{spread.mean:.4f}, sd {spread.sd:.4f}" for name, spread in seeds.spreads.items()
    }
    return {"trainings": len(seeds.models), **{f"{name} of the trainings": text for name, text in spreads.items()}}


def _difference(other: PairedDifference) -> str:
    parts = []
    if other.mean_dice is not None and other.dice_difference is not None:
        parts.append(f"mean Dice {other.mean_dice:.4f}, {other.dice_difference:+.4f} to this")
    if other.interval is not None:
        parts.append(f"95 % interval {other.interval.low:+.4f} to {other.interval.high:+.4f}")
    if other.alarm_share is not None:
        parts.append(f"false alarms on {_percent(other.alarm_share)}")
    return ", ".join(parts)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
