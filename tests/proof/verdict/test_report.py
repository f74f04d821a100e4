import base64
import re
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest

from edgeseg.artifacts import Verdict
from edgeseg.errors import BadInputError
from edgeseg.images import write_png
from edgeseg.proof.verdict.verdict_charts import Scale, drop_chart, latency_chart, scatter_chart, turns_chart
from edgeseg.proof.verdict.verdict_page import check_report_folder, write_report
from edgeseg.proof.verdict.verdict_pictures import PICTURE_WIDTH_PX, worst_rows

VOID = {"meta", "img", "br", "hr", "link", "input"}
HOSTILE = '<img src=x onerror="alert(1)">'


class Page(HTMLParser):
    """Collects what the page holds and checks that its tags nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words = ""
        self.headings: list[str] = []
        self.feed(text)
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)
        if tag == "h3":
            self.headings.append("")

    def handle_startendtag(self, tag, attrs) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data) -> None:
        if "style" not in self.open:
            self.words += data
        if self.open and self.open[-1] == "h3":
            self.headings[-1] += data


@pytest.fixture
def report(tmp_path, make_pairs, threshold_session, verdict_of):
    """A verdict over 14 images of which image i has i dim rows that the engine misses, and its page."""
    pairs = make_pairs(14, dim_rows=list(range(14)))
    engine, reference = threshold_session(150, "int8"), threshold_session(75)
    verdict = verdict_of(pairs, engine, reference, max_p99_ms=60_000)
    write_report(tmp_path / "report", verdict, engine, reference, pairs)
    text = (tmp_path / "report" / "verdict.html").read_text()
    return verdict, text, tmp_path / "report"


def test_the_page_nests_and_says_what_matters(report) -> None:
    verdict, text, _ = report
    words = " ".join(Page(text).words.split())
    for expected in (
        "✗ failed",
        *verdict.reasons,
        verdict.engine_sha256,
        verdict.data_sha256,
        verdict.latency.machine,
        "say nothing about how fast",
        "Research use only; not a medical device",
        "INT8 convolutions",
    ):
        assert expected in words


def test_the_page_asks_nobody_and_runs_nothing(report) -> None:
    page = Page(report[1])
    assert not re.search(r"https?://|//[a-z]|@import|url\(", re.sub(r"base64,[^\"]*", "", report[1]))
    assert "script" not in page.tags and "link" not in page.tags and "iframe" not in page.tags
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert all(value.startswith("data:image/jpeg;base64,") for name, value in page.attributes if name == "src")


def test_the_ten_worst_are_the_right_ten_in_order(report) -> None:
    headings = [heading for heading in Page(report[1]).headings if heading[0].isdigit()]
    assert [heading.split()[1] for heading in headings] == [f"image_{index:02d}" for index in range(13, 3, -1)]


def test_pictures_are_jpegs_with_the_contours(report) -> None:
    pictures = [value for name, value in Page(report[1]).attributes if name == "src"]
    assert len(pictures) == 40
    frame, truth, *_ = [
        cv2.imdecode(np.frombuffer(base64.b64decode(picture.partition(",")[2]), np.uint8), cv2.IMREAD_COLOR)
        for picture in pictures[:4]
    ]
    changed = np.abs(frame.astype(int) - truth).max(axis=2).max(axis=1) > 60
    assert changed[28:38].any()  # the lower edge of 20 bright and 13 dim rows
    assert not changed[42:].any()


def test_large_frames_are_shrunk(tmp_path, make_pairs, threshold_session, verdict_of) -> None:
    pairs = make_pairs(1)
    for path, value in ((pairs[0].image, (600, 900, 3)), (pairs[0].mask, (600, 900))):
        write_png(path, np.full(value, 200, np.uint8))
    engine = threshold_session(150)
    write_report(tmp_path, verdict_of(pairs, engine), engine, engine, pairs)
    source = next(value for name, value in Page((tmp_path / "verdict.html").read_text()).attributes if name == "src")
    picture = cv2.imdecode(np.frombuffer(base64.b64decode(source.partition(",")[2]), np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (213, PICTURE_WIDTH_PX, 3)


def test_hostile_names_are_escaped(tmp_path, make_pairs, threshold_session, verdict_of) -> None:
    pairs = make_pairs(7)
    hostile = pairs[0]
    for path in (hostile.image, hostile.mask):
        path.rename(path.with_name(f"{HOSTILE}.png"))
    renamed = [type(hostile)(HOSTILE, *(path.with_name(f"{HOSTILE}.png") for path in (hostile.image, hostile.mask)))]
    pairs = renamed + pairs[1:]
    engine = threshold_session(150, nan_below=60)
    verdict = verdict_of(pairs, engine)
    write_report(tmp_path, verdict, engine, threshold_session(150), pairs)
    page = Page((tmp_path / "verdict.html").read_text())
    assert HOSTILE in page.words
    assert not [value for name, value in page.attributes if value == "x" or name == "onerror"]


def test_an_engine_of_nan_shows_no_picture(tmp_path, make_pairs, threshold_session, verdict_of) -> None:
    pairs, engine = make_pairs(6), threshold_session(150, nan_below=60)
    write_report(tmp_path, verdict_of(pairs, engine), engine, threshold_session(150), pairs)
    page = Page((tmp_path / "verdict.html").read_text())
    assert page.words.count("no finite output") == 6
    assert page.tags.count("img") == 18


def test_an_old_report_is_replaced_and_nothing_else_touched(report, make_pairs, threshold_session) -> None:
    verdict, text, folder = report
    (folder / "verdict.html").write_text("old")
    (folder / "notes.txt").write_text("mine")
    engine = threshold_session(150, "int8")
    write_report(folder, verdict, engine, threshold_session(75), make_pairs(14, dim_rows=list(range(14))))
    assert (folder / "verdict.html").read_text() == text
    assert sorted(path.name for path in folder.iterdir()) == ["notes.txt", "verdict.html", "verdict.json"]
    assert Verdict.read(folder / "verdict.json") == verdict


def test_a_file_in_the_way_is_refused(tmp_path) -> None:
    (tmp_path / "report").write_text("a file")
    with pytest.raises(BadInputError):
        check_report_folder(tmp_path / "report")


def test_unusable_images_come_first_then_the_largest_drop(report) -> None:
    rows = list(report[0].rows)
    rows[2] = rows[2].model_copy(update={"finite": False, "drop": -1.0})
    assert [row.name for row in worst_rows(rows, 3)] == ["image_02", "image_13", "image_12"]


def test_marks_stand_where_their_values_are(report) -> None:
    rows = report[0].rows
    dots = {dot.label.split(":")[0]: dot for dot in scatter_chart(rows).dots}
    assert dots["image_00"].x == 408 and dots["image_00"].y == 14 and not dots["image_00"].is_worse
    assert dots["image_13"].y > dots["image_12"].y and dots["image_13"].is_worse
    chart = drop_chart(rows, 0.05)
    assert [bar.label.split(":")[0] for bar in chart.bars] == [f"image_{index:02d}" for index in range(13, -1, -1)]
    assert sum(bar.marked for bar in chart.bars) == sum(row.drop > 0.05 for row in rows)
    limit = chart.lines[0].at
    assert all((bar.y < limit) == bar.marked for bar in chart.bars)


def test_the_histogram_holds_every_sample(report) -> None:
    verdict = report[0]
    chart = latency_chart(verdict.latency.end_to_end, verdict.latency_samples_ms, None)
    assert sum(int(bar.label.split(": ")[1]) for bar in chart.bars) == 400


def test_two_distributions_share_their_bins() -> None:
    baseline, engine = np.linspace(5, 6, 40), np.linspace(7, 8, 60)
    chart = turns_chart(tuple(baseline), tuple(engine))
    for name, count, marked in (("baseline", 40, False), ("engine", 60, True)):
        bars = [bar for bar in chart.bars if bar.label.startswith(f"{name}, ")]
        assert sum(int(bar.label.rpartition(": ")[2]) for bar in bars) == count
        assert {bar.marked for bar in bars} == {marked}
    plain, marked_bars = ([bar for bar in chart.bars if bar.marked is side] for side in (False, True))
    assert max(bar.x + bar.width for bar in plain) < min(bar.x for bar in marked_bars)
    assert turns_chart((3.0,), (3.0,)).bars


@pytest.mark.parametrize("samples", [(3.0,), (3.0, 3.0, 3.0), (0.0, 0.0), (1.0, 900.0)])
@pytest.mark.parametrize("limit", [None, 3.5, 5000.0])
def test_the_histogram_of_odd_samples(report, samples, limit) -> None:
    values = dict.fromkeys(("p50_ms", "p90_ms", "p99_ms", "max_ms", "mean_ms"), samples[0])
    chart = latency_chart(report[0].latency.end_to_end.model_copy(update=values), samples, limit)
    assert sum(int(bar.label.split(": ")[1]) for bar in chart.bars) == len(samples)
    assert all(60 <= line.at <= 408 for line in chart.lines)


def test_ticks_are_round_and_inside() -> None:
    ticks = Scale(0.93, 1.0, 0, 70).ticks()
    assert [label for _, label in ticks] == ["0.94", "0.96", "0.98", "1.00"]
    assert [at for at, _ in ticks] == pytest.approx([10, 30, 50, 70])
