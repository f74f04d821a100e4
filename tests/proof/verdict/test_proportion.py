import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeseg.proof.verdict.proportion import share_interval


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 2000), st.data(), st.sampled_from([0.9, 0.95, 0.99]))
def test_agrees_with_scipy(of: int, data, level: float) -> None:
    count = data.draw(st.integers(0, of))
    ours = share_interval(count, of, level)
    theirs = scipy.stats.binomtest(count, of).proportion_ci(level, method="exact")
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-8)
    assert ours.level == level


def test_nothing_seen_is_not_nothing_there() -> None:
    """The "rule of three" with two sides: 1 - 0.025^(1/n)."""
    assert share_interval(0, 80).low == 0
    assert share_interval(0, 80).high == pytest.approx(1 - 0.025 ** (1 / 80))
    assert share_interval(80, 80).low == pytest.approx(0.025 ** (1 / 80))
    assert share_interval(80, 80).high == 1


@pytest.mark.parametrize(("count", "of"), [(0, 0), (3, 2), (-1, 2)])
def test_what_is_no_share(count: int, of: int) -> None:
    with pytest.raises(ValueError, match="no share"):
        share_interval(count, of)
