from __future__ import annotations

import subprocess
import sys
import textwrap
import time
from pathlib import Path

from edgeseg.runtime.worker.restarts import RestartBudget, RestartLimit

FOLDER = Path(__file__).parent


def test_a_worker_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    program = tmp_path / "parent.py"
    program.write_text(
        textwrap.dedent(
            f"""
            import sys, time
            sys.path[:0] = [{str(FOLDER)!r}, {str(Path.cwd())!r}]
            import scripted_session
            from edgeseg.runtime.worker.supervisor import Supervisor
            if __name__ == "__main__":
                session = Supervisor(scripted_session.open_scripted, scripted_session.info())
                session.wait_ready(60)
                print(session.worker_pid, session._ring.name, flush=True)
                time.sleep(3600)
            """
        )
    )
    parent = subprocess.Popen([sys.executable, str(program)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid, memory = parent.stdout.readline().split()
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 10
    while (Path("/proc", pid).exists() or Path("/dev/shm", memory).exists()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path("/proc", pid).exists() and not Path("/dev/shm", memory).exists()


def test_the_parent_loads_no_cuda_package() -> None:
    code = (
        "import sys, edgeseg.runtime.worker.supervisor, edgeseg.runtime.cuda.cuda_engine; "
        "print([name for name in sys.modules if name.partition('.')[0] in ('pycuda', 'cuda', 'tensorrt')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_a_restart_budget_is_a_sliding_window() -> None:
    budget = RestartBudget(RestartLimit(restarts=2, window_s=10.0))
    assert [budget.take(now_s) for now_s in (0.0, 4.0, 5.0, 9.9, 10.0, 10.1, 13.9, 14.0)] == [
        True,
        True,
        False,
        False,
        True,
        False,
        False,
        True,
    ]
    assert not RestartBudget(RestartLimit(restarts=0)).take(0.0)
