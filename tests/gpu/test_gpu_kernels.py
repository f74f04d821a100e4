"""The tests of tests/cuda_kernels once more, their kernels on the GPU: the same cases, oracles and tolerances."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import FunctionType

KERNEL_TESTS = Path(__file__).parents[1] / "cuda_kernels"
NOT_HERE = {"test_guard_pages_catch_a_read_outside_the_window"}
"""On a GPU compute-sanitizer does that: test_sanitizer.py."""


def _tests_of(name: str) -> dict[str, FunctionType]:
    spec = importlib.util.spec_from_file_location(f"{name}_on_gpu", KERNEL_TESTS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    tests = {key: value for key, value in vars(module).items() if key.startswith("test_") and key not in NOT_HERE}
    return {f"{key}_{name.removeprefix('test_')}": value for key, value in tests.items()}


MODULES = ("test_preprocess_kernel", "test_nv12_kernel", "test_i420_kernel", "test_mask_kernel")
TESTS = [_tests_of(name) for name in MODULES]
for found in TESTS:
    globals().update(found)


def test_every_kernel_test_is_here() -> None:
    assert [len(found) for found in TESTS] == [5, 7, 6, 5]
