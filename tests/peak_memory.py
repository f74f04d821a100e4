"""The memory that a piece of work takes at its peak (Linux, proc(5))."""

import re
from collections.abc import Callable
from pathlib import Path


def peak_growth(work: Callable[[], object]) -> int:
    """Return by how many bytes the resident memory rises at most while `work` runs.

    `ru_maxrss` remembers the highest peak since the process began, so in a worker that has run larger tests before it
    stays where it is; here the mark is set back first. Blocks of less than 32 MiB may fit into memory that was freed
    and is resident still.
    """
    Path("/proc/self/clear_refs").write_text("5")
    before = _status_bytes("VmRSS")
    work()
    return _status_bytes("VmHWM") - before


def _status_bytes(key: str) -> int:
    found = re.search(rf"^{key}:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) << 10
