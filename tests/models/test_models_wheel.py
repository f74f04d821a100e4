"""The wheel edgeseg-models: built, installed beside edgeseg in an environment of its own, and found by name there."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from edgeseg.files import sha256_bytes, sha256_file

ROOT = Path(__file__).parents[2]
PREFIX = Path(sys.prefix)
pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]


def called(*words: object, folder: Path) -> str:
    done = subprocess.run([str(word) for word in words], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def built(source: Path, folder: Path, *left_out: str) -> Path:
    """A wheel, built from a copy, so that nothing of the build lies in the tree."""
    shutil.copytree(source, folder / "copy", symlinks=True, ignore=shutil.ignore_patterns(*left_out))
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder / "dist"]
    called(*pip, folder / "copy", folder=folder)
    (path,) = (folder / "dist").glob("*.whl")
    return path


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(ROOT / "models", tmp_path_factory.mktemp("wheel"))


def test_it_holds_the_packages_as_they_are_and_their_terms(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        found = {name.removeprefix("edgeseg_models/"): sha256_bytes(archive.read(name)) for name in names}
        metadata = next(archive.read(name) for name in archive.namelist() if name.endswith("METADATA")).decode()
    tracked = called("git", "ls-files", folder=ROOT / "models").splitlines()
    assert found == {name: sha256_file(ROOT / "models" / name) for name in tracked if name != "pyproject.toml"}
    assert "License-File: LICENSE.md" in metadata and "Requires-Dist" not in metadata


def test_an_installed_edgeseg_has_the_packages_by_name(wheel: Path, tmp_path: Path) -> None:
    called(sys.executable, "-m", "venv", tmp_path / "venv", folder=tmp_path)
    python = tmp_path / "venv" / "bin" / "python"
    packages = [next((prefix / "lib").glob("python*")) / "site-packages" for prefix in (tmp_path / "venv", PREFIX)]
    (packages[0] / "dependencies.pth").write_text(f"{packages[1]}\n")
    pip = [python, "-m", "pip", "install", "--no-deps", "--no-index", "--ignore-installed"]
    called(*pip, built(ROOT, tmp_path, ".*", "models", "tests", "benchmarks"), folder=tmp_path)
    where = called(python, "-c", "import edgeseg; print(edgeseg.__file__)", folder=tmp_path)
    assert where.startswith(str(packages[0])), "the source tree's"
    edgeseg = [python, "-m", "edgeseg.cli"]
    missing = subprocess.run(
        [*map(str, edgeseg), "inspect", "kvasir-ultra"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert missing.returncode == 5 and "pip install edgeseg-models" in missing.stderr
    called(*pip, wheel, folder=tmp_path)
    assert "kvasir-small" in called(*edgeseg, "models", folder=tmp_path)
    assert "model package" in called(*edgeseg, "inspect", "kvasir-ultra", folder=tmp_path)
