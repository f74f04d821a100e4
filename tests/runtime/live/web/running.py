"""A stream as a user starts it: the command as a process, with real engine processes and a synthetic camera."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from subprocess import PIPE

from tests.conftest import bright_pixel_network

ROOT = Path(__file__).parents[4]
SOURCE = "synthetic:320x240@10"
UP_S = 90.0


def write_engine(folder: Path) -> Path:
    """A network that marks bright pixels."""
    path = folder / "bright.onnx"
    path.write_bytes(bright_pixel_network())
    return path


class RunningStream:
    """`edgeseg live`, up and serving its page.

    Args:
        engine: The model.
        flags: More of the command line.
        web: Where the page listens.
        environment: Added to this process's own.
        sources: What it shows.
    """

    def __init__(
        self,
        engine: Path,
        *flags: str,
        web: str = "127.0.0.1:0",
        environment: dict[str, str] | None = None,
        sources: tuple[str, ...] = (SOURCE,),
    ) -> None:
        words = [
            sys.executable,
            "-m",
            "edgeseg.cli",
            "live",
            str(engine),
            *sources,
            "--threads",
            "1",
            "--web",
            web,
            *flags,
        ]
        self.process = subprocess.Popen(
            words, cwd=ROOT, env={**os.environ, **(environment or {})}, stdout=PIPE, stderr=PIPE, text=True
        )
        self.output = ""
        """Give what it printed, once it has ended."""
        self.lines: list[str] = []
        """Give what it has said so far."""
        self._url = ""
        self._up = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        assert self._up.wait(UP_S) and self._url, self.lines

    @property
    def url(self) -> str:
        """The address of the page, by loopback."""
        return self._url.replace("0.0.0.0", "127.0.0.1")

    @property
    def worker_pids(self) -> list[int]:
        """List the ids of the engine's processes, by the kernel's own list."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [int(pid) for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]

    def kill_workers(self) -> None:
        """All at once."""
        for pid in self.worker_pids:
            os.kill(pid, signal.SIGKILL)

    def wait_for_line(self, text: str) -> None:
        """Until it has said so."""
        until_s = time.monotonic() + UP_S
        while not any(text in line for line in self.lines):
            assert time.monotonic() < until_s and self.process.poll() is None, self.lines
            time.sleep(0.05)

    def end(self) -> int:
        """Ask for the end, and wait for it; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
        try:
            return self.process.wait(30)
        finally:
            self.process.kill()
            self._reader.join(5)

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line.rstrip())
            found = re.search(r"page: (https?://[^\s\"]+)", line)
            if found:
                self._url = found[1]
                self._up.set()
        self._up.set()
        assert self.process.stdout is not None
        self.output = self.process.stdout.read()
