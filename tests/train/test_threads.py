import pytest
import torch

from edgeseg.train import threads
from edgeseg.train.threads import usable_threads


@pytest.fixture(autouse=True)
def four_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(torch, "get_num_threads", lambda: seen[-1])
    monkeypatch.setattr(torch, "set_num_threads", lambda count: seen.append(count))
    seen[:] = [4]


seen: list[int] = []


@pytest.mark.parametrize(("cores", "expected"), [(1, 1), (3, 3), (4, 4), (64, 4)])
def test_a_processor_quota_limits_the_threads_and_more_cores_add_none(
    monkeypatch: pytest.MonkeyPatch, cores: int, expected: int
) -> None:
    monkeypatch.setattr(threads, "usable_cores", lambda: cores)
    with usable_threads():
        assert seen[-1] == expected
    assert seen[-1] == 4


def test_omp_num_threads_has_the_last_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "usable_cores", lambda: 1)
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    with usable_threads():
        assert seen[-1] == 4
