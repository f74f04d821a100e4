"""The search alone, on harms that add up: how many runs it takes, and how near its answer is to the best."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeseg.artifacts import VerdictLimits, VerdictRow
from edgeseg.dataset import Pair
from edgeseg.export.mixing.mix_search import MOST_RETURNED, SENSITIVITY_IMAGES, most_runs, search
from edgeseg.proof.verdict.engine_comparison import Comparison

PAIRS = [Pair(f"{index:03}", Path(f"{index}.png"), Path(f"{index}-mask.png")) for index in range(50)]


class Adding:
    """A network in which each convolution in INT8 costs its own Dice, and those of `losing` the polyp of a picture."""

    def __init__(self, drops: dict[str, float], losing: Collection[str] = ()) -> None:
        self.drops, self.losing = drops, losing
        self.runs: list[tuple[frozenset[str], int]] = []

    def __call__(self, back: Collection[str], pairs: Sequence[Pair]) -> Comparison:
        self.runs.append((frozenset(back), len(pairs)))
        in_int8 = [layer for layer in self.drops if layer not in back]
        drop, lost = sum(self.drops[layer] for layer in in_int8), sum(layer in self.losing for layer in in_int8)
        rows = [
            VerdictRow(
                name=pair.name,
                dice=0.9 - drop,
                reference_dice=0.9,
                drop=drop,
                agreement=1 - int(pair.name) / 100,
                iou=0.1 if index < lost else 0.8,
                reference_iou=0.8,
                foreground=0.1,
                flipped_share=min(1.0, max(0.0, drop)),
            )
            for index, pair in enumerate(pairs)
        ]
        return Comparison(tuple(rows))


def limits(drop: float, lost: int | None = None) -> VerdictLimits:
    return VerdictLimits(max_dice_drop=drop, max_lost_polyps=lost)


def fewest(drops: Sequence[float], limit: float) -> int:
    """The optimum where harms add up: the largest go first."""
    return next(k for k in range(len(drops) + 1) if sum(sorted(drops, reverse=True)[k:]) <= limit + 1e-9)


@given(st.lists(st.integers(0, 40), min_size=2, max_size=60), st.integers(0, 200))
def test_as_few_as_can_be_where_harms_add_up(thousandths: list[int], limit: int) -> None:
    drops = {f"layer{index}": value / 1000 for index, value in enumerate(thousandths)}
    network = Adding(drops)
    found = search(list(drops), network, PAIRS, limits(limit / 1000 + 1e-6))
    best = fewest(list(drops.values()), limit / 1000)
    assert found.runs == len(network.runs) <= most_runs(len(drops))
    assert found.holds == (best < len(drops))  # one at least stays in INT8
    if found.holds:
        assert len(found.sent_back) == best
        assert found.found.mean_dice_drop <= limit / 1000 + 1e-6


def test_the_bound_by_hand() -> None:
    # 1 throughout, 57 alone, 1 2 4 8 16 32 56 and 5 between 32 and 56 (at most 6 + 6 + 1), 16 again.
    assert most_runs(57) == 1 + 57 + 13 + MOST_RETURNED
    assert most_runs(1) == 1 + 1 + 1 + 1


@pytest.mark.parametrize("harmful", range(7))
def test_one_harmful_convolution_costs_one_run_beside_the_trials(harmful: int) -> None:
    drops = {f"layer{index}": 0.05 if index == harmful else 0.0 for index in range(7)}
    network = Adding(drops)
    found = search(list(drops), network, PAIRS, limits(0.01))
    assert [sent.layer for sent in found.sent_back] == [f"layer{harmful}"]
    assert found.sent_back[0].alone.mean_dice_drop == pytest.approx(0.05)
    assert len(network.runs) == 1 + 7 + 1


def test_lost_polyps_go_before_dice() -> None:
    network = Adding({"a": 0.004, "b": 0.001, "c": 0.003}, losing={"b"})
    found = search(["a", "b", "c"], network, PAIRS, limits(0.1, 0))
    assert [sent.layer for sent in found.sent_back] == ["b"]
    assert search(["a", "b", "c"], network, PAIRS, limits(0.1, 1)).sent_back == ()


def test_nothing_is_searched_where_int8_holds() -> None:
    network = Adding({"a": 0.001, "b": 0.001})
    found = search(["a", "b"], network, PAIRS, limits(0.002))
    assert (found.holds, found.sent_back, found.sensitivity_images) == (True, (), 0)
    assert network.runs == [(frozenset(), len(PAIRS))]


def test_single_convolutions_are_tried_on_the_pictures_that_int8_changes_most() -> None:
    seen: list[list[str]] = []

    class Watching(Adding):
        def __call__(self, back: Collection[str], pairs: Sequence[Pair]) -> Comparison:
            seen.append([pair.name for pair in pairs])
            return super().__call__(back, pairs)

    search(["a", "b", "c"], Watching({"a": 0.1, "b": 0.0, "c": 0.0}), PAIRS, limits(0.01))
    worst = {f"{index:03}" for index in range(50 - SENSITIVITY_IMAGES, 50)}
    assert [set(names) == worst for names in seen] == [False, True, True, True, False]


def test_the_nearest_mix_is_told_where_none_holds() -> None:
    found = search(["a", "b", "c"], Adding({"a": 0.1, "b": 0.2, "c": 0.3}), PAIRS, limits(0.05))
    assert not found.holds
    assert {sent.layer for sent in found.sent_back} == {"b", "c"}
    assert found.found.mean_dice_drop == pytest.approx(0.1)


def test_a_convolution_that_went_in_vain_returns_to_int8() -> None:
    """Alone `a` looks worst, but `b` makes good for it: once `c` is float, nothing else need be."""

    class Helping(Adding):
        def __call__(self, back: Collection[str], pairs: Sequence[Pair]) -> Comparison:
            self.drops = {"a": 0.0 if "b" not in back else 0.3, "b": 0.0, "c": 0.2, "d": 0.0}
            return super().__call__(back, pairs)

    found = search(["a", "b", "c", "d"], Helping({}), PAIRS, limits(0.01))
    assert [sent.layer for sent in found.sent_back] == ["c"]
