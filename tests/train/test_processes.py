import contextlib
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from edgeseg.errors import MismatchError, UsageError
from edgeseg.train import checkpoint, loop, processes
from edgeseg.train.processes import Launch, LostProcessError, is_first_process, lost_process_named, open_fabric
from edgeseg.train.record import RunRecord
from edgeseg.train.training import train

SCRIPT = Path(__file__).parent / "distributed_training.py"
SETTINGS = ["model.height=32", "model.width=32", "model.base_width=4", "model.depth=2"]
SETTINGS += ["training.epochs=2", "training.batch_size=4"]

pytestmark = [pytest.mark.timeout(900)]


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("distributed_training", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def started(*command: str, limit_s: float = 600) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key not in ("RANK", "LOCAL_RANK", "WORLD_SIZE")}
    environment["OMP_NUM_THREADS"] = "1"
    return subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, check=False, timeout=limit_s, env=environment
    )


def running() -> list[str]:
    """The command lines of all processes."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            lines.append(path.read_text())
    return lines


def arguments(data: Path, run: Path) -> list[str]:
    return ["train", str(data), "--out", str(run), *(part for value in SETTINGS for part in ("--set", value)), "--json"]


def weights_of(run: Path) -> dict[str, torch.Tensor]:
    weights: dict[str, torch.Tensor] = checkpoint.load(run / "last.pt")["network"]
    return weights


@pytest.mark.long
def test_both_launchers_give_the_same_run_and_the_first_process_alone_speaks(blobs: Path, tmp_path: Path) -> None:
    fabric, torchrun = tmp_path / "fabric", tmp_path / "torchrun"
    results = [
        started("-m", "edgeseg.cli", *arguments(blobs, fabric), "--devices", "2"),
        started(
            *("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"),
            *("--log-dir", str(tmp_path / "logs"), "-m", "edgeseg.cli"),
            *arguments(blobs, torchrun),
        ),
    ]
    for result, run in zip(results, (fabric, torchrun), strict=True):
        assert result.returncode == 0, result.stderr
        assert json.loads(result.stdout) == RunRecord.read(run / "run.json").to_dict()
        assert [line[:9] for line in result.stderr.splitlines() if line.startswith("epoch")] == [
            "epoch   1",
            "epoch   2",
        ]
        assert "Traceback" not in result.stderr
        assert checkpoint.load(run / "last.pt")["world_size"] == 2
    one, two = weights_of(fabric), weights_of(torchrun)
    assert all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.slow
def test_two_processes_equal_one_with_the_same_batch(
    blobs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    two = started(str(SCRIPT), str(blobs), str(tmp_path / "two"), "well", str(blobs / "test" / "images"))
    assert two.returncode == 0, two.stderr
    module = script()
    monkeypatch.setattr(loop, "network_from_recipe", module.plain_network)
    train(blobs, tmp_path / "one", module.recipe(), negatives=blobs / "test" / "images")
    initial = module.plain_network().state_dict()
    expected, found = weights_of(tmp_path / "one"), weights_of(tmp_path / "two")
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=2e-6)
        assert not torch.allclose(value, initial[name], atol=1e-4)
    losses = [checkpoint.load(tmp_path / name / "last.pt")["history"][1]["train_loss"] for name in ("one", "two")]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


@pytest.mark.long
@pytest.mark.parametrize("how", ["die", "stop"])
def test_a_lost_process_ends_the_other_in_words(
    blobs: Path, tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    result = started(str(SCRIPT), str(blobs), str(run), how, str(blobs / "test" / "images"))
    assert result.returncode == LostProcessError.exit_code, result.stderr
    assert "another process of this training has ended or does not answer" in result.stderr
    assert ("process 1 of this training ended by SIGKILL" in result.stderr) == (how == "die")
    assert not [line for line in running() if str(run) in line]
    assert RunRecord.read(run / "run.json").epochs == 1
    module = script()
    monkeypatch.setattr(loop, "network_from_recipe", module.plain_network)
    lines: list[str] = []
    record = train(blobs, run, module.recipe(), negatives=blobs / "test" / "images", resume=True, say=lines.append)
    assert record.finished
    assert "started with 2 processes, resumed with 1" in lines[0]


def test_the_first_process_is_told_by_the_launchers_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    assert is_first_process()
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert not is_first_process()
    monkeypatch.setenv("RANK", "0")
    assert is_first_process()


def test_devices_that_contradict_torchrun_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("TORCHELASTIC_RUN_ID", "x"), ("LOCAL_WORLD_SIZE", "2"), ("WORLD_SIZE", "4")):
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match="torchrun"):
        open_fabric(Launch(3), "32-true")
    assert processes._devices_and_nodes(None) == (2, 2)


def test_processes_of_one_precision_go_on_and_of_two_end_in_words() -> None:
    processes._check_agreed("bf16-mixed", "bf16-mixed")
    with pytest.raises(MismatchError, match="different arithmetic") as caught:
        processes._check_agreed("32-true", "bf16-mixed")
    assert "training.precision=32-true" in (caught.value.next_command or "")


def test_only_what_a_lost_process_causes_is_called_that() -> None:
    with pytest.raises(LostProcessError) as caught, lost_process_named(2):
        raise RuntimeError("[gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:1234")
    assert "--resume" in (caught.value.next_command or "")
    with pytest.raises(RuntimeError, match="shape"), lost_process_named(2):
        raise RuntimeError("shape mismatch")
    with pytest.raises(RuntimeError, match="gloo"), lost_process_named(1):
        raise RuntimeError("gloo")
