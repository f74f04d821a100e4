"""Student's t against scipy."""

import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from edgeseg.proof.verdict.bootstrap import expanded_tail, level_of_tail
from edgeseg.proof.verdict.student_t import t_cdf, t_quantile


@given(st.floats(-40, 40), st.integers(1, 2000))
def test_the_distribution(t: float, degrees: int) -> None:
    assert t_cdf(t, degrees) == pytest.approx(scipy.stats.t.cdf(t, degrees), abs=1e-12)


@given(st.floats(0.001, 0.999), st.integers(1, 2000))
def test_quantiles(share: float, degrees: int) -> None:
    assert t_quantile(share, degrees) == pytest.approx(scipy.stats.t.ppf(share, degrees), rel=1e-6, abs=1e-6)


@given(st.floats(0.005, 0.45), st.integers(6, 500))
def test_a_level_is_found_again(tail: float, count: int) -> None:
    assert level_of_tail(expanded_tail(tail, count), count) == pytest.approx(tail, rel=1e-6)
    assert expanded_tail(tail, count) <= tail
    assert (expanded_tail(tail, 1), level_of_tail(tail, 1)) == (tail, tail)
