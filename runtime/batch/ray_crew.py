"""Workers as Ray actors, on this machine or on a cluster: each holds an engine, and one that ends is started again."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgeseg.child import ChildFailedError
from edgeseg.errors import EdgesegError, MissingComponentError
from edgeseg.optional import require
from edgeseg.runtime.batch.batch_values import BatchJob
from edgeseg.runtime.batch.batch_worker import BatchWorker, WorkerOptions, runs_on_gpu
from edgeseg.runtime.batch.crew import Job, Outcome, WorkerLost, outcome_of
from edgeseg.runtime.engine.machine import usable_cores
from edgeseg.third_parties import RAY_HERE, without_cloud_requests

OBJECT_STORE_BYTES = 80 * 2**20
"""The least that Ray takes: jobs and their outcomes are small, results go to files."""
_LONGEST_FOLDER = 20
"""Ray puts sockets below its folder, whose whole paths may have 107 characters."""
_TOKEN = "RAY_AUTH_TOKEN"


class RayCrew:
    """Some actors. A `Crew`.

    Args:
        options: What each worker is given; its paths must lead to the same files on every machine.
        workers: Their number; None takes as many as there are cores for, or one for each GPU.
        address: The address of a cluster that runs; None starts Ray here, for this process and on loopback alone.

    Raises:
        MissingComponentError: Ray is not installed, no cluster answers at the address, or there is no room for so many
            workers.
        EdgesegError: The engine cannot be opened.
    """

    def __init__(self, options: WorkerOptions, workers: int | None = None, address: str | None = None) -> None:
        on_gpu = runs_on_gpu(options.engine)
        if address is None:
            os.environ.update(RAY_HERE)  # read when Ray is imported
            os.environ["RAY_AUTH_MODE"] = "token"
            os.environ.setdefault(_TOKEN, secrets.token_hex(32))  # else Ray keeps one below the home
        self._ray: Any = require("ray")
        self._options, self._is_here = options, address is None
        self._opened = contextlib.ExitStack()
        self._actors: dict[int, Any] = {}
        self._jobs: dict[Any, tuple[int, Job]] = {}
        cores = 1 if on_gpu else options.threads or usable_cores()
        wanted = workers or max(1, usable_cores() // cores)
        try:
            self._opened.enter_context(_ray_at(self._ray, address, wanted * cores))
            self._actor = self._ray.remote(num_cpus=cores, num_gpus=int(on_gpu), max_restarts=0)(_Actor)
            resources = self._ray.cluster_resources()
            room = resources.get("GPU", 0) if on_gpu else resources.get("CPU", 0) // cores
            self._actors = {number: self._new() for number in range(worker_count(workers, int(room)))}
            self._job: BatchJob = _checked(self._ray.get(self._actors[0].job.remote()))
        except BaseException:
            self.close()
            raise

    @property
    def job(self) -> BatchJob:
        """The facts that the results of all workers have in common."""
        return self._job

    @property
    def size(self) -> int:
        """The number of workers."""
        return len(self._actors)

    @property
    def idle(self) -> list[int]:
        """The numbers of the workers that wait for a job."""
        busy = {number for number, _ in self._jobs.values()}
        return [number for number in self._actors if number not in busy]

    def give(self, worker: int, job: Job) -> None:
        """Give a job to an idle worker."""
        self._jobs[self._actors[worker].do.remote(job)] = (worker, job)

    def take(self, timeout_s: float) -> list[tuple[int, Job, Outcome]]:
        """Wait for outcomes; a worker that ended is replaced.

        Raises:
            EdgesegError: A worker cannot open the engine.
        """
        ready, _ = self._ray.wait(list(self._jobs), num_returns=1, timeout=timeout_s)
        outcomes = []
        for answer in ready:
            number, job = self._jobs.pop(answer)
            try:
                outcome: Outcome = _checked(self._ray.get(answer))
            except self._ray.exceptions.RayError as error:
                outcome = WorkerLost(" ".join(str(error).split())[:300])
                self._ray.kill(self._actors[number])
                self._actors[number] = self._new()
            outcomes.append((number, job, outcome))
        return outcomes

    def process_ids(self) -> dict[int, int]:
        """Ask the workers for their processes' numbers, on whatever machine they are."""
        return {number: self._ray.get(actor.process_id.remote()) for number, actor in self._actors.items()}

    def close(self) -> None:
        """End all workers, and Ray where it was started here."""
        self._actors, self._jobs = {}, {}
        self._opened.close()

    def _new(self) -> Any:
        return self._actor.remote(self._options, os.environ.get("HOME") if self._is_here else None)


def worker_count(wanted: int | None, room: int) -> int:
    """Give the number of workers to start; Ray would wait for ever for one that finds no room.

    Args:
        wanted: The number that was asked for; None takes all there is room for.
        room: How many there is room for.

    Raises:
        MissingComponentError: There is less room.
    """
    if not 0 < (wanted or room) <= room:
        raise MissingComponentError(
            f"there is no room for {wanted or 1} worker{'s' if (wanted or 1) > 1 else ''}",
            found=f"cores or GPUs for {room}",
            expected="a core for each thread of each worker, or a GPU for each worker of a GPU's engine",
            next_command=f"edgeseg batch ... --workers {room:d}" if room else "ray status",
        )
    return wanted or room


class _Actor:
    """A worker in a process of its own; it opens its engine when it is first asked for something.

    Args:
        options: What it is given.
        home: The user's home, where file systems look for credentials; None leaves it as it is.
    """

    def __init__(self, options: WorkerOptions, home: str | None) -> None:
        if home is not None:
            os.environ["HOME"] = home
        self._options = options
        self._worker: BatchWorker | None = None

    def job(self) -> BatchJob | dict[str, Any]:
        try:
            return self._opened().job
        except EdgesegError as error:
            return error.to_dict()

    def do(self, job: Job) -> Outcome | dict[str, Any]:
        try:
            worker = self._opened()
        except EdgesegError as error:
            return error.to_dict()
        return outcome_of(worker, job)

    def process_id(self) -> int:
        return os.getpid()

    def _opened(self) -> BatchWorker:
        if self._worker is None:
            self._worker = BatchWorker(self._options)
        return self._worker


def _checked(answer: Any) -> Any:
    """Raise what a worker says of an engine that it cannot open."""
    if isinstance(answer, dict):
        raise ChildFailedError(answer)
    return answer


@contextlib.contextmanager
def _ray_at(ray: Any, address: str | None, cores: int) -> Iterator[None]:
    """Connect to a cluster, or start Ray here; it ends with the block."""
    common: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": False}
    terminate = signal.getsignal(signal.SIGTERM)
    with contextlib.ExitStack() as stack:
        if address is None:
            folder = stack.enter_context(_scratch())
            here = {"include_dashboard": False, "_temp_dir": str(folder), "object_store_memory": OBJECT_STORE_BYTES}
            common |= {"num_cpus": cores, **here}
        stack.callback(ray.shutdown)
        try:
            with without_cloud_requests(folder) if address is None else contextlib.nullcontext():
                ray.init(address=address or "local", **common)
        except (ConnectionError, RuntimeError, ValueError, OSError, TimeoutError) as error:
            raise MissingComponentError(
                "Ray does not start" if address is None else f"no Ray cluster answers at {address}",
                found=" ".join(str(error).split())[:300],
                next_command="ray status" if address else "edgeseg batch ... --workers 1",
            ) from error
        finally:
            signal.signal(signal.SIGTERM, terminate)  # Ray would end with an exit code of its own
        yield


@contextlib.contextmanager
def _scratch() -> Iterator[Path]:
    """Give a folder for Ray's sockets and logs, which goes with the block."""
    usual = tempfile.gettempdir()
    folder = Path(tempfile.mkdtemp(prefix="edgeseg-ray-", dir=usual if len(usual) <= _LONGEST_FOLDER else "/tmp"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
