"""Tells in sentences what a search for a mix of precisions tried and found."""

from __future__ import annotations

from edgeseg.export.builders.int8_gain import WORTH_HAVING
from edgeseg.precision_search import MixCost, PrecisionSearch

MOST_TOLD = 10


def search_in_words(record: PrecisionSearch) -> list[str]:
    """Tell what was tried, which convolutions went back and why, and what it costs; one line each."""
    limit = f"limit {record.max_dice_drop:+.4f}"
    if record.max_lost_polyps is not None:
        limit += f", {record.max_lost_polyps} polyps lost"
    lines = [f"INT8 throughout, {record.image_count} pictures: {record.throughout} ({limit})"]
    if not record.sent_back:
        return [*lines, "this holds the limits: no convolution went back", *_cost_in_words(record.cost)]
    lines.append(
        f"{headline(record)}; each alone in INT8, on the {record.sensitivity_images} pictures that INT8 changes most:"
    )
    lines += [f"  {sent.layer}: {sent.alone}" for sent in record.sent_back[:MOST_TOLD]]
    if len(record.sent_back) > MOST_TOLD:
        lines.append(f"  and {len(record.sent_back) - MOST_TOLD} more, which the plan names")
    return [*lines, f"with these in {record.sent_back_to}: {record.found}", *_cost_in_words(record.cost)]


def headline(record: PrecisionSearch) -> str:
    """``2 of 42 convolutions went back to fp32 in 46 runs (at most 72)``."""
    return (
        f"{len(record.sent_back)} of {record.candidates} convolutions went back to {record.sent_back_to} "
        f"in {record.runs} runs (at most {record.most_runs})"
    )


def _cost_in_words(cost: MixCost) -> list[str]:
    lines = [
        f"INT8 computes {cost.mixed_multiply_adds:.1%} of the multiply-adds ({cost.int8_multiply_adds:.1%} under the "
        "default plan): a cost model, not a time"
    ]
    if cost.mixed_ms is not None:
        lines.append(
            f"measured here, one inference: {cost.mixed_ms:.2f} ms (INT8 throughout {cost.int8_ms:.2f}, "
            f"float32 {cost.float32_ms:.2f})"
        )
    if cost.mixed_over_float32 is not None and cost.mixed_over_float32 > WORTH_HAVING:
        lines.append(
            f"warning: the mix takes {cost.mixed_over_float32:.2f} of float32's time on this processor, "
            "so --precision fp32 is the better engine here"
        )
    return lines
