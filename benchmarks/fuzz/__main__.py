"""Lets every reader of files read hostile ones, and counts what comes of it.

Usage: python -m benchmarks.fuzz [--cases N] [--seed N] [--only NAME] [--out FILE.md]
Each parser runs in processes of its own, with a limit of memory and of time; a process that dies or hangs is a finding,
and the next one goes on behind that case. Case INDEX of a parser is the same for the same seed, so a finding repeats:
    python -m benchmarks.fuzz.cases NAME SEED INDEX INDEX+1 FOLDER LOG
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.fuzz.cases import ACCEPTED, FINDING, PEAK
from benchmarks.fuzz.parsers import PARSERS, Parser
from edgeseg.files import write_text

HANG_S = 60.0
"""A case that takes longer hangs; the slowest honest one takes a second or two on a busy machine."""
START_S = 300.0
"""A process has this long until its first case: it imports everything and lets its parser read what is sound."""


def tried(parser: Parser, cases: int, seed: int, folder: Path) -> tuple[Counter[str], int]:
    """Try a parser; give its outcomes and the most memory that it held, in bytes."""
    log, done = folder / "log", 0
    log.write_text("")
    while done < cases:
        command = [sys.executable, "-m", "benchmarks.fuzz.cases", parser.name, str(seed), str(done), str(cases)]
        with (folder / "stderr").open("wb") as errors:
            process = subprocess.Popen([*command, str(folder / "run"), str(log)], stdout=errors, stderr=errors)
            ending = _ending(process, log)
        lines = log.read_text().splitlines(keepends=True)
        if lines and not lines[-1].endswith("\n"):  # the case at which it ended
            with log.open("a") as file:
                file.write(f"{FINDING}: {ending}\n")
        elif process.returncode:
            raise SystemExit(f"{parser.name}: {(folder / 'stderr').read_text(errors='replace')[-2000:]}")
        done = sum(not line.startswith(PEAK) for line in log.read_text().splitlines())
    rows = [line.split("\t", 1) for line in log.read_text().splitlines()]
    found: dict[str, list[str]] = {}
    for index, outcome in rows:
        if outcome.startswith(FINDING):
            found.setdefault(" ".join(outcome.split()[:3]), []).append(f"case {index}: {outcome}")
    for cases_alike in found.values():
        print(f"{parser.name}, {len(cases_alike)} alike, {cases_alike[0]}", flush=True)
    peak = max((int(value) for index, value in rows if index == PEAK), default=0)
    return Counter(outcome for index, outcome in rows if index != PEAK), peak


def _ending(process: subprocess.Popen[bytes], log: Path) -> str:
    """Wait for a process; end it where its log stands still."""
    size, since_s = -1, time.monotonic()
    while process.poll() is None:
        time.sleep(0.1)
        if log.stat().st_size != size:
            size, since_s = log.stat().st_size, time.monotonic()
        elif time.monotonic() - since_s > (HANG_S if _is_under_way(log) else START_S):
            process.kill()
            process.wait()
            return f"no answer in {HANG_S:.0f} s"
    return f"the process ended with {process.returncode}"


def _is_under_way(log: Path) -> bool:
    """Tell whether the last line of a log is that of a case that has not ended."""
    return not log.read_text().endswith("\n") and log.stat().st_size > 0


def row(name: str, outcomes: Counter[str], peak: int) -> str:
    """A line of the table."""
    findings = sum(count for outcome, count in outcomes.items() if outcome.startswith(FINDING))
    refused = {kind: n for kind, n in outcomes.most_common() if kind != ACCEPTED and not kind.startswith(FINDING)}
    words = ", ".join(f"{kind} {count}" for kind, count in refused.items())
    cells = (name, outcomes.total(), outcomes[ACCEPTED], words, findings, f"{peak / 2**20:.0f}" if peak else "")
    return "| " + " | ".join(map(str, cells)) + " |"


def main(
    cases: Annotated[int, typer.Option(help="Cases over all parsers.")] = 100_000,
    seed: Annotated[int, typer.Option(help="Another seed gives other cases.")] = 0,
    only: Annotated[str, typer.Option(help="Parsers whose name holds this.")] = "",
    out: Annotated[Path | None, typer.Option(help="Where the table goes, too.")] = None,
) -> None:
    """Try all parsers and print the table."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    chosen = [parser for parser in PARSERS if only.casefold() in parser.name.casefold()]
    shares = sum(parser.share for parser in chosen)
    lines = [
        "| reader | cases | accepted | refused | findings | peak MiB |",
        "| --- | ---: | ---: | --- | ---: | ---: |",
    ]
    total: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="edgeseg-fuzz-") as folder:
        for parser in chosen:
            outcomes, peak = tried(parser, max(1, round(cases * parser.share / shares)), seed, Path(folder))
            total += outcomes
            lines.append(row(parser.name, outcomes, peak))
            print(lines[-1], flush=True)
    lines.append(row("all", total, 0))
    print("\n".join(lines))
    if out is not None:
        write_text(out, "\n".join(lines) + "\n")
    raise typer.Exit(any(outcome.startswith(FINDING) for outcome in total))


if __name__ == "__main__":
    typer.run(main)
