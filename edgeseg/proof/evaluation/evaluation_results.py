"""One evaluation as it was asked for: which networks on what, and all that came of it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeseg.errors import UsageError
from edgeseg.progress import Track, silent
from edgeseg.proof.evaluation.evaluation_pictures import Section, draw_alarms, draw_ranked
from edgeseg.proof.evaluation.measurement import Material, Measurement, measure
from edgeseg.proof.evaluation.several import PairedDifference, SeedSpread, paired_difference, seed_spread
from edgeseg.proof.evaluation.shifted_engine import ShiftedEngine
from edgeseg.runtime.engine.engine import Engine
from edgeseg.shell import quoted
from edgeseg.threshold import read_threshold

OpenModel = Callable[[Path], Engine]


@dataclass(frozen=True)
class EvaluationRequest:
    """Which networks to measure, and what is wanted of it."""

    model: Path
    material: Material
    threshold: str | None = None
    """A number or the file of a choice, for every model; None leaves each as it is."""
    seeds: tuple[Path, ...] = ()
    """Other trainings of the same network."""
    others: tuple[Path, ...] = ()
    """Networks to set against the model, each by itself."""
    pictures: int = 0
    """How many of the best, of the worst and of the false alarms to draw."""

    def __post_init__(self) -> None:
        if not (self.material.pairs or self.material.negatives or self.material.positives):
            raise UsageError(
                "nothing to evaluate on",
                expected="DATA with masks, --negatives or --positives",
                next_command=f"edgeseg evaluate {quoted(self.model)} DATA",
            )


@dataclass(frozen=True)
class EvaluationResults:
    """The results of an evaluation."""

    model: str
    measurement: Measurement
    sections: tuple[Section, ...]
    """Pictures, where they were asked for."""
    seeds: SeedSpread | None
    differences: tuple[PairedDifference, ...]

    def document(self) -> dict[str, Any]:
        """Give the evaluation as plain JSON types: its own keys on top, the rest where it was asked for."""
        measured = self.measurement
        document: dict[str, Any] = {} if measured.evaluation is None else measured.evaluation.to_dict()
        for name, part in (("negatives", measured.negatives), ("positives", measured.positives), ("seeds", self.seeds)):
            if part is not None:
                document[name] = part.model_dump(mode="json")
        if self.differences:
            document["comparisons"] = [difference.model_dump(mode="json") for difference in self.differences]
        return document


def evaluate_models(request: EvaluationRequest, open_model: OpenModel, track: Track = silent) -> EvaluationResults:
    """Measure the model, and the others beside it, one after the other on the same material.

    Args:
        request: What to do.
        open_model: Loads whatever a MODEL argument names.
        track: Shows progress.

    Raises:
        MismatchError: `seeds` that are other networks, or a threshold that was chosen for another model.
        UsageError: The same training twice, or a threshold for a network of several classes.
        NotFiniteError: A network gave NaN or infinity.
        BadInputError: Something that cannot be read.
    """
    material = request.material
    with _opened(request.model, request.threshold, open_model) as engine:
        first = measure(engine, material, request.pictures, track)
        sections = _drawn(engine, first, request)
    seeds = [first, *(_measured(path, request, open_model, track) for path in request.seeds)]
    names = [str(path) for path in (request.model, *request.seeds)]
    return EvaluationResults(
        model=str(request.model),
        measurement=first,
        sections=sections,
        seeds=seed_spread(names, seeds) if request.seeds else None,
        differences=tuple(
            paired_difference(str(path), first, _measured(path, request, open_model, track)) for path in request.others
        ),
    )


@contextlib.contextmanager
def _opened(path: Path, threshold: str | None, open_model: OpenModel) -> Iterator[Engine]:
    with contextlib.closing(open_model(path)) as engine:
        yield engine if threshold is None else ShiftedEngine(engine, read_threshold(threshold, engine.info.sha256))


def _measured(path: Path, request: EvaluationRequest, open_model: OpenModel, track: Track) -> Measurement:
    with _opened(path, request.threshold, open_model) as engine:
        return measure(engine, request.material, track=track)


def _drawn(engine: Engine, measurement: Measurement, request: EvaluationRequest) -> tuple[Section, ...]:
    if not request.pictures:
        return ()
    pairs, evaluation = request.material.pairs, measurement.evaluation
    scored = () if evaluation is None or pairs is None else evaluation.per_image
    images = draw_ranked(engine, scored, pairs or (), request.pictures) if scored else ()
    return (*images, *draw_alarms(measurement.worst_alarms))
