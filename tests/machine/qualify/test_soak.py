"""The soak sees errors, changed answers, restarts and growth."""

import mmap
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeseg.errors import BadInputError
from edgeseg.proof.verdict.soak import LARGEST_GROWTH_BYTES, SoakLimits, SoakReport, growth_of, soak
from edgeseg.runtime.engine.local_engine import engine_of
from edgeseg.runtime.engine.memory import resident_bytes
from edgeseg.runtime.engine.session import SessionInfo
from edgeseg.specs import ModelSpec, PreprocessSpec

FRAMES = [np.full((8, 8, 3), value, np.uint8) for value in (0, 255)]
SHORT = SoakLimits(seconds=0, min_frames=20)


class Scripted:
    """A session of bright pixels; `answer` may change what it says at a call."""

    info = SessionInfo(
        ModelSpec(architecture="scripted", height=4, width=4), PreprocessSpec(), "onnxruntime", "fp32", "0" * 64
    )

    def __init__(self, answer: Callable[[int, Any], Any] = lambda call, probability: probability) -> None:
        self.calls = 0
        self._answer = answer

    def infer(self, frames: Any) -> Any:
        self.calls += 1
        probability = (frames.astype(np.float32) / 255).mean(axis=3)[:, None]
        return self._answer(self.calls, probability)

    def close(self) -> None:
        pass


def fresh_memory(size: int) -> mmap.mmap:
    """Take memory that was not resident before; an array may get some that was freed and is resident still."""
    block = mmap.mmap(-1, size)
    block.write(b"\1" * size)
    return block


def test_a_sound_engine() -> None:
    report = soak(engine_of(Scripted()), FRAMES, SHORT)
    assert (report.frames, report.errors, report.changed_masks, report.restarts) == (20, 0, 0, 0)
    assert report.failures() == []
    assert report.memory_bytes > 10 << 20
    assert report.fps == pytest.approx(report.frames / report.seconds, rel=0.5) or report.seconds < 0.1


def test_an_answer_that_changes() -> None:
    report = soak(
        engine_of(Scripted(lambda call, probability: 1 - probability if call == 13 else probability)), FRAMES, SHORT
    )
    assert report.changed_masks == 1
    assert report.failures() == ["1 of 20 frames gave another mask than before"]


def test_an_engine_that_errs_is_given_up() -> None:
    def err(call: int, probability: Any) -> Any:
        raise BadInputError(f"call {call}")

    report = soak(engine_of(Scripted(err)), FRAMES, SoakLimits(seconds=60))
    assert (report.frames, report.errors, report.first_error) == (11, 11, "call 1")
    assert "11 of 11 frames ended in an error, the first: call 1" in report.failures()[0]


def test_restarts_fail() -> None:
    engine: Any = engine_of(Scripted())
    engine.restarts = 2
    report = soak(engine, FRAMES, SHORT)
    assert report.restarts == 2 and "started again 2 times" in report.failures()[0]


def test_gpu_memory_counts_from_the_end_of_the_first_round() -> None:
    readings = iter([100, 5_000_000_000, 5_000_000_000 + 2 * LARGEST_GROWTH_BYTES])
    report = soak(engine_of(Scripted()), FRAMES, SHORT, gpu_memory=lambda: next(readings))
    assert report.gpu_memory_growth_bytes == 2 * LARGEST_GROWTH_BYTES
    assert report.failures()[0].startswith("GPU memory grew by 67 MB")


def test_memory_that_grows_is_seen() -> None:
    kept: list[mmap.mmap] = []

    def leak(call: int, probability: Any) -> Any:
        kept.append(fresh_memory(1 << 20))
        return probability

    report = soak(engine_of(Scripted(leak)), FRAMES, SoakLimits(seconds=0, min_frames=200))
    assert report.memory_growth_bytes is not None and report.memory_growth_bytes > LARGEST_GROWTH_BYTES
    assert report.failures()[0].startswith("memory grew by")


@given(st.lists(st.integers(0, 1 << 40), min_size=8, max_size=80), st.integers(-(1 << 30), 1 << 30))
def test_growth_does_not_depend_on_the_level(samples: list[int], shift: int) -> None:
    found, moved = growth_of(samples), growth_of([sample + shift for sample in samples])
    assert found is not None and moved is not None and abs(found - moved) <= 1


@given(st.integers(8, 80), st.integers(1, 1000))
def test_growth_of_a_straight_line(count: int, slope: int) -> None:
    growth = growth_of([slope * index for index in range(count)])
    quarter = count // 4
    assert growth is not None and growth == pytest.approx(slope * (count - 2 * quarter), abs=slope)


def test_too_few_samples_say_nothing() -> None:
    assert growth_of([1, 2, 3, 4, 5, 6, 7]) is None


def test_warm_up_is_no_growth() -> None:
    assert growth_of([*range(0, 10 * (1 << 20), 1 << 20), *[10 << 20] * 30]) == 0


def test_resident_memory_counts_children_and_theirs() -> None:
    hold = "block = bytearray(48 << 20); print(flush=True); input()"
    nest = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {hold!r}])"
    before = resident_bytes()
    with subprocess.Popen([sys.executable, "-c", nest], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None and child.stdout is not None
        child.stdout.readline()
        assert resident_bytes() - before > 40 << 20
        child.stdin.write(b"\n")
    assert resident_bytes() - before < 20 << 20


def test_resident_memory_of_this_process_follows_an_allocation() -> None:
    before = resident_bytes()
    with fresh_memory(64 << 20):
        assert resident_bytes() - before > 48 << 20


def test_a_report_is_plain_json() -> None:
    report = soak(engine_of(Scripted()), FRAMES, SHORT)
    assert SoakReport.model_validate_json(report.model_dump_json()) == report
