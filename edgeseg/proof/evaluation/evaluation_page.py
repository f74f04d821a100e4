"""The evaluation as files: one page that opens anywhere (no script, no request), JSON, and a CSV for each list."""

from __future__ import annotations

import csv
import datetime
import io
import json
from collections.abc import Sequence
from pathlib import Path

import edgeseg
from edgeseg.artifacts import RESEARCH_NOTICE
from edgeseg.files import check_writable, write_text
from edgeseg.proof.evaluation import evaluation_charts as charts
from edgeseg.proof.evaluation.evaluation_pictures import Section
from edgeseg.proof.evaluation.evaluation_results import EvaluationResults
from edgeseg.proof.evaluation.measurement import Measurement
from edgeseg.proof.verdict import verdict_charts as frame
from edgeseg.proof.verdict.templates import render
from edgeseg.proof.verdict.verdict_pictures import as_base64
from edgeseg.threshold import ThresholdChoice
from edgeseg.values import Part

HTML_NAME = "evaluation.html"
JSON_NAME = "evaluation.json"
THRESHOLD_HTML_NAME = "threshold.html"
THRESHOLD_JSON_NAME = "threshold.json"


def check_report_folder(folder: Path) -> None:
    """Refuse a place for the report that could not be written, before hours of inference.

    Raises:
        UnwritableError: Not a folder, or not writable.
    """
    check_writable(folder / JSON_NAME)


def write_report(folder: Path, results: EvaluationResults) -> None:
    """Write page, JSON and CSV files, each whole or not at all; files of these names are replaced."""
    measured = results.measurement
    lists: dict[str, Sequence[Part]] = {
        "images": measured.evaluation.per_image if measured.evaluation else (),
        "negatives": measured.negatives.per_frame if measured.negatives else (),
        "positives": measured.positives.per_frame if measured.positives else (),
    }
    for name, rows in lists.items():
        if rows:
            write_text(folder / f"{name}.csv", csv_text(rows))
    write_text(folder / HTML_NAME, render_page(results))
    write_text(folder / JSON_NAME, json.dumps(results.document(), indent=2) + "\n")


def write_threshold_report(folder: Path, model: str, choice: ThresholdChoice) -> None:
    """Write the choice, as a file for `--threshold` and as a page."""
    page = render(
        "evaluation/threshold.html.j2",
        model=model,
        choice=choice,
        chart=charts.threshold_chart(choice),
        **_footer(),
    )
    write_text(folder / THRESHOLD_HTML_NAME, page)
    choice.write(folder / THRESHOLD_JSON_NAME)


def render_page(results: EvaluationResults) -> str:
    """The page as HTML text; every name from outside is escaped."""
    measured = results.measurement
    return render(
        "evaluation/evaluation.html.j2",
        results=results,
        info=measured.info,
        evaluation=measured.evaluation,
        negatives=measured.negatives,
        positives=measured.positives,
        sections=[_encoded(section) for section in results.sections],
        **_charts(measured),
        **_footer(),
    )


def csv_text(rows: Sequence[Part]) -> str:
    """Rows of one kind as CSV with a header; at least one. A field that is empty in all of them has no column."""
    columns = [name for name in type(rows[0]).model_fields if any(getattr(row, name) != () for row in rows)]
    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(row.model_dump() for row in rows)
    return stream.getvalue()


def _charts(measured: Measurement) -> dict[str, object]:
    scores = measured.evaluation.per_image if measured.evaluation else ()
    clips = {"negatives": measured.negatives, "positives": measured.positives}
    return {
        "sorted_dice": charts.sorted_dice_chart(scores, measured.evaluation.mean_dice) if measured.evaluation else None,
        "histogram": charts.dice_histogram(scores) if scores else None,
        "sizes": charts.size_chart(scores) if scores else None,
        "clips": {
            name: charts.mask_share_chart(clip.per_frame, clip.false_mask_share) for name, clip in clips.items() if clip
        },
    }


def _encoded(section: Section) -> tuple[Section, list[tuple[str, str, str]]]:
    return section, [(shown.name, shown.note, as_base64(shown.picture)) for shown in section.pictures]


def _footer() -> dict[str, object]:
    return {
        "frame": frame,
        "notice": RESEARCH_NOTICE,
        "edgeseg_version": edgeseg.__version__,
        "created": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    }
