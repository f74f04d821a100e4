"""recipes/polyp.sh, from nothing to the three networks, with trainings of one epoch on tiny pictures."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edgeseg.train.record import RUN_RECORD, RunRecord

SCRIPT = Path(__file__).parents[2] / "recipes" / "polyp.sh"
TINY = ("training.epochs=1", "training.sizes=[]", "training.batch_size=4", "model.height=64", "model.width=64")
STEPS = ("kvasir-best", "kvasir-small", "kvasir-ultra", "teacher", "polyp-small-0", "polyp-small-2")
STEPS += ("best-taught", "polyp-ultra", "polyp-best")


def trained(blobs: Path, out: Path) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    mucosa, clip = blobs / "test" / "images", blobs / "validation" / "images"
    settings = [word for setting in TINY for word in ("--set", setting)]
    return subprocess.run(
        [str(SCRIPT), str(blobs), str(blobs), str(mucosa), str(clip), str(out), *settings],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_three_networks_from_nothing_and_a_second_call_goes_on(blobs: Path, tmp_path: Path) -> None:
    first = trained(blobs, tmp_path / "out")
    assert first.returncode == 0, first.stderr
    records = {name: RunRecord.read(tmp_path / "out" / name / RUN_RECORD) for name in STEPS}
    assert all(record.finished for record in records.values())
    assert records["kvasir-best"].start_sha256 is None
    starts = {name: record.start_sha256 for name, record in records.items()}
    assert starts["polyp-small-0"] == starts["polyp-small-2"] not in {None, starts["best-taught"]}
    assert records["polyp-small-0"].recipe_sha256 != records["polyp-small-2"].recipe_sha256
    assert records["polyp-best"].parameters > records["polyp-small-2"].parameters
    shutil.rmtree(tmp_path / "out" / "polyp-best")
    second = trained(blobs, tmp_path / "out")
    assert second.returncode == 0, second.stderr
    assert RunRecord.read(tmp_path / "out" / "polyp-best" / RUN_RECORD).finished
    assert {name: RunRecord.read(tmp_path / "out" / name / RUN_RECORD) for name in STEPS[:-1]} == {
        name: records[name] for name in STEPS[:-1]
    }


def test_it_says_what_it_needs() -> None:
    asked = subprocess.run([str(SCRIPT)], capture_output=True, text=True, check=False)
    assert asked.returncode == 2
    assert "recipes/polyp.sh KVASIR BOTH MUCOSA CLIP OUT" in asked.stderr
