"""The values that a batch keeps in its output folder: what it is, how each source is cut, what came of each."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

from edgeseg.runtime.batch.archive_source import ArchiveSource
from edgeseg.runtime.video.cut_points import CutVideo, Span
from edgeseg.runtime.video.deinterlace import Deinterlace
from edgeseg.values import Part, Value


class BatchJob(Value):
    """The facts that all results of one output folder have in common; a second start must agree with them."""

    engine_sha256: str
    backend: str
    precision: str
    classes: tuple[str, ...]
    deinterlace: Deinterlace


class SourcePlan(Value):
    """How one source is cut. It never changes while its clips lie beside it."""

    version: str
    """The version of the source's files that was cut."""
    spans: tuple[tuple[int, int, int | None, int | None, int, int], ...] | None = None
    """The fields of each `Span`; None where the source is read from its beginning to its end."""
    time_base: tuple[int, int] = (1, 1)
    """Seconds, as numerator and denominator, with `spans`."""
    step: int = 1
    start: int = 0
    clips: int = 1

    @classmethod
    def of_cut(cls, version: str, cut: CutVideo) -> SourcePlan:
        """Keep where a video is cut."""
        spans = tuple(
            (span.sought, span.first_pts, span.end_pts, span.seam_pts, span.packets, span.frames) for span in cut.spans
        )
        base = (cut.time_base.numerator, cut.time_base.denominator)
        return cls(version=version, spans=spans, time_base=base, step=cut.step, start=cut.start, clips=len(spans))

    def span(self, clip: int) -> Span | None:
        """Give the span of a clip; None where the source is not cut."""
        return None if self.spans is None else Span(*self.spans[clip])

    @property
    def base(self) -> Fraction:
        """The unit of `step`, `start` and the spans' times, in seconds."""
        return Fraction(*self.time_base)


class FileFailure(Part):
    """A file of which there is no result, and why."""

    name: str
    what: str
    found: str | None = None

    def in_one_line(self) -> str:
        """Say why in one line."""
        return "; ".join(" ".join(part.split()) for part in (self.what, self.found) if part)


class SourceRecord(Value):
    """The outcome of one source."""

    name: str
    kind: Literal["video", "pictures"]
    version: str
    """The version of the files that this is about; another one makes it void."""
    key: str
    frames: int = 0
    marked_frames: int = 0
    damaged_frames: int = 0
    lost_frames: int = 0
    lesions: int = 0
    clips: int = 0
    failures: tuple[FileFailure, ...] = ()

    @property
    def has_results(self) -> bool:
        """True if there is a Parquet file of its frames."""
        return self.frames > 0


@dataclass(frozen=True)
class ClipTask:
    """One clip to segment: the unit that is done once and lost whole."""

    source: ArchiveSource
    plan: SourcePlan
    clip: int


@dataclass(frozen=True)
class ClipDone:
    """The outcome of a clip whose results are written."""

    frames: int
    is_exact: bool = True
    """False if the cut gave other frames than the whole file: nothing was written, and the source must not be cut."""


def failure_of(name: str, error: dict[str, Any]) -> FileFailure:
    """Make the failure of a file from an error's `to_dict`."""
    return FileFailure(name=name, what=str(error["what"]), found=error.get("found"))
