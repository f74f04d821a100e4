from __future__ import annotations

import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeseg.errors import BadInputError, MissingComponentError
from edgeseg.runtime.worker.ring import PAGE_BYTES, FrameRing, RingLayout

layouts = st.builds(
    RingLayout,
    slots=st.integers(1, 4),
    frame_bytes=st.integers(3, 20000),
    result_shape=st.tuples(st.integers(1, 3), st.integers(1, 40), st.integers(1, 40)),
)


@given(layouts, st.data())
def test_slots_do_not_overlap_and_both_sides_see_the_same(layout: RingLayout, data: st.DataObject) -> None:
    width = data.draw(st.integers(1, layout.frame_bytes // 3))
    owner = FrameRing.create(layout)
    other = FrameRing.attach(owner.name, layout)
    try:
        assert owner.frames().ctypes.data % PAGE_BYTES == 0
        for slot in range(layout.slots):
            owner.frame(slot, (1, width, 3))[...] = slot + 1
            other.write_result(slot, 100 + slot, np.full(layout.result_shape, slot + 0.5, np.float32))
        for slot in range(layout.slots):
            assert (other.frame(slot, (1, width, 3)) == slot + 1).all()
            assert owner.frame(slot, (1, width, 3)).ctypes.data % PAGE_BYTES == 0
            result = owner.read_result(slot, 100 + slot)
            assert result is not None and (result == slot + 0.5).all() and result.flags.owndata
            assert owner.read_result(slot, 101 + slot) is None
            owner.forget_result(slot)
            assert owner.read_result(slot, 100 + slot) is None
    finally:
        other.close()
        owner.close()
        owner.close()


def test_a_frame_without_room_is_refused() -> None:
    ring = FrameRing.create(RingLayout(1, 30, (1, 1, 1)))
    with pytest.raises(BadInputError):
        ring.frame(0, (1, 11, 3))
    ring.close()


def test_too_little_shared_memory_is_said_before_it_kills(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(MissingComponentError, match="shared memory") as raised:
        FrameRing.create(RingLayout(1, 30, (1, 1, 1)))
    assert "--shm-size" in str(raised.value)
