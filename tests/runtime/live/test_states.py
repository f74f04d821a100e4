from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeseg.runtime.live.states import Signs, StateKeeper, StateLimits, judge

WELL = Signs(engine="ready", was_ready=True)
LIMITS = StateLimits()


@pytest.mark.parametrize(
    ("change", "state", "word"),
    [
        ({}, "live", ""),
        ({"engine": "starting", "was_ready": False}, "starting", "loading"),
        ({"has_picture": False, "source_silent_ms": 9000.0}, "starting", "no picture"),
        ({"engine": "restarting"}, "pass-through", "starting again"),
        ({"engine": "down", "engine_reason": "no GPU"}, "pass-through", "no GPU"),
        ({"engine": "down", "was_ready": False}, "pass-through", "down"),
        ({"without_mask_ms": 1001.0}, "pass-through", "no mask for 1.0 s"),
        ({"source_silent_ms": 700.0, "without_mask_ms": 5000.0}, "degraded", "source"),
        ({"late_share": 0.06}, "degraded", "late"),
        ({"mask_share": 0.4}, "degraded", "slow"),
        ({"complaints": ("disk is full",)}, "degraded", "disk is full"),
        ({"stopped": True, "engine": "down"}, "stopped", "ended"),
    ],
)
def test_signs_decide(change: dict[str, object], state: str, word: str) -> None:
    found, reason = judge(replace(WELL, **change), LIMITS)  # type: ignore[arg-type]
    assert found == state
    assert word in reason


@given(
    st.builds(
        Signs,
        engine=st.sampled_from(["starting", "ready", "restarting", "down"]),
        was_ready=st.booleans(),
        source_silent_ms=st.floats(0, 1e4),
        without_mask_ms=st.floats(-1e4, 1e4),
        late_share=st.floats(0, 1),
        mask_share=st.floats(0, 1),
        complaints=st.sampled_from([(), ("a sink has failed",)]),
    )
)
def test_live_is_said_of_a_ready_engine_with_masks_in_time_alone_and_all_else_has_a_reason(signs: Signs) -> None:
    state, reason = judge(signs, LIMITS)
    assert (state == "live") == (reason == "")
    if state == "live":
        assert signs.engine == "ready"
        assert signs.without_mask_ms <= LIMITS.without_mask_ms
        assert not signs.complaints
    if signs.engine != "ready":
        assert state in ("starting", "pass-through")


def test_worse_at_once_and_well_only_after_a_while() -> None:
    keeper = StateKeeper(0)
    bad = replace(WELL, late_share=1.0)
    assert keeper.update(WELL, 1).state == "live"  # type: ignore[union-attr]
    assert keeper.update(bad, 2).state == "degraded"  # type: ignore[union-attr]
    assert keeper.update(WELL, 3) is None
    assert keeper.update(WELL, 3 + int(1.9e9)) is None
    assert keeper.update(bad, int(2e9)) is None, "still degraded, and the time begins anew"
    assert keeper.update(WELL, int(3e9)) is None
    change = keeper.update(WELL, int(5.1e9))
    assert change is not None
    assert (change.state, change.reason, keeper.current) == ("live", "", change)


def test_a_new_reason_of_the_same_state_is_kept_without_a_change() -> None:
    keeper = StateKeeper(0)
    keeper.update(replace(WELL, complaints=("a",)), 5)
    assert keeper.update(replace(WELL, complaints=("b",)), 9) is None
    assert (keeper.current.reason, keeper.current.since_ns) == ("b", 5)


def test_silence_and_its_end_are_told_of_a_stream_that_is_degraded_already() -> None:
    keeper = StateKeeper(0)
    late = replace(WELL, late_share=0.2)
    assert keeper.update(late, 1) is not None
    assert keeper.update(replace(late, source_silent_ms=400.0), 2) is None
    silent = keeper.update(replace(late, source_silent_ms=600.0), 3)
    assert silent is not None and silent.state == "degraded" and "source" in silent.reason and silent.since_ns == 3
    assert keeper.update(replace(late, source_silent_ms=1600.0), 4) is None, "told once"
    back = keeper.update(late, 5)
    assert back is not None and back.state == "degraded" and "late" in back.reason
