"""Makes a training repeatable: a seed for every step, and PyTorch's deterministic algorithms."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import numpy as np
import torch

from edgeseg.errors import BadInputError

CUBLAS = "CUBLAS_WORKSPACE_CONFIG"


def step_seed(seed: int, epoch: int, step: int, rank: int) -> int:
    """The seed of one step, in 64 bits.

    A step's randomness depends on nothing that came before it, so a training that was cut off anywhere can go on as if
    it had not been. The parts are mixed by numpy's SeedSequence (O'Neill's seed_seq): neighbours share nothing.

    Args:
        seed: The recipe's seed.
        epoch: The epoch, from 1.
        step: The step within the epoch, from 0.
        rank: The process's rank, so that no two augment alike.
    """
    return int(np.random.SeedSequence([seed, epoch, step, rank]).generate_state(1, np.uint64)[0])


def epoch_seed(seed: int, epoch: int) -> int:
    """The seed of an epoch's order, the same in every process."""
    return seed * 100_003 + epoch


@contextlib.contextmanager
def deterministic_algorithms(enabled: bool) -> Iterator[None]:
    """Let PyTorch use nothing but deterministic kernels inside the block, and put the former setting back.

    cuBLAS needs a fixed workspace for it, which it reads when CUDA starts: enter the block before.

    Raises:
        BadInputError: An operation inside has no deterministic kernel on this device.
    """
    if not enabled:
        yield
        return
    former, benchmark = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    os.environ.setdefault(CUBLAS, ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
    try:
        yield
    except RuntimeError as error:
        if "deterministic" not in str(error):
            raise
        raise BadInputError(
            "this training has no deterministic form on this device",
            found=str(error).splitlines()[0][:200],
            next_command="edgeseg train DATA --out RUN --set training.deterministic=false",
        ) from error
    finally:
        torch.use_deterministic_algorithms(former)
        torch.backends.cudnn.benchmark = benchmark
