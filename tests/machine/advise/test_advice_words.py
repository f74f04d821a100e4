"""The headline and the sentences of each case, on candidates made up for it."""

from __future__ import annotations

from typing import Any

import pytest

from edgeseg.artifacts import ConfidenceInterval, Percentiles, PolypChange, TimeShare
from edgeseg.machine.advise.advice_values import Candidate, Kind, TimingRecord
from edgeseg.machine.advise.advice_words import headline, sentences

WIDE = ConfidenceInterval(low=-0.001, high=0.002)


def share(ratio: float, outcome: Any) -> TimeShare:
    around = ConfidenceInterval(low=ratio - 0.01, high=ratio + 0.01)
    saved = ConfidenceInterval(low=4.5, high=5.5)
    return TimeShare(ratio=ratio, interval=around, saved_ms=5.0, saved_interval=saved, outcome=outcome)


def candidate(kind: Kind, ms: float = 10, holds: Any = True, backend: str = "onnxruntime", **update: Any) -> Candidate:
    found = Candidate(
        backend=backend,
        kind=kind,
        file=f"x.{kind}.engine",
        convolutions=44,
        int8_convolutions={"fp32": 0, "fp16": 0, "mixed": 39, "int8": 42}[kind],
        holds=holds,
        reasons=("mean Dice drop 0.0120 is beyond 0.005",) if holds is False else ("all in order",),
        mean_dice=0.9,
        mean_dice_drop=0.0004,
        drop_interval=WIDE,
        max_dice_drop=0.005,
        lost=PolypChange(count=1, of=80, names=("a",), interval=ConfidenceInterval(low=0.0003, high=0.0677)),
        end_to_end=Percentiles(p50_ms=ms + 1, p90_ms=ms + 2, p99_ms=ms + 3, max_ms=ms + 3, mean_ms=ms + 1),
        undisturbed_ms=ms,
    )
    return found.model_copy(update=update)


def timing(noise: float = 0.01, stable: bool = True, other_cores: float | None = 0.0) -> TimingRecord:
    return TimingRecord(
        rounds=90,
        pictures=16,
        stable=stable,
        max_s=60,
        twin=share(1, "within noise"),
        noise=noise,
        other_cores=other_cores,
    )


def told(advised: Candidate | None, candidates: list[Candidate], record: TimingRecord | None = None) -> str:
    return "\n".join(sentences(advised, [], candidates, record or timing(), 100, "test"))


FLOAT32, FP16 = candidate("fp32"), candidate("fp16", 15)


def test_int8_that_pays() -> None:
    int8 = candidate("int8", 5, over_float32=share(0.5, "quicker"), over_fp16=share(0.33, "quicker"))
    assert headline(int8, [], [FLOAT32, FP16, int8], False) == "Ship INT8 on onnxruntime"
    words = told(int8, [FLOAT32, FP16, int8])
    assert "mean Dice drop of +0.0004 (95% interval -0.0010 to +0.0020; limit 0.005)" in words
    assert "loses 1 of 80 polyps (95% interval 0.0 to 6.8 %)" in words
    assert "5.00 ms from frame to mask undisturbed; as measured p50 6.00, p99 8.00 ms" in words
    assert "Against float32 on onnxruntime it gains 5.00 ms (95% interval 4.50 to 5.50): 0.50 of its time" in words
    assert "Against FP16 on onnxruntime it gains" in words
    assert "these times say nothing about a GPU" in words


def test_int8_that_is_no_quicker_is_not_worth_it() -> None:
    int8 = candidate("int8", 10.2, over_advised=share(1.02, "within noise"))
    assert headline(FLOAT32, [], [FLOAT32, int8], False) == "Ship float32 on onnxruntime: INT8 is not worth it here"
    assert "INT8 on onnxruntime takes 1.02 of the time of float32 on onnxruntime" in told(FLOAT32, [FLOAT32, int8])
    assert "within noise" in told(FLOAT32, [FLOAT32, int8])
    little = candidate("int8", 9.8, over_advised=share(0.98, "quicker"))
    assert "less than the 3% that would pay for its rounding" in told(FLOAT32, [FLOAT32, little])


def test_a_difference_within_noise_is_said_to_be() -> None:
    int8 = candidate("int8", 5, over_float32=share(0.99, "within noise"))
    assert "Against float32 on onnxruntime the difference is within noise: 0.99 of its time" in told(int8, [int8])


def test_int8_out_of_limits() -> None:
    int8 = candidate("int8", 5, holds=False)
    assert headline(FLOAT32, [], [FLOAT32, int8], False) == "Ship float32 on onnxruntime: INT8 breaks the limits"
    words = told(FLOAT32, [FLOAT32, int8])
    assert "INT8 on onnxruntime breaks the limits: mean Dice drop 0.0120 is beyond 0.005" in words


def test_a_mix_names_its_convolutions() -> None:
    mixed = candidate("mixed", 6)
    assert headline(mixed, [], [FLOAT32, mixed], False) == "Ship INT8 in 39 of 44 convolutions on onnxruntime"


def test_without_int8_nothing_is_said_of_its_worth() -> None:
    missing = Candidate(backend="onnxruntime", kind="int8", reasons=("INT8 needs a calibration table",))
    assert headline(FLOAT32, [], [FLOAT32, missing], False) == "Ship float32 on onnxruntime"
    assert "No INT8 on onnxruntime: INT8 needs a calibration table" in told(FLOAT32, [FLOAT32, missing])


def test_nothing_holds_and_undecided() -> None:
    broken = candidate("int8", holds=False)
    assert headline(None, [], [broken], False) == "Nothing holds the limits"
    assert "INT8 on onnxruntime: mean Dice drop 0.0120 is beyond 0.005" in told(None, [broken])
    assert headline(None, [], [broken], True) == "Undecided: these images prove nothing"


def test_too_noisy_to_tell() -> None:
    int8 = candidate("int8", 8, over_advised=share(0.8, "within noise"))
    assert headline(FLOAT32, [int8], [FLOAT32, int8], False).startswith("Too noisy to tell: float32 on onnxruntime")
    lines = sentences(FLOAT32, [int8], [FLOAT32, int8], timing(noise=0.3, other_cores=1.5), 100, "test")
    words = "\n".join(lines)
    assert "may hide that these are quicker than float32 on onnxruntime: INT8 on onnxruntime (0.80 of its time" in words
    assert "differed by up to 30.0%" in words and "too noisy to tell 3%" in words
    assert "Other processes kept 1.5 cores busy" in words
    assert words.count("INT8 on onnxruntime") == 1  # said once, as a doubt


@pytest.mark.parametrize(
    ("stable", "cores", "said"), [(False, 0.0, "did not settle"), (True, None, "could not be seen")]
)
def test_how_far_times_can_be_trusted(stable: bool, cores: float | None, said: str) -> None:
    assert said in told(FLOAT32, [FLOAT32], timing(stable=stable, other_cores=cores))
    assert "too noisy" not in told(FLOAT32, [FLOAT32], timing(stable=stable, other_cores=cores))


def test_times_of_a_gpu_are_not_called_a_cpus() -> None:
    gpu = candidate("fp16", backend="tensorrt")
    assert "say nothing about a GPU" not in told(gpu, [gpu])
