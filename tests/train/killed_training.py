"""Trains in processes that are killed again and again, and resumed; run by test_resuming.py.

The stack is imported once, each training is a fork of this process. A training is killed either by itself, at the n-th
time that it opens, renames or removes something in its RUN folder, or from outside, at a random moment.
"""

import os
import random
import signal
import sys
import time
import traceback
from pathlib import Path

import torch

from edgeseg.train.recipe import read_recipe
from edgeseg.train.training import train

EVENTS = {"open", "os.rename", "os.remove", "os.mkdir"}


def kill_at_event(run: Path, number: int) -> None:
    """Let this process die at the n-th touch of its RUN folder, before the touch."""
    left = [number]

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        if event in EVENTS and str(arguments[0]).startswith(str(run)):
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)


def attempt(data: Path, run: Path, settings: list[str], event: int | None = None, after_s: float | None = None) -> bool:
    """One process that trains, or goes on; whether it came to its end."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            torch.set_num_threads(1)
            if event is not None:
                kill_at_event(run, event)
            resume = (run / "recipe.toml").exists()
            train(data, run, read_recipe(None, settings), resume=resume, checkpoint_minutes=0)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    if after_s is not None:
        time.sleep(after_s)
        os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    if not killed and os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit("a training failed in its own way")
    return not killed


def main(data: Path, out: Path, settings: list[str]) -> None:
    """Train uninterrupted, killed at each touch in turn, and killed at random moments."""
    started = time.perf_counter()
    assert attempt(data, out / "whole", settings)
    whole_s = time.perf_counter() - started
    kills = 1
    while not attempt(data, out / "touched", settings, event=kills):
        kills += 1
    rng = random.Random(kills)
    for _ in range(6):
        if attempt(data, out / "random", settings, after_s=rng.uniform(0.1, 0.8) * whole_s):
            break
    assert attempt(data, out / "random", settings)
    print(kills - 1)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
