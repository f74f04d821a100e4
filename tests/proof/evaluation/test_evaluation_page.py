import csv
import dataclasses
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from edgeseg.proof.evaluation.evaluation_charts import mask_share_chart, size_chart, sorted_dice_chart, threshold_chart
from edgeseg.proof.evaluation.evaluation_page import write_report, write_threshold_report
from edgeseg.proof.evaluation.evaluation_results import EvaluationRequest, EvaluationResults, evaluate_models
from edgeseg.proof.evaluation.frame_masks import FrameMask, UnlabelledSource
from edgeseg.proof.evaluation.measurement import Material
from edgeseg.proof.evaluation.threshold_choice import choose_threshold
from edgeseg.proof.verdict.verdict_charts import BOTTOM, LEFT, RIGHT, TOP
from edgeseg.runtime.opener.engine_from_file import open_engine

VOID = {"meta", "img", "br", "hr", "link", "input"}
HOSTILE = '<img src=x onerror="alert(1)">'


class Page(HTMLParser):
    """Words and attributes of a page whose tags nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words = ""
        self.feed(text)
        assert not self.open, f"never closed: {self.open}"
        self.words = " ".join(self.words.split())

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data) -> None:
        if "style" not in self.open:
            self.words += data


@pytest.fixture
def results(tiny_onnx: Path, pairs_of, folder_of) -> EvaluationResults:
    source = UnlabelledSource(folder_of([0, 400, 20]))
    material = Material(pairs_of([8, 8, 3, 0], [8, 12, 20, 5]), source, source, [(1, 1)])
    request = EvaluationRequest(tiny_onnx, material, others=(tiny_onnx,), pictures=2)
    return evaluate_models(request, open_engine)


def test_the_report_is_whole(results: EvaluationResults, tmp_path: Path) -> None:
    write_report(tmp_path / "report", results)
    names = sorted(path.name for path in (tmp_path / "report").iterdir())
    assert names == ["evaluation.html", "evaluation.json", "images.csv", "negatives.csv", "positives.csv"]
    document = json.loads((tmp_path / "report" / "evaluation.json").read_text())
    assert document == results.document()
    rows = list(csv.DictReader((tmp_path / "report" / "negatives.csv").open()))
    assert [(row["name"], row["counts"]) for row in rows] == [("p00", "False"), ("p01", "True"), ("p02", "True")]
    rows = list(csv.DictReader((tmp_path / "report" / "images.csv").open()))
    assert [float(row["dice"]) for row in rows] == [row["dice"] for row in document["per_image"]]
    page = Page((tmp_path / "report" / "evaluation.html").read_text())
    for words in (
        f"{document['mean_dice']:.4f}",
        "small, below 5 %",
        "66.7 %",
        "The worst 2 of 4 images",
        "The 2 largest false masks",
        "100.0 % with a mask that counts",
        "Research use only",
        results.measurement.info.sha256,
    ):
        assert words in page.words


def test_the_page_asks_nobody_and_runs_nothing(results: EvaluationResults, tmp_path: Path) -> None:
    write_report(tmp_path / "report", results)
    text = (tmp_path / "report" / "evaluation.html").read_text()
    page = Page(text)
    assert not re.search(r"https?://|//[a-z]|@import|url\(", re.sub(r"base64,[^\"]*", "", text))
    assert not {"script", "link", "iframe"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert len([name for name, _ in page.attributes if name == "src"]) == 6


def test_names_from_outside_are_escaped(results: EvaluationResults, tmp_path: Path) -> None:
    evaluation = results.measurement.evaluation
    rows = (evaluation.per_image[0].model_copy(update={"name": HOSTILE}), *evaluation.per_image[1:])
    measured = dataclasses.replace(results.measurement, evaluation=evaluation.model_copy(update={"per_image": rows}))
    write_report(tmp_path, dataclasses.replace(results, model=HOSTILE, measurement=measured))
    page = Page((tmp_path / "evaluation.html").read_text())
    assert not [name for name, _ in page.attributes if name == "onerror"]


def test_a_report_of_negatives_alone(tiny_onnx: Path, folder_of, tmp_path: Path) -> None:
    request = EvaluationRequest(tiny_onnx, Material(negatives=UnlabelledSource(folder_of([0, 0]))), pictures=3)
    results = evaluate_models(request, open_engine)
    write_report(tmp_path / "report", results)
    assert list(results.document()) == ["negatives"]
    assert "Labelled images" not in Page((tmp_path / "report" / "evaluation.html").read_text()).words
    assert results.sections == ()


def test_a_threshold_page(bright_session, pairs_of, folder_of, tmp_path: Path) -> None:
    choice = choose_threshold(bright_session, pairs_of([8], [9]), UnlabelledSource(folder_of([500])), 0.2)
    write_threshold_report(tmp_path, "m", choice)
    words = Page((tmp_path / "threshold.html").read_text()).words
    assert "No threshold keeps the false alarms within 20 %" in words
    assert f"{choice.threshold:g} chosen" in words
    chart = threshold_chart(choice)
    assert len(chart.dice.split()) == len(chart.alarms.split()) == len(choice.points)
    assert chart.limit == pytest.approx(BOTTOM - 0.2 * (BOTTOM - TOP), abs=0.1)


@pytest.mark.parametrize("count", [1, 3, 348, 349, 5000])
def test_a_clip_of_any_length_keeps_its_largest_masks(count: int) -> None:
    rows = [
        FrameMask(index=i, name=f"f{i}", mask_share=0.8 if i == count // 2 else 0.001, blobs=1, counts=i == count // 2)
        for i in range(count)
    ]
    chart = mask_share_chart(rows, 0.01)
    assert len(chart.bars) <= 348
    (marked,) = [bar for bar in chart.bars if bar.marked]
    assert marked.label == f"f{count // 2}: 80.00 %"
    assert all(bar.x >= LEFT and bar.x + bar.width <= RIGHT + 1.1 and TOP <= bar.y <= BOTTOM for bar in chart.bars)


def test_an_image_that_was_not_found_is_marked(results: EvaluationResults) -> None:
    evaluation = results.measurement.evaluation
    bars = sorted_dice_chart(evaluation.per_image, evaluation.mean_dice).bars
    assert [bar.marked for bar in bars] == [True, True, False, False]  # IoU 0, 3/20, 8/12, 1
    scatter, bounds = size_chart(evaluation.per_image)
    assert [dot.is_worse for dot in scatter.dots] == [False, False, True, True]
    assert LEFT < bounds[0] < bounds[1] < RIGHT
