"""A batch in an empty home, under strace: Ray and its processes leave no file, look up no name and call nobody else."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edgeseg.optional import is_installed
from tests.cli.traced_box import Box, names
from tests.conftest import bright_pixel_network

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not is_installed("ray"), reason="archives need the extra `cluster`"),
]


def test_a_batch(
    tmp_path_factory: pytest.TempPathFactory, system_program: Callable[..., str], numbered_clip: Path
) -> None:
    """Ray's own folder is not below the box's, whose path is too long for its sockets; it is gone afterwards."""
    box = Box(system_program("strace"), tmp_path_factory.mktemp("box"))
    (box.work / "model.onnx").write_bytes(bright_pixel_network())
    command = ["batch", "model.onnx", str(numbered_clip), "--out", "results", "--workers", "1"]
    done, trace = box.trace([sys.executable, "-m", "edgeseg.cli", *command])
    assert done.returncode == 0, done.stderr
    assert names(box.work) == {"model.onnx", "results"}
    strangers = box.strangers(trace)
    assert all(path.startswith("/tmp/edgeseg-ray-") for path in strangers)
    assert not [path for path in strangers if Path(path).exists()]
    called = [call for call in trace.calls if not call.startswith("::ffff:127.0.0.1:")]
    assert called in ([], ["/etc/resolv.conf"])  # gRPC reads it when it is loaded; nobody is asked
    assert not names(box.home) | names(box.temporary)
