from __future__ import annotations

import gc
import threading
from multiprocessing import connection
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from edgeseg.runtime.live.slot import NewestSlot


@given(st.integers(1, 4), st.lists(st.integers(0, 1), max_size=40))
def test_keeps_the_newest_in_order_and_counts_the_rest(capacity: int, steps: list[int]) -> None:
    slot: NewestSlot[int] = NewestSlot(capacity)
    model: list[int] = []
    drops = 0
    for number, put in enumerate(steps):
        if put:
            slot.put(number)
            model.append(number)
            drops += len(model) > capacity
            model = model[-capacity:]
        else:
            assert slot.take() == (model.pop(0) if model else None)
        assert bool(connection.wait([slot], 0)) == bool(model)
    assert slot.drops == drops


def test_a_taker_wakes_for_an_item_and_for_the_end() -> None:
    slot: NewestSlot[str] = NewestSlot()
    got: list[str | None] = []
    taker = threading.Thread(target=lambda: got.extend((slot.take(10.0), slot.take(10.0))))
    taker.start()
    slot.put("frame")
    while "frame" not in got and taker.is_alive() and len(slot):
        pass
    slot.close()
    taker.join(5.0)
    assert got == ["frame", None]
    slot.put("late")
    assert len(slot) == 0
    assert connection.wait([slot], 0), "the end wakes those who wait on the descriptor"


def test_a_slot_that_nobody_holds_gives_its_descriptors_back() -> None:
    gc.collect()
    before = len(list(Path("/proc/self/fd").iterdir()))
    slots = [NewestSlot[int]() for _ in range(20)]
    assert len(list(Path("/proc/self/fd").iterdir())) == before + 40
    del slots
    gc.collect()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
