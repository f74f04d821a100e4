import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edgeseg.train.feeding import WaitClock, ahead, share_of


def test_items_come_in_order_and_are_made_before_they_are_asked_for() -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for number in range(50):
            made.append(number)
            yield number

    stream = ahead(items, depth=2)
    assert next(stream) == 0
    deadline = time.monotonic() + 30
    while len(made) < 4 and time.monotonic() < deadline:  # two wait, the fourth is in the producer's hand
        time.sleep(0.01)
    assert made == [0, 1, 2, 3]
    assert [0, *stream] == list(range(50))


def test_an_error_comes_after_the_items_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise OSError("gone")

    stream = ahead(items)
    assert next(stream) == 1
    with pytest.raises(OSError, match="gone"):
        next(stream)


def test_leaving_early_ends_the_thread() -> None:
    before = threading.active_count()
    stream = ahead(lambda: iter(range(10**9)))
    next(stream)
    assert threading.active_count() == before + 1
    stream.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


ENDING = """
import torch
from edgeseg.train.feeding import ahead

def items():
    while True:
        for _ in range(50):
            torch.nn.functional.conv2d(torch.rand(1, 1, 64, 64), torch.rand(1, 1, 3, 3))
        yield 1

steps = ahead(items)
next(steps)
"""


def test_a_program_that_ends_amid_a_batch_is_not_aborted() -> None:
    ended = subprocess.run([sys.executable, "-c", ENDING], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


@given(st.integers(1, 40), st.integers(1, 5))
def test_processes_share_a_batch_without_overlap(rows: int, world_size: int) -> None:
    shares = [share_of(torch.arange(rows), rank, world_size) for rank in range(world_size)]
    assert sorted(torch.cat(shares).tolist()) == list(range(rows))


def test_the_clock_counts_the_producer_and_not_the_consumer() -> None:
    clock = WaitClock()

    def slow() -> Iterator[int]:
        for number in range(3):
            time.sleep(0.02)
            yield number

    started = time.perf_counter()
    for _ in clock.timed(slow()):
        time.sleep(0.05)
    elapsed = time.perf_counter() - started
    assert 0.06 <= clock.seconds <= elapsed - 0.15
