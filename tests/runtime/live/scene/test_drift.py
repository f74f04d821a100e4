from __future__ import annotations

import colorsys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeseg.errors import BadInputError
from edgeseg.images import write_png
from edgeseg.runtime.live.scene.drift import DriftSettings, DriftState, DriftWatch
from edgeseg.runtime.live.scene.statistics import (
    STATISTICS,
    ImageStatistics,
    TrainingStatistics,
    distances,
    image_statistics,
    statistics_of,
    statistics_of_folder,
)

LOOK = ImageStatistics(brightness=110, contrast=40, saturation=120, hue=15, sharpness=5)
FULL = np.full((8, 10), 255, np.uint8)
EMPTY = np.zeros((8, 10), np.uint8)
SETTINGS = DriftSettings(window=10, at_least=5)


def training(seed: int = 0) -> TrainingStatistics:
    rng = np.random.default_rng(seed)
    looks = [ImageStatistics(**{n: getattr(LOOK, n) * rng.normal(1, 0.1) for n in STATISTICS}) for _ in range(200)]
    return statistics_of(looks, 224, 224, "0" * 64)


def checked(watch: DriftWatch, count: int, live: np.ndarray = FULL, look: ImageStatistics = LOOK) -> list[DriftState]:
    return [watch.check(live, FULL, look, 0.1) for _ in range(count)]


def test_agreement_raises_nothing() -> None:
    state = checked(DriftWatch(training(), SETTINGS), 30)[-1]
    assert state.alarms == () and state.dice == 1 and not state.fall_back


def test_an_engine_that_disagrees_falls_back_and_returns_once() -> None:
    watch = DriftWatch(training(), SETTINGS)
    checked(watch, 10)
    bad = checked(watch, 10, EMPTY)
    assert [state.began for state in bad].count(("dice",)) == 1
    assert bad[-1].fall_back and bad[-1].dice == 0
    good = checked(watch, 10)
    assert [state.ended for state in good].count(("dice",)) == 1
    assert good[-1].alarms == ()


def test_nothing_is_judged_before_enough_checks() -> None:
    states = checked(DriftWatch(None, SETTINGS), 5, EMPTY)
    assert [state.fall_back for state in states] == [False] * 4 + [True]


def test_dice_is_pooled_over_the_window() -> None:
    watch = DriftWatch(None, SETTINGS)
    few = EMPTY.copy()
    few[0, 0] = 255
    watch.check(few, EMPTY, LOOK, 0)
    state = watch.check(FULL, FULL, LOOK, 0)
    assert state.dice == pytest.approx(2 * 80 / (1 + 160))
    assert DriftWatch(None, SETTINGS).check(EMPTY, EMPTY, LOOK, 0).dice == 1


def test_between_the_limits_an_alarm_stays_as_it_is() -> None:
    half = DriftSettings(window=1, at_least=1)
    between = FULL.copy()
    between.flat[: round(80 * 0.22)] = 0  # Dice 2*62/142 = 0.873
    watch = DriftWatch(None, half)
    assert not watch.check(between, FULL, LOOK, 0).alarms
    assert watch.check(EMPTY, FULL, LOOK, 0).alarms
    assert watch.check(between, FULL, LOOK, 0).alarms


@pytest.mark.parametrize("name", STATISTICS)
def test_strange_pictures_alarm_by_name_and_do_not_fall_back(name: str) -> None:
    strange = LOOK.model_copy(update={name: getattr(LOOK, name) * 1.6})
    state = checked(DriftWatch(training(), SETTINGS), 10, look=strange)[-1]
    assert state.alarms == (name,) and not state.fall_back


def test_flicker_alarms() -> None:
    watch = DriftWatch(None, SETTINGS)
    assert [watch.check(FULL, FULL, LOOK, 0.8) for _ in range(6)][-1].alarms == ("flicker",)


def test_without_the_references_word_its_alarm_stays_and_pictures_are_judged_all_the_same() -> None:
    watch = DriftWatch(training(), SETTINGS)
    checked(watch, 6, EMPTY)
    strange = LOOK.model_copy(update={"brightness": 190})
    state = [watch.check(FULL, None, strange, None) for _ in range(10)][-1]
    assert state.alarms == ("brightness", "dice") and state.dice == 0
    after = watch.forget_masks(state)
    assert (after.alarms, after.dice, after.flicker, after.distances) == (("brightness",), None, None, state.distances)
    assert watch.check(FULL, None, strange, None).alarms == ("brightness",)


def test_another_class_on_the_same_pixels_is_no_agreement() -> None:
    one, two = np.full((8, 10), 1, np.uint8), np.full((8, 10), 2, np.uint8)
    two[:4] = 1
    assert DriftWatch(None, SETTINGS).check(one, two, LOOK, 0).dice == pytest.approx(2 * 40 / 160)


@given(st.tuples(st.integers(40, 255), st.integers(0, 255), st.integers(0, 255)))
def test_statistics_of_one_colour(colour: tuple[int, int, int]) -> None:
    frame = np.full((20, 30, 3), colour, np.uint8)
    found = image_statistics(frame)
    luma = np.dot(colour, (0.299, 0.587, 0.114))
    if luma < 29:
        assert found.brightness == 0
    elif luma > 31:
        assert found.brightness == pytest.approx(luma, abs=1)
        assert found.contrast == pytest.approx(0, abs=1e-4) and found.sharpness == 0
        hue, saturation, _ = colorsys.rgb_to_hsv(*(value / 255 for value in colour))
        assert found.saturation == pytest.approx(255 * saturation, abs=1.5)
        if saturation > 0.1:  # the hexagon's hue and the circle's differ by at most 1.12 degrees
            assert abs((found.hue - 360 * hue + 180) % 360 - 180) < 1.3


def test_hues_are_compared_around_the_circle() -> None:
    spread = training()
    red = spread.model_copy(
        update={"spreads": spread.spreads | {"hue": spread.spreads["hue"].model_copy(update={"mean": 175})}}
    )
    looks = LOOK.model_copy(update={"hue": -175})
    assert distances(looks, red)["hue"] * red.spreads["hue"].deviation == pytest.approx(10)


def test_a_folder_is_measured_once_into_a_file(tmp_path: Path) -> None:
    folder = tmp_path / "train" / "images"
    folder.mkdir(parents=True)
    levels = np.arange(60, 200, 7)
    for level in levels:
        write_png(folder / f"{level}.png", np.full((64, 64, 3), level, np.uint8))
    found = statistics_of_folder(tmp_path, 32, 32)
    assert found.image_count == len(levels)
    assert found.spreads["brightness"].mean == pytest.approx(levels.mean())
    assert found.spreads["brightness"].deviation == pytest.approx(levels.std(ddof=1))
    assert TrainingStatistics.from_json(found.to_json()) == found


def test_too_few_pictures_are_refused() -> None:
    with pytest.raises(BadInputError, match="too few"):
        statistics_of([LOOK] * 3, 32, 32, "0" * 64)
