from pathlib import Path

import numpy as np
import pytest

from edgeseg.errors import MissingComponentError
from edgeseg.runtime.engine.machine import instruction_sets
from edgeseg.runtime.onnxruntime import int8_kernels
from edgeseg.runtime.onnxruntime.int8_kernels import (
    LAYERS,
    PAIRS,
    KernelReport,
    check_int8_kernels,
    examine_int8_kernels,
    expected,
    judge,
)
from tests.calibration.saturating_products import patches, rows_of, saturated_sums


def answers() -> list[np.ndarray]:
    return [expected(layer).astype(np.uint8) for layer in (*LAYERS, PAIRS)]


def test_the_known_answer_by_another_arithmetic() -> None:
    torch = pytest.importorskip("torch")
    for layer in (*LAYERS, PAIRS):
        levels, weight = int8_kernels._operands(layer)
        sums = torch.nn.functional.conv2d(
            torch.tensor(levels, dtype=torch.float64), torch.tensor(weight, dtype=torch.float64), groups=layer.groups
        )
        wanted = (sums * int8_kernels._factor(layer)).round().add(128).clamp(0, 255)
        np.testing.assert_array_equal(expected(layer), wanted.numpy())
        assert len(np.unique(expected(layer))) > 8, layer.name


def test_the_kernels_of_this_processor_are_right() -> None:
    check_int8_kernels()
    assert examine_int8_kernels().wrong == ()


def test_saturation_is_seen_as_the_processor_has_it() -> None:
    vnni = {"avx512_vnni", "avx_vnni"} & instruction_sets()
    if not instruction_sets() or "avx2" not in instruction_sets():
        pytest.skip("no x86-64 processor with AVX2, or none that Linux describes")
    if "cpuid_mask" in Path("/proc/self/maps").read_text():
        vnni = set()  # tests/older_processor hides it from ONNX Runtime alone
    assert examine_int8_kernels().saturates is not bool(vnni)


def test_what_saturation_makes_of_the_pairs_is_far_from_their_sum() -> None:
    levels, weight = int8_kernels._operands(PAIRS)
    sums = saturated_sums(patches(levels[0], (1, 1), (1, 1)), rows_of(weight)).T.reshape(expected(PAIRS).shape)
    saturated = np.clip(np.rint(sums * int8_kernels._factor(PAIRS)) + 128, 0, 255)
    assert judge([*answers()[:-1], saturated.astype(np.uint8)]) == KernelReport((), True)
    assert judge(answers()) == KernelReport((), False)


@pytest.mark.parametrize("index", range(len(LAYERS)), ids=[layer.name for layer in LAYERS])
def test_a_wrong_kernel_is_refused_by_name(index: int, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = answers()
    wrong[index].flat[3] ^= 4
    report = judge(wrong)
    assert len(report.wrong) == 1 and LAYERS[index].name in report.wrong[0] and "4 of 255" in report.wrong[0]
    monkeypatch.setattr(int8_kernels, "examine_int8_kernels", lambda: report)
    with pytest.raises(MissingComponentError) as caught:
        check_int8_kernels()
    assert LAYERS[index].name in str(caught.value) and "pip install --upgrade onnxruntime" in str(caught.value)


def test_one_level_of_rounding_is_not_a_wrong_kernel() -> None:
    rounded = answers()
    for answer in rounded:
        answer.flat[0] ^= 1
    assert judge(rounded) == KernelReport((), False)
