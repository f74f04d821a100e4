"""The one-sided test beside the limit; the oracles are scipy's bootstrap and simulated studies."""

import numpy as np
import pytest
import scipy.stats

from edgeseg.proof.verdict.bootstrap import bootstrap_interval
from edgeseg.proof.verdict.non_inferiority import MIN_IMAGES, images_needed, non_inferiority, non_inferiority_in_words


@pytest.mark.parametrize("mean", [-0.002, 0.003, 0.0045, 0.008])
def test_bound_and_p_agree_with_scipy(mean: float) -> None:
    drops, margin = np.random.default_rng(3).normal(mean, 0.01, 60), 0.005
    test = non_inferiority(drops, margin)
    tail = scipy.stats.norm.cdf(np.sqrt(60 / 59) * scipy.stats.t.ppf(0.025, 59))
    theirs = scipy.stats.bootstrap(
        (drops,),
        np.mean,
        method="percentile",
        confidence_level=1 - 2 * tail,
        n_resamples=10_000,
        rng=np.random.default_rng(5),
    )
    assert test.upper_bound == bootstrap_interval(drops).high
    assert test.p == pytest.approx(np.mean(theirs.bootstrap_distribution >= margin), abs=0.015)
    assert test.shown is bool(theirs.confidence_interval.high < margin) is (test.p < test.alpha)


def test_alpha_is_half_of_what_the_interval_leaves_out() -> None:
    assert non_inferiority(np.zeros(3), 0.005).alpha == pytest.approx(0.025)


def test_equal_masks_show_it_and_p_is_never_zero() -> None:
    test = non_inferiority(np.zeros(8), 0.0005)
    assert test.shown and 0 < test.p < test.alpha and test.images_needed == MIN_IMAGES


def test_a_demanded_gain_is_a_margin_below_zero() -> None:
    assert non_inferiority(np.full(8, -0.02), -0.01).shown
    words = non_inferiority_in_words(non_inferiority(np.zeros(8), -0.01), 8)
    assert "a gain above 0.01) is not shown" in words and words.endswith("no number of images would show it")


@pytest.mark.parametrize(("mean", "sd"), [(0.0, 0.02), (0.003, 0.01)])
def test_the_number_of_images_has_the_power_that_it_promises(mean: float, sd: float) -> None:
    """Studies of that size, each with a t bound of its own."""
    count = images_needed(mean, sd, 0.005)
    assert count is not None
    studies = np.random.default_rng(0).normal(mean, sd, (4000, count))
    error = studies.std(axis=1, ddof=1) / np.sqrt(count)
    bound = studies.mean(axis=1) + scipy.stats.t.ppf(0.975, count - 1) * error
    assert 0.77 < np.mean(bound < 0.005) < 0.83


def test_the_sentence_names_more_images_than_there_were() -> None:
    drops = np.random.default_rng(0).normal(0.0, 0.05, 40)
    test = non_inferiority(drops, 0.005)
    assert not test.shown and test.images_needed is not None and test.images_needed > 40
    assert f"about {test.images_needed} images like these" in non_inferiority_in_words(test, 40)
    lucky = test.model_copy(update={"images_needed": 20})
    assert "about 41 images" in non_inferiority_in_words(lucky, 40)
    assert images_needed(0.005, 0.01, 0.005) is None
