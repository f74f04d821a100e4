"""Two nodes of torchrun, which meet over the loopback and see different RUN folders, as two machines would."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from edgeseg.train import checkpoint, loop
from edgeseg.train.processes import LostProcessError
from edgeseg.train.training import train
from tests.train.test_processes import SCRIPT, script, weights_of

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]
Ended = tuple[subprocess.CompletedProcess[str], subprocess.CompletedProcess[str]]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def on_two_nodes(blobs: Path, folders: tuple[Path, Path], how: str) -> Ended:
    """Run the script as each node's administrator would start it; each node has a RUN folder of its own."""
    environment = {key: value for key, value in os.environ.items() if key not in ("RANK", "LOCAL_RANK", "WORLD_SIZE")}
    meeting = ["--nnodes=2", "--master-addr=127.0.0.1", f"--master-port={free_port()}", "--nproc-per-node=1"]
    nodes = [
        subprocess.Popen(
            [sys.executable, "-m", "torch.distributed.run", *meeting, f"--node-rank={rank}",
             f"--log-dir={run}-logs", str(SCRIPT), str(blobs), str(run), how, str(blobs / "test" / "images")],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**environment, "OMP_NUM_THREADS": "1"},
        )
        for rank, run in enumerate(folders)
    ]  # fmt: skip
    words = [node.communicate(timeout=600) for node in nodes]
    first, second = (
        subprocess.CompletedProcess(node.args, node.returncode, *said) for node, said in zip(nodes, words, strict=True)
    )
    return first, second


def test_two_nodes_equal_one_with_the_same_batch_and_go_on_after_one_has_died(
    blobs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = script()
    monkeypatch.setattr(loop, "network_from_recipe", module.plain_network)
    train(blobs, tmp_path / "one", module.recipe(), negatives=blobs / "test" / "images")
    whole = tmp_path / "whole" / "first", tmp_path / "whole" / "second"
    for node in on_two_nodes(blobs, whole, "well"):
        assert node.returncode == 0, node.stderr
    assert not whole[1].exists() and checkpoint.load(whole[0] / "last.pt")["world_size"] == 2
    expected, found = weights_of(tmp_path / "one"), weights_of(whole[0])
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=2e-6)

    cut = tmp_path / "cut" / "first", tmp_path / "cut" / "second"
    first, second = on_two_nodes(blobs, cut, "die")
    assert first.returncode != 0 and second.returncode != 0
    assert "another process of this training has ended or does not answer" in first.stderr
    assert f"exitcode  : {LostProcessError.exit_code} " in first.stderr
    assert len(checkpoint.load(cut[0] / "last.pt")["history"]) == 1
    for node in on_two_nodes(blobs, cut, "resume"):
        assert node.returncode == 0, node.stderr
    again = weights_of(cut[0])
    assert all(torch.equal(again[name], value) for name, value in found.items())
