"""One training on several devices: processes started by Fabric or by torchrun, joined by gloo (CPU) or NCCL (GPU).

The first process alone judges, writes and speaks; the others compute their share of every batch.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from edgeseg.errors import MismatchError, MissingComponentError, UsageError
from edgeseg.optional import require
from edgeseg.train.recipe import ConcretePrecision

LOST_SIGNS = ("gloo", "nccl", "connection closed", "connection reset", "broken pipe", "timed out", "socket")
"""Words in the messages of torch.distributed when another process has gone."""

ENDING_S = 10.0
"""How long the other processes may take to end by themselves when the first one ends."""


@dataclass(frozen=True)
class Launch:
    """The devices that a training runs on.

    With several, Fabric starts the running program once more for each further one, so all that the program does before
    training is done in each of them; a script must not write anything there.
    """

    devices: int | None = None
    """Number of devices of this machine; None: one, or what torchrun says."""
    timeout_minutes: float = 30.0
    """How long a process waits for the others before it gives up; the others wait while the first one validates."""


class LostProcessError(MissingComponentError):
    """Another process of the training has ended or does not answer."""


def is_first_process() -> bool:
    """Tell whether this process is the one that writes and speaks."""
    return int(os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0"))) == 0


def process_count(launch: Launch) -> int:
    """How many processes the training will have, on all machines together.

    Raises:
        UsageError: The number of devices contradicts torchrun's.
    """
    devices, nodes = _devices_and_nodes(launch.devices)
    return devices * nodes


def open_fabric(launch: Launch, precision: ConcretePrecision) -> Any:
    """Start the processes and join them.

    Returns:
        A launched `lightning_fabric.Fabric`.

    Raises:
        UsageError: The number of devices contradicts torchrun's.
        MissingComponentError: So many devices are not there.
        MismatchError: The processes sit on machines that chose different precisions.
    """
    fabric_package = require("lightning_fabric")
    devices, nodes = _devices_and_nodes(launch.devices)
    strategy: Any = "auto"
    if devices * nodes > 1:
        timeout = timedelta(minutes=launch.timeout_minutes)
        strategy = require("lightning_fabric.strategies").DDPStrategy(timeout=timeout)
    try:
        fabric = fabric_package.Fabric(
            accelerator="auto", devices=devices, num_nodes=nodes, precision=precision, strategy=strategy
        )
    except (ValueError, RuntimeError) as error:
        raise MissingComponentError(
            f"cannot train on {devices} devices", found=str(error).splitlines()[0], next_command="--devices 1"
        ) from error
    with lost_process_named(devices * nodes):
        fabric.launch()
        _watch(getattr(fabric.strategy.launcher, "procs", ()))
        _check_agreed(precision, fabric.broadcast(precision))
    return fabric


def _check_agreed(own: ConcretePrecision, first: ConcretePrecision) -> None:
    """Every process computes as the first one does, or the training ends before its first step."""
    if own != first:
        raise MismatchError(
            "the machines of this training are good at different arithmetic",
            found=f"training.precision={first} in the first process, {own} in this one",
            expected="one precision in all of them",
            next_command="--set training.precision=32-true  (every machine computes that)",
        )


def _devices_and_nodes(asked: int | None) -> tuple[int, int]:
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return asked or 1, 1
    local, world = int(os.environ["LOCAL_WORLD_SIZE"]), int(os.environ["WORLD_SIZE"])
    if asked not in (None, local):
        raise UsageError(
            "--devices contradicts torchrun",
            found=f"--devices {asked}, --nproc-per-node {local}",
            next_command="leave --devices away under torchrun",
        )
    return local, world // local


@contextlib.contextmanager
def lost_process_named(world_size: int) -> Iterator[None]:
    """Say in words that another process has gone, where torch.distributed says it in its own.

    Raises:
        LostProcessError: Instead of the backend's error.
    """
    try:
        yield
    except RuntimeError as error:
        text = str(error)
        if world_size == 1 or not any(sign in text.lower() for sign in LOST_SIGNS):
            raise
        raise LostProcessError(
            "another process of this training has ended or does not answer",
            found=text.splitlines()[0][:200],
            expected=f"{world_size} processes that go on together; the checkpoints in RUN are whole",
            next_command="look for the other process's own message above, then the same command with --resume",
        ) from error


def _watch(children: Sequence[subprocess.Popen[bytes]]) -> None:
    """Say it when a child that Fabric started fails (Fabric kills this process then, without a word, after seconds)."""

    def wait(rank: int, child: subprocess.Popen[bytes]) -> None:
        while (code := child.poll()) is None:
            time.sleep(0.2)
        if code:
            ending = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
            print(f"process {rank} of this training ended {ending}", file=sys.stderr, flush=True)

    for rank, child in enumerate(children, 1):
        threading.Thread(target=wait, args=(rank, child), name=f"watch-{rank}", daemon=True).start()
    atexit.register(_end, children)


def _end(children: Sequence[subprocess.Popen[bytes]]) -> None:
    """Leave no child behind: those that do not end with this process, because they hang or were stopped, are killed."""
    deadline = time.monotonic() + ENDING_S
    for child in children:
        try:
            child.wait(max(deadline - time.monotonic(), 0))
        except subprocess.TimeoutExpired:
            child.kill()
