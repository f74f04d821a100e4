"""How much a study saves: `python benchmarks/study.py DATA [--workers N]`.

The same trials three times: by `edgeseg train` one after the other, by `edgeseg study` without giving any up, and with.
DATA needs the splits train and validation. Wall time counts on a machine without other work, processor time on any.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edgeseg.files import write_text
from edgeseg.runtime.engine.machine import usable_cores
from edgeseg.train.recipe import recipe_to_toml
from edgeseg.train.studies.points import grid_of
from edgeseg.train.studies.study_file import read_study, recipe_of

STUDY = """
title = "Twelve trials"
question = "How long do twelve trials take?"
seeds = [0]

[recipe.model]
height = 64
width = 64

[recipe.training]
epochs = 6
batch_size = 8
fraction = 0.2
loss = "bce"
schedule = "cosine"
precision = "32-true"

[[axes]]
name = "optimiser"
key = "training.optimiser"
values = ["adam", "adamax", "rmsprop", "sgd"]

[[axes]]
name = "learning rate"
key = "training.learning_rate"
values = [0.001, 0.0001, 0.00001]

[pruning]
first_epoch = 1
keep = 0.34
"""


@dataclass(frozen=True)
class Cost:
    """The time that some processes took."""

    wall_s: float
    processor_s: float


def measured(work: Callable[[], None]) -> Cost:
    """Run work that starts processes and waits for them."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    work()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(time.perf_counter() - started, used)


def edgeseg(*arguments: str, threads: int) -> subprocess.Popen[bytes]:
    """Start a command of edgeseg, quietly."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    command = [sys.executable, "-m", "edgeseg.cli", *arguments]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def finished(*processes: subprocess.Popen[bytes]) -> None:
    """Wait for processes that must end well."""
    codes = [process.wait() for process in processes]
    if any(codes):
        raise SystemExit(f"a process ended with {codes}")


def one_by_one(file: Path, data: Path, folder: Path, cores: int) -> None:
    """Train every trial by a command of its own, on all cores."""
    study = read_study(str(file))
    for point in grid_of(study, False):
        recipe = folder / f"{point.key}.toml"
        write_text(recipe, recipe_to_toml(recipe_of(study, point.settings)))
        finished(edgeseg("train", str(data), "--out", str(folder / point.key), "--recipe", str(recipe), threads=cores))


def as_study(file: Path, data: Path, out: Path, workers: int, *more: str) -> None:
    """Train them as a study, one thread a process."""
    arguments = ("study", str(file), "--data", str(data), "--out", str(out), *more)
    finished(*(edgeseg(*arguments, threads=1) for _ in range(workers)))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--workers", type=int, default=usable_cores(), help="processes of the study")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = folder / "twelve-trials.toml"
        write_text(file, STUDY)
        data, workers = options.data.absolute(), options.workers
        costs = {
            "one by one": measured(lambda: one_by_one(file, data, folder / "single", workers)),
            "study, none given up": measured(lambda: as_study(file, data, folder / "all", workers, "--no-prune")),
            "study, hopeless ones given up": measured(lambda: as_study(file, data, folder / "pruned", workers)),
        }
    base = costs["one by one"]
    print(f"{'':30s} {'wall s':>8s} {'ratio':>6s} {'processor s':>12s} {'ratio':>6s}")
    for words, cost in costs.items():
        print(
            f"{words:30s} {cost.wall_s:8.1f} {base.wall_s / cost.wall_s:6.2f} {cost.processor_s:12.1f} "
            f"{base.processor_s / cost.processor_s:6.2f}"
        )


if __name__ == "__main__":
    main()
