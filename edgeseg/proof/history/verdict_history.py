"""Reads verdicts of several versions and puts them in the order of their time."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pydantic

from edgeseg.artifacts import ClipVerdict, ConfidenceInterval, Precision, ProtocolRecord, Verdict
from edgeseg.errors import BadInputError
from edgeseg.files import read_text
from edgeseg.proof.ci.verdict_figures import clips_of
from edgeseg.proof.verdict.bootstrap import bootstrap_interval
from edgeseg.proof.verdict.verdict_page import JSON_NAME
from edgeseg.shell import quoted
from edgeseg.strict_text import parse_json
from edgeseg.values import Part, Value, describe_validation


class VersionRow(Part):
    """One verdict; figures that it does not have are None."""

    model_config = pydantic.ConfigDict(allow_inf_nan=False)

    name: str
    """The path of the verdict's file, without ``verdict.json``."""
    created: str
    passed: bool | Literal["undecided"]
    engine_sha256: str
    architecture: str
    precision: Precision
    backend: str
    data_sha256: str | None = None
    images: int | None = None
    mean_dice: float | None = None
    dice_interval: ConfidenceInterval | None = None
    """The bootstrap's interval of the mean over the images."""
    reference_mean_dice: float | None = None
    mean_dice_drop: float | None = None
    drop_interval: ConfidenceInterval | None = None
    max_dice_drop: float | None = None
    lost_polyps: int | None = None
    found_by_reference: int | None = None
    """The polyps that could have been lost."""
    p50_ms: float | None = None
    p99_ms: float | None = None
    max_p99_ms: float | None = None
    machine: str | None = None
    clips_sha256: str | None = None
    lesions: int | None = None
    lesions_found: int | None = None
    lost_lesions: int | None = None
    protocol: ProtocolRecord | None = None


class VerdictHistory(Value):
    """The verdicts, oldest first."""

    versions: tuple[VersionRow, ...]

    def remarks(self) -> tuple[tuple[str, ...], ...]:
        """Say for each version what makes it hard to compare with the one before it."""
        words = [_changes(former, row) for former, row in pairwise(self.versions)]
        return ((), *words)


def read_history(paths: Sequence[Path]) -> VerdictHistory:
    """Read verdicts.

    Args:
        paths: At least one verdict.json, of images, of clips or of both, in any order.

    Raises:
        BadInputError: A folder, a file that cannot be read, or one that is no verdict.
    """
    rows = [_row(path, _read(path)) for path in paths]
    return VerdictHistory(versions=tuple(sorted(rows, key=lambda row: row.created)))


def _read(path: Path) -> Verdict | ClipVerdict:
    if path.is_dir():
        raise BadInputError(
            f"{path} is a folder",
            expected="the verdict in it",
            next_command=f"edgeseg history {quoted(path / JSON_NAME)}",
        )
    text = read_text(path, "a verdict")
    try:
        document = parse_json(text)
    except ValueError as error:
        raise BadInputError(
            f"{path} is no JSON", found=error, expected="the verdict.json of edgeseg verify --report DIR"
        ) from error
    is_of_clips = isinstance(document, dict) and "lesions_found" in document
    return (ClipVerdict if is_of_clips else Verdict).from_json(text, str(path))


def _row(path: Path, verdict: Verdict | ClipVerdict) -> VersionRow:
    figures: dict[str, Any] = {
        "name": str(path.parent if path.name == JSON_NAME and path.parent.name else path),
        "created": verdict.created,
        "passed": verdict.passed,
        "engine_sha256": verdict.engine_sha256,
        "architecture": verdict.model.architecture,
        "precision": verdict.precision,
        "backend": verdict.backend,
        "protocol": verdict.protocol,
    }
    clips = clips_of(verdict)
    if isinstance(verdict, Verdict):
        figures |= _of_images(verdict)
    if clips is not None:
        found = clips.lesions_found
        figures |= {"clips_sha256": clips.clips_sha256, "lesions": found.of, "lesions_found": found.engine}
        figures["lost_lesions"] = len(found.lost)
    try:
        return VersionRow(**figures)
    except pydantic.ValidationError as error:
        raise BadInputError(
            f"{path} has figures that are none", found=describe_validation(error), expected="finite numbers"
        ) from error


def _of_images(verdict: Verdict) -> dict[str, Any]:
    times, lost = verdict.latency.end_to_end, None if verdict.polyps is None else verdict.polyps.lost
    dice = np.array([row.dice for row in verdict.rows], np.float64)
    return {
        "data_sha256": verdict.data_sha256,
        "images": verdict.image_count,
        "mean_dice": verdict.mean_dice,
        "dice_interval": bootstrap_interval(dice) if dice.size else None,
        "reference_mean_dice": verdict.reference_mean_dice,
        "mean_dice_drop": verdict.mean_dice_drop,
        "drop_interval": verdict.confidence_interval,
        "max_dice_drop": verdict.limits.max_dice_drop,
        "lost_polyps": None if lost is None else lost.count,
        "found_by_reference": None if lost is None else lost.of,
        "p50_ms": times.p50_ms,
        "p99_ms": times.p99_ms,
        "max_p99_ms": verdict.limits.max_p99_ms,
        "machine": verdict.latency.machine,
    }


def _changes(former: VersionRow, row: VersionRow) -> tuple[str, ...]:
    def other(field: str) -> bool:
        both = getattr(former, field), getattr(row, field)
        return None not in both and both[0] != both[1]

    words = [
        (other("data_sha256"), "other images"),
        (other("clips_sha256"), "other clips"),
        (other("machine"), "another machine"),
        (other("max_dice_drop"), "another limit of the drop"),
        (_protocol(former) is not None and _protocol(row) != _protocol(former), "another protocol"),
    ]
    return tuple(word for is_so, word in words if is_so)


def _protocol(row: VersionRow) -> str | None:
    return None if row.protocol is None else row.protocol.sha256
