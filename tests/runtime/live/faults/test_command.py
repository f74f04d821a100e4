"""`edgeseg run` as a process: ended by signals it leaves whole files, no process and the exit code of a shell."""

from __future__ import annotations

import itertools
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import pytest

from tests.runtime.live.faults.conftest import Command, children, is_gone, until

Start = Callable[..., Command]
CAMERA = "synthetic:160x120@25"


def frames_of(path: Path) -> list[Any]:
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_stream_that_is_told_to_end_leaves_whole_files(
    command: Start, tmp_path: Path, number: int, code: int
) -> None:
    out, raw, masks, events = (tmp_path / name for name in ("out.mp4", "raw.mp4", "masks.jsonl", "events.jsonl"))
    run = command(CAMERA, "--out", out, "--record", raw, "--masks", masks, "--events", events)
    until(lambda: (masks.exists() and masks.read_bytes().count(b"\n") >= 30) or run.process.poll() is not None)
    run.until_runs()
    assert len(run.workers) >= 2
    run.signal(number)
    exit_code, status = run.end()
    assert exit_code == code, run.log.read_text()
    assert status["state"] == "stopped"
    sinks = {sink["name"].split()[0]: sink for sink in status["sinks"]}
    assert all(sink["state"] == "closed" and sink["failures"] == 0 for sink in sinks.values()), sinks
    for path, view in ((out, "overlay"), (raw, "raw")):
        frames = frames_of(path)
        assert len(frames) == sinks[view]["written"] >= 30
        assert all(before.pts < after.pts for before, after in itertools.pairwise(frames))
    numbers = [json.loads(line)["frame"] for line in masks.read_text().splitlines()]
    assert len(numbers) >= 30 and numbers == sorted(set(numbers))
    assert events.read_bytes()[-1:] in (b"", b"\n")


def test_a_stream_that_is_told_to_end_while_it_starts(command: Start, tmp_path: Path) -> None:
    run = command(CAMERA, "--out", tmp_path / "out.mp4")
    until(lambda: len(children(run.process.pid)) >= 2)
    run.workers = children(run.process.pid)
    run.signal(signal.SIGTERM)
    exit_code, _ = run.end()
    assert exit_code == 143, run.log.read_text()
    assert not (tmp_path / "out.mp4").exists()


def test_a_stream_that_is_killed_leaves_no_process_and_what_it_recorded(command: Start, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    run = command(CAMERA, "--out", out)
    run.until_runs()
    until(lambda: (out.exists() and out.stat().st_size > 60_000) or run.process.poll() is not None)
    run.signal(signal.SIGKILL)
    run.process.communicate()
    until(lambda: all(is_gone(pid) for pid in run.workers))
    assert len(frames_of(out)) >= 25
