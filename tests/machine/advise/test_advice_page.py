"""The page: nothing from outside is taken for HTML, every engine is drawn and named, and labels can be read."""

from __future__ import annotations

import re
from itertools import combinations

import pytest

from edgeseg.machine.advise.advice_charts import LETTER_PX, LINE_PX, MOST_LAYERS, harm_chart, pareto_chart
from edgeseg.machine.advise.advice_page import render_page
from edgeseg.machine.advise.advice_values import Advice, Candidate, SearchFindings
from edgeseg.precision_search import LayerHarm, MaskHarm, MixCost, PrecisionSearch
from edgeseg.specs import ModelSpec
from tests.machine.advise.test_advice_words import candidate, timing

CANDIDATES = (
    candidate("fp32", 10, mean_dice_drop=0.0, on_front=True),
    candidate("fp16", 10.1, mean_dice_drop=0.0),
    candidate("mixed", 6, mean_dice_drop=0.003, on_front=True),
    candidate("int8", 5, holds=False, mean_dice_drop=0.012, on_front=True),
    candidate("fp32", 10.2, backend="openvino", mean_dice_drop=0.0),
    Candidate(backend="openvino", kind="fp16", reasons=("<b>does not build</b>",)),
)


def search(harms: int = 20, stand_in: bool = False) -> PrecisionSearch:
    alone = [
        LayerHarm(
            layer=f"layer{index}",
            alone=MaskHarm(mean_dice_drop=0.01 - index / 1000, lost_polyps=0, flipped_share=0.001),
        )
        for index in range(harms)
    ]
    harm = MaskHarm(mean_dice_drop=0.01, lost_polyps=1, flipped_share=0.002)
    return PrecisionSearch(
        data="DATA",
        data_sha256="0" * 64,
        image_count=100,
        sensitivity_images=32,
        max_dice_drop=0.005,
        stand_in=stand_in,
        runs=harms + 10,
        most_runs=100,
        candidates=max(1, harms),
        sent_back=tuple(alone[:2]),
        tried_alone=tuple(alone),
        sent_back_to="fp32",
        throughout=harm,
        found=harm,
        cost=MixCost(int8_multiply_adds=0.9, mixed_multiply_adds=0.8),
    )


def advice(stand_in: bool = False) -> Advice:
    return Advice(
        answer="ship",
        headline="Ship <it>",
        sentences=("a & b",),
        advised="onnxruntime mixed",
        engine="advice/x.mixed.engine",
        int8_worth=True,
        next_commands=("edgeseg bench advice/x.mixed.engine",),
        candidates=CANDIDATES,
        searches=(SearchFindings(backend="onnxruntime", holds=True, record=search(stand_in=stand_in)),),
        timing=timing(),
        model_path="<script>alert(1)</script>",
        model=ModelSpec(architecture="net", height=32, width=32),
        onnx_sha256="0" * 64,
        data="DATA",
        split="test",
        data_sha256="0" * 64,
        image_count=100,
        reference_mean_dice=0.9,
        max_dice_drop=None,
        max_lost_polyps=None,
        machine="a machine",
        gpu=None,
        edgeseg_version="0",
        created="2026-01-01T00:00:00+00:00",
    )


def test_names_from_outside_are_no_html() -> None:
    page = render_page(advice())
    assert "<script" not in page and "<b>" not in page and "Ship &lt;it&gt;" in page
    assert "a &amp; b" in page and "&lt;b&gt;does not build" in page


def test_every_engine_is_drawn_once_and_the_advised_one_is_ringed() -> None:
    page = render_page(advice())
    assert page.count('<circle class="dot"') == 4 and page.count('<path class="cross"') == 1
    assert page.count('<circle class="ring"') == 1
    assert re.search(r'class="name advised"[^>]*>INT8 in part, onnxruntime<', page)


def test_a_cost_model_is_called_one_and_a_stand_in_no_gpu() -> None:
    page = render_page(advice(stand_in=True))
    assert "a cost model, not a time" in page
    assert "Computed on a stand-in on this CPU" in page


def test_labels_do_not_cover_each_other() -> None:
    chart = pareto_chart(CANDIDATES, "onnxruntime mixed")
    assert chart is not None and len(chart.points) == 5
    boxes = [(point.label_x, point.label_y, LETTER_PX * len(point.name)) for point in chart.points]
    for (x, y, width), (other_x, other_y, other_width) in combinations(boxes, 2):
        apart = x + width <= other_x or other_x + other_width <= x
        assert apart or abs(y - other_y) >= LINE_PX - 2


def test_what_is_quicker_is_left_and_what_is_worse_is_above() -> None:
    chart = pareto_chart(CANDIDATES, None)
    assert chart is not None
    by_name = {point.name: point for point in chart.points}
    int8, float32 = by_name["INT8, onnxruntime"], by_name["float32, onnxruntime"]
    assert int8.x < float32.x and int8.y < float32.y  # pixels grow downwards
    assert int8.out and not float32.out
    assert chart.x.start + (chart.x.end - chart.x.start) * 5 / chart.x.high == pytest.approx(int8.x, abs=0.1)


def test_bars_are_as_long_as_the_drop_and_end_at_the_most_harmful_twelve() -> None:
    chart = harm_chart(search())
    assert chart is not None
    assert (len(chart.rows), chart.others) == (MOST_LAYERS, 20 - MOST_LAYERS)
    assert chart.rows[0].bar.width == pytest.approx(10 * chart.rows[9].bar.width, rel=0.02)
    assert [row.bar.marked for row in chart.rows[:3]] == [True, True, False]
    assert harm_chart(search(harms=0)) is None


def test_an_advice_reads_back() -> None:
    assert Advice.from_json(advice().to_json()) == advice()
    assert advice().find("onnxruntime int8") == CANDIDATES[3]
