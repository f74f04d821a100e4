"""How many threads a training computes with on a CPU."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import torch

from edgeseg.runtime.engine.machine import usable_cores


@contextlib.contextmanager
def usable_threads() -> Iterator[None]:
    """Let PyTorch use no more threads than there are cores for this process, and put the former number back.

    PyTorch counts the machine's cores and knows nothing of a container's processor quota; threads beyond the quota wait
    for each other. OMP_NUM_THREADS has the last word.
    """
    former = torch.get_num_threads()
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(min(former, usable_cores()))
    try:
        yield
    finally:
        torch.set_num_threads(former)
