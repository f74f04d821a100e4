"""Writes what a study came to: tables, plot, verdict, and a page with sample masks."""

from __future__ import annotations

import base64
import contextlib
import importlib.resources
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jinja2
import numpy as np
import pydantic

from edgeseg.errors import BadInputError
from edgeseg.files import write_bytes, write_text
from edgeseg.metrics import overlap_per_image
from edgeseg.packages import RUN_CHECKPOINT
from edgeseg.proof.evaluation.evaluation_pictures import Shown, draw_shown
from edgeseg.proof.verdict.verdict_pictures import as_base64
from edgeseg.runtime.engine.local_engine import engine_of
from edgeseg.train.predictor import open_run
from edgeseg.train.studies import plots
from edgeseg.train.studies.effects import verdict_of
from edgeseg.train.studies.points import words_of
from edgeseg.train.studies.running import TRIALS, StudyRun
from edgeseg.train.studies.study_results import (
    CellResult,
    as_csv,
    as_markdown,
    cell_results,
    columns_and_rows,
    trials_as_csv,
    trials_of,
)
from edgeseg.values import Value

PAGE, PLOT, TABLE, MARKDOWN, TRIAL_TABLE, RESULT = (
    "study.html",
    "study.png",
    "table.csv",
    "table.md",
    "trials.csv",
    "result.json",
)
SAMPLES = 4


class StudyResult(Value):
    """The result of a study."""

    title: str
    full: bool
    """True for the full form."""
    trials: int
    data_sha256: str
    """Hash of the train and validation pairs."""
    verdict: tuple[str, ...] = pydantic.Field(min_length=1)
    best: tuple[str, ...]
    """The best choice of each axis together."""
    best_dice: float
    """Its validation Dice, the mean over its seeds."""


@dataclass(frozen=True)
class _Samples:
    title: str
    pictures: tuple[Any, ...]


def write_results(run: StudyRun) -> StudyResult:
    """Write everything into the study's folder; files of these names are replaced.

    Args:
        run: A study whose trials are over.
    """
    axes = run.axes
    trials = trials_of(run.ledger.wanted(), run.ledger.outcomes())
    results = cell_results(trials)
    columns, rows = columns_and_rows(axes, results)
    verdict = [*verdict_of(axes, results), *_baseline(run)]
    picture = plots.draw(run.study.title, axes, results, trials)
    inputs = next(iter(run.shared.values())).inputs
    best = max(results, key=lambda result: result.mean)
    result = StudyResult(
        title=run.study.title,
        full=run.full,
        trials=len(trials),
        data_sha256=inputs.sha256(),
        verdict=tuple(verdict),
        best=best.cell,
        best_dice=best.mean,
    )
    page = _rendered(
        study=run.study,
        form="full form" if run.full else "reduced form",
        trials=len(trials),
        data_sha256=result.data_sha256,
        verdict=verdict,
        columns=columns,
        rows=rows,
        plot=base64.b64encode(picture).decode("ascii"),
        samples=_samples(run, results),
    )
    write_bytes(run.out / PLOT, picture)
    write_text(run.out / TABLE, as_csv(columns, rows))
    write_text(run.out / MARKDOWN, as_markdown(columns, rows))
    write_text(run.out / TRIAL_TABLE, trials_as_csv(axes, trials))
    write_text(run.out / PAGE, page)
    result.write(run.out / RESULT)
    return result


def _baseline(run: StudyRun) -> list[str]:
    """The Dice of marking every pixel of every picture, in a sentence; for one class."""
    if 1 not in run.shared:
        return []
    masks = [pair.read_labelled() for pair in run.shared[1].inputs.validation]
    dice = [overlap_per_image(one.judged(np.full_like(one.mask, 255)), one.mask)[0] for one in masks]
    return [f"For comparison: marking every pixel reaches {float(np.mean(dice)):.4f}."]


def _samples(run: StudyRun, results: Sequence[CellResult]) -> list[_Samples]:
    """The masks of the best and the worst cell on the same validation images."""
    ordered = sorted(results, key=lambda result: -result.mean)
    chosen = [("The best", ordered[0]), *([("The worst", ordered[-1])] if len(ordered) > 1 else [])]
    sections = []
    for words, result in chosen:
        folder = run.run_of(result.best.point.key)
        title = f"{words}: {words_of(run.axes, result.cell)}"
        if not (folder / RUN_CHECKPOINT).is_file():  # trained on another machine, or it diverged at once
            sections.append(_Samples(f"{title} (no network here in {TRIALS}/{folder.name})", ()))
            continue
        with contextlib.suppress(BadInputError):
            engine = engine_of(open_run(folder, (run.recipe_of(result.best.point.settings).model.architecture,)))
            pairs = run.shared[engine.info.model.channels].inputs.validation
            step = max(len(pairs) // SAMPLES, 1)
            shown = [draw_shown(engine, pair) for pair in pairs[::step][:SAMPLES]]
            sections.append(_Samples(title, tuple(map(_encoded, shown))))
    return sections


def _encoded(shown: Shown) -> dict[str, str]:
    return {"name": shown.name, "note": shown.note, "picture": as_base64(shown.picture)}


def _rendered(**values: object) -> str:
    source = importlib.resources.files("edgeseg.train.studies").joinpath("study.html.j2").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(source).render(**values)
