"""Ray's workers: one start of Ray for all tests here but the long ones."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from edgeseg.errors import MissingComponentError
from edgeseg.optional import is_installed
from edgeseg.runtime.batch.archive_listing import list_archive
from edgeseg.runtime.batch.batch_driver import run_batch
from edgeseg.runtime.batch.batch_folder import BatchFolder
from edgeseg.runtime.batch.batch_worker import WorkerOptions
from edgeseg.runtime.batch.crew import LocalCrew
from edgeseg.runtime.batch.ray_crew import RayCrew, worker_count
from edgeseg.third_parties import RAY_HERE, RAY_QUIET, without_cloud_requests
from tests.conftest import bright_pixel_network

pytestmark = pytest.mark.skipif(not is_installed("ray"), reason="archives need the extra `cluster`")

Results = Callable[[Path], dict[str, bytes]]
CLIP_S = 0.4
CLIPS = 9 + 1 + 1
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "tiny.onnx"
    path.write_bytes(bright_pixel_network())
    return path


@pytest.fixture(scope="module")
def expected(engine: Path, archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of one worker in this process."""
    out = tmp_path_factory.mktemp("expected")
    with contextlib.closing(LocalCrew(WorkerOptions(engine, out, clip_s=CLIP_S))) as crew:
        run_batch(list_archive([str(archive)]).sources, BatchFolder(out), crew)
    return out


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ray")


@pytest.fixture(scope="module")
def crew(engine: Path, out: Path) -> Iterator[RayCrew]:
    handler = signal.getsignal(signal.SIGTERM)
    with contextlib.closing(RayCrew(WorkerOptions(engine, out, clip_s=CLIP_S), workers=2)) as crew:
        assert signal.getsignal(signal.SIGTERM) is handler
        yield crew


@pytest.mark.slow
def test_a_killed_worker_changes_nothing(
    crew: RayCrew, engine: Path, archive: Path, out: Path, expected: Path, results: Results
) -> None:
    """A worker is ended when the second clip is there; the other has finished it, or the clip is done once more."""
    victim = crew.process_ids()[1]
    killed = threading.Thread(target=_kill_at, args=(victim, out, 2))
    killed.start()
    result = run_batch(list_archive([f"file://{archive}"]).sources, BatchFolder(out), crew)
    killed.join()
    assert (result.workers_lost, result.clips, result.failures) == (1, CLIPS, ())
    assert crew.process_ids()[1] != victim
    assert results(out) == results(expected)


@pytest.mark.parametrize(("wanted", "room", "count"), [(None, 3, 3), (2, 3, 2), (3, 3, 3)])
def test_as_many_workers_as_there_is_room_for(wanted: int | None, room: int, count: int) -> None:
    assert worker_count(wanted, room) == count


@pytest.mark.parametrize(("wanted", "room"), [(None, 0), (1, 0), (4, 3)])
def test_workers_without_room_are_refused(wanted: int | None, room: int) -> None:
    with pytest.raises(MissingComponentError, match="no room for"):
        worker_count(wanted, room)


@pytest.mark.slow
def test_nothing_listens_off_loopback(crew: RayCrew) -> None:
    """Neither a process of Ray nor this one."""
    listening = [
        connection.laddr.ip
        for process in (psutil.Process(), *psutil.Process().children(recursive=True))
        for connection in _connections(process)
        if connection.status == psutil.CONN_LISTEN
    ]
    assert len(listening) >= 4
    assert {address.removeprefix("::ffff:") for address in listening} == {"127.0.0.1"}


def _connections(process: psutil.Process) -> list[psutil._common.pconn]:
    find = getattr(process, "net_connections", None) or process.connections
    with contextlib.suppress(psutil.NoSuchProcess):
        return list(find("inet"))
    return []


def _kill_at(process: int, out: Path, clips: int) -> None:
    _wait_for(lambda: len(_clips_done(out)) >= clips or (out / "sources.parquet").exists())
    os.kill(process, signal.SIGKILL)


def _clips_done(out: Path) -> list[Path]:
    """Clips whose results are whole; a half-written file has a dot before its name."""
    return list(out.glob("ledger/*/[!.]*.arrow"))


def _wait_for(happens: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not happens():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def batch(engine: Path, archive: Path, out: Path, workers: int | None, *more: str) -> subprocess.Popen[str]:
    words = [str(engine), str(archive), "--out", str(out), "--clip-seconds", "1", "--json", *more]
    words += [] if workers is None else ["--workers", str(workers)]
    return subprocess.Popen(
        [sys.executable, "-m", "edgeseg.cli", "batch", *words],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.long
def test_a_killed_driver_goes_on_where_it_was_and_nothing_is_done_twice(
    engine: Path, archive: Path, tmp_path: Path, expected: Path, results: Results
) -> None:
    out = tmp_path / "out"
    killed = batch(engine, archive, out, 2)
    _wait_for(lambda: len(_clips_done(out)) >= 2)
    parts = psutil.Process(killed.pid).children(recursive=True)
    (scratch,) = {name for part in parts for name in re.findall(r"/tmp/edgeseg-ray-\w+", _words(part))}
    killed.kill()
    killed.wait()
    ended = psutil.wait_procs([each for each in psutil.process_iter() if str(out) in _words(each)], timeout=60)
    assert not ended[1]
    done = _clips_done(out)
    again = batch(engine, archive, out, 2)
    document = json.loads(again.communicate(timeout=240)[0])
    assert again.returncode == 0
    assert document["clips_done_before"] >= len(done) >= 2
    assert document["clips_done"] + document["clips_done_before"] == 3 + 1 + 1
    assert results(out) == results(expected)
    assert not psutil.wait_procs(parts, timeout=120)[1]  # Ray's agents take a minute to see that they are alone
    shutil.rmtree(scratch)  # a killed driver cannot


def _words(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""


@pytest.mark.long
def test_one_worker_and_two_write_the_same(
    engine: Path, archive: Path, tmp_path: Path, expected: Path, results: Results
) -> None:
    for workers in (1, 2):
        process = batch(engine, archive, tmp_path / str(workers), workers)
        assert json.loads(process.communicate(timeout=240)[0])["workers"] == workers
    assert results(tmp_path / "1") == results(tmp_path / "2") == results(expected)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[str]:
    """The address of a cluster that was started before, of two cores of this machine, on loopback."""
    home = tmp_path / "home"
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    environment = {**os.environ, **RAY_HERE, **RAY_QUIET, "RAY_AUTH_MODE": "disabled", "HOME": str(home)}
    home.mkdir()
    scratch = tempfile.mkdtemp(prefix="edgeseg-ray-", dir="/tmp")
    flags = [f"--port={port}", "--num-cpus=2", "--include-dashboard=false", f"--temp-dir={scratch}"]
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", *flags]
    with without_cloud_requests(home):
        head = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert head.stdout is not None
        assert any("block forever" in line for line in head.stdout)
        yield f"127.0.0.1:{port}"
    finally:
        parts = psutil.Process(head.pid).children(recursive=True)  # they outlive it, and write to the folder
        head.terminate()
        head.wait(60)
        for part in parts:
            with contextlib.suppress(psutil.NoSuchProcess):
                part.terminate()  # by itself an agent takes a minute to see that it is alone
        assert not psutil.wait_procs(parts, timeout=60)[1]
        shutil.rmtree(scratch)


@pytest.mark.long
def test_a_cluster_gives_the_same(
    cluster: str,
    engine: Path,
    archive: Path,
    tmp_path: Path,
    expected: Path,
    results: Results,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in {**RAY_HERE, "RAY_AUTH_MODE": "disabled"}.items():  # as the cluster's
        monkeypatch.setenv(name, value)
    process = batch(engine, archive, tmp_path / "out", None, "--address", cluster)
    assert json.loads(process.communicate(timeout=240)[0])["workers"] == 2
    assert results(tmp_path / "out") == results(expected)
    crowded = batch(engine, archive, tmp_path / "crowded", 3, "--address", cluster)
    assert json.loads(crowded.communicate(timeout=240)[0])["found"] == "cores or GPUs for 2"
    assert crowded.returncode == 4
