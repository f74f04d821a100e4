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
pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]


def called(*words: object, folder: Path) -> str:
    done = subprocess.run([str(word) for word in words], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that nothing of the build lies in the tree."""
    folder = tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT / "models", folder / "models")
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder / "dist"]
    called(*pip, folder / "models", folder=folder)
    (path,) = (folder / "dist").glob("edgeseg_models-*.whl")
    return path


def test_it_holds_the_packages_as_they_are_and_their_terms(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        found = {name.removeprefix("edgeseg_models/"): sha256_bytes(archive.read(name)) for name in names}
        metadata = next(archive.read(name) for name in archive.namelist() if name.endswith("METADATA")).decode()
    tracked = called("git", "ls-files", folder=ROOT / "models").splitlines()
    assert found == {name: sha256_file(ROOT / "models" / name) for name in tracked if name != "pyproject.toml"}
    assert "License-File: LICENSE.md" in metadata and "Requires-Dist" not in metadata


def test_an_installed_edgeseg_has_the_packages_by_name(wheel: Path, tmp_path: Path) -> None:
    called(sys.executable, "-m", "venv", "--system-site-packages", tmp_path / "venv", folder=tmp_path)
    python = tmp_path / "venv" / "bin" / "python"
    source = tmp_path / "source"  # a copy without links, whose wheel is installed: no source tree is near it
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(".*", "models", "tests", "benchmarks"), symlinks=True)
    site = next((Path(sys.prefix) / "lib").glob("python*")) / "site-packages"
    installed = next((tmp_path / "venv" / "lib").glob("python*")) / "site-packages"
    (installed / "dependencies.pth").write_text(f"{site}\n")
    pip = [python, "-m", "pip", "install", "--no-deps", "--no-build-isolation", "--no-index", "--ignore-installed"]
    called(*pip, source, folder=tmp_path)
    shutil.rmtree(source)
    where = called(python, "-c", "import edgeseg; print(edgeseg.__file__)", folder=tmp_path)
    assert where.startswith(str(installed)), "not the source tree's"
    edgeseg = [python, "-m", "edgeseg.cli"]
    missing = subprocess.run(
        [*map(str, edgeseg), "inspect", "kvasir-ultra"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert missing.returncode == 5 and "pip install edgeseg-models" in missing.stderr
    called(*pip, wheel, folder=tmp_path)
    assert "kvasir-small" in called(*edgeseg, "models", folder=tmp_path)
    assert "model package" in called(*edgeseg, "inspect", "kvasir-ultra", folder=tmp_path)
