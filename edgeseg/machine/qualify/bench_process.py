"""How fast an engine is, as `edgeseg bench` measures it, in a process of its own; see child.py."""

from __future__ import annotations

import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from edgeseg.child import answer_parent, ask_child
from edgeseg.machine.bench.bench_frames import synthetic_frames
from edgeseg.machine.bench.bench_report import BenchReport
from edgeseg.machine.bench.bench_run import bench
from edgeseg.machine.bench.plan import BenchPlan
from edgeseg.machine.bench.subject import subject_of

FRAME_SIZE = (1080, 1920)
"""Height and width, as endoscopy towers deliver them."""
PLAN = BenchPlan(rates=(Fraction(25), Fraction(60)), lanes=(), batches=())
"""Back to back, at the slowest and the fastest usual rate, with stages and a GPU's roofline; no throughput."""
_THIS = "edgeseg.machine.qualify.bench_process"


def bench_apart(engine: Path) -> BenchReport:
    """Measure an engine in a child process; up to half a minute, in which nothing else should run.

    Args:
        engine: Its passport beside it.

    Raises:
        ChildFailedError: The engine does not open or run, or its process died.
    """
    return BenchReport.from_json(ask_child(_THIS, str(engine), role="the bench"))


def measure(engine: str) -> str:
    """Measure an engine; runs in the child.

    Returns:
        The report as JSON.
    """
    subject = subject_of(Path(engine))
    plan = replace(PLAN, roofline=not subject.on_cpu)  # a CPU's peaks would be measured, with whatever else runs
    return bench(subject, synthetic_frames(*FRAME_SIZE), plan).to_json()


if __name__ == "__main__":
    sys.exit(answer_parent(lambda: measure(sys.argv[1])))
