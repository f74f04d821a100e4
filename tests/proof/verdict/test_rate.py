import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from edgeseg.proof.verdict.rate import rate_interval


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 400), st.floats(0.01, 1000), st.sampled_from([0.9, 0.95, 0.99]))
def test_agrees_with_the_quantiles_of_chi_square(count: int, exposure: float, level: float) -> None:
    """The other form of Garwood's interval: half the quantiles of chi square with 2 n and 2 n + 2 degrees."""
    ours, tail = rate_interval(count, exposure, level), (1 - level) / 2
    low = 0.0 if count == 0 else stats.chi2.ppf(tail, 2 * count) / 2
    high = stats.chi2.ppf(1 - tail, 2 * count + 2) / 2
    assert (ours.low * exposure, ours.high * exposure) == pytest.approx((low, high), rel=1e-8)
    assert ours.level == level


def test_no_event_is_not_none_to_come() -> None:
    assert rate_interval(0, 2.0).low == 0
    assert rate_interval(0, 2.0).high == pytest.approx(1.8444, abs=1e-4)


@pytest.mark.parametrize(("count", "exposure"), [(-1, 1.0), (0, 0.0), (0, -1.0), (1, float("nan"))])
def test_what_is_no_rate(count: int, exposure: float) -> None:
    with pytest.raises(ValueError, match="no rate"):
        rate_interval(count, exposure)
