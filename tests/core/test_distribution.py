"""The wheel and the sdist: built, checked, installed without extras, and used outside the tree."""

import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml

import edgeseg
from edgeseg.images import write_png
from tests.conftest import TINY_SIZE, bright_pixel_network

ROOT = Path(__file__).parents[2]
ROOMS = ("train", "export", "calibration", "runtime", "recipes")
READ_AT_RUN_TIME = {".j2", ".cu", ".h", ".html", ".js", ".css", ".svg", ".toml", ".typed"}
CITATION = ROOT / "CITATION.cff"


def finished(*command: str | Path, cwd: Path, code: int = 0) -> str:
    """The output of a program that must end with the exit code."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, env=clean)
    assert done.returncode == code, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The wheel, made from the sdist, and the sdist."""
    folder = tmp_path_factory.mktemp("built")
    leave = shutil.ignore_patterns(".*", "__pycache__", "build", "dist", "wheels", "demo", "runs", "site", "*.egg-info")
    shutil.copytree(ROOT, folder / "source", symlinks=True, ignore=leave)
    finished(sys.executable, "-m", "build", "--outdir", folder / "dist", folder / "source", cwd=folder)
    (wheel,), (sdist,) = (folder / "dist").glob("*.whl"), (folder / "dist").glob("*.tar.gz")
    return wheel, sdist


def files_of_the_packages() -> set[str]:
    """The names that a wheel must have, from the folders."""
    names = set()
    for room in ("edgeseg", *ROOMS):
        for path in (ROOT / room).rglob("*"):
            inside = path.relative_to(ROOT)
            linked = room == "edgeseg" and len(inside.parts) > 1 and inside.parts[1] in ROOMS
            if path.is_file() and not linked and path.suffix in {".py", *READ_AT_RUN_TIME}:
                names.add(inside.as_posix() if room == "edgeseg" else f"edgeseg/{inside.as_posix()}")
    return names | {"pytest_edgeseg.py"}


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_the_wheel_holds_every_module_and_data_file_and_nothing_else(built: tuple[Path, Path]) -> None:
    wheel, sdist = built
    finished(sys.executable, "-m", "twine", "check", "--strict", wheel, sdist, cwd=wheel.parent)
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        assert names == files_of_the_packages()
        for name in archive.namelist():
            assert str(wheel.parents[1]).encode() not in archive.read(name), name
            assert str(ROOT).encode() not in archive.read(name) and str(
                Path.home()
            ).encode() + b"/" not in archive.read(name)
        (record,) = (name for name in archive.namelist() if name.endswith("/RECORD"))
        rows = list(csv.reader(io.StringIO(archive.read(record).decode())))
        assert len(rows) == len({row[0] for row in rows}) == len(archive.namelist())
    with tarfile.open(sdist) as archive:
        assert not [name for name in archive.getnames() if re.search(r"/(tests|models|\.\w+)/", name)]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder outside the tree with a network, pictures and masks; the network marks what is bright."""
    folder = tmp_path_factory.mktemp("desk")
    (folder / "net.onnx").write_bytes(bright_pixel_network())
    rng = np.random.default_rng(2)
    for index in range(12):
        mask = np.zeros((TINY_SIZE, TINY_SIZE), np.uint8)
        mask[6 : 16 + index % 3, 8:24] = 255
        picture = np.where(mask[..., None] > 0, 230, 20) + rng.integers(0, 20, (TINY_SIZE, TINY_SIZE, 3))
        for split in ("train", "validation", "test"):
            write_png(folder / "DATA" / split / "images" / f"{split}{index}.png", picture.astype(np.uint8))
            write_png(folder / "DATA" / split / "masks" / f"{split}{index}.png", mask)
            picture[0, 0] += 1  # the same picture in two splits is refused
    return folder


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_the_installed_wheel_goes_from_pictures_to_a_verdict_without_the_tree(
    built: tuple[Path, Path], desk: Path, tmp_path: Path
) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    programs = tmp_path / "venv" / "bin"
    finished(programs / "python", "-m", "pip", "install", "--quiet", built[0], cwd=desk)

    def typed(*words: str, code: int = 0) -> str:
        return finished(programs / "edgeseg", *words, cwd=desk, code=code)

    assert typed("--version").strip() == edgeseg.__version__
    found = json.loads(typed("doctor", "--json"))
    assert found
    where = finished(programs / "python", "-c", "import edgeseg; print(edgeseg.__file__)", cwd=desk).strip()
    assert Path(where).is_relative_to(tmp_path)
    clip = ["--clip", "clip.mp4", "--clip-frames", "8", "--clip-height", "64", "--clip-width", "64"]
    typed("data", "synth", "--out", "SYNTHETIC", "--train", "2", "--validation", "2", "--test", "2", *clip)
    typed("build-engine", "net.onnx", "--precision", "fp32", "--out", "net.fp32.engine")
    typed("run", "net.fp32.engine", "clip.mp4", "--out", "outlined.mp4", "--masks", "masks")
    assert len(list((desk / "masks").iterdir())) == 8
    proof = ["--reference", "net.onnx", "--data", "DATA", "--report", "proof", "--json"]
    assert json.loads(typed("verify", "net.fp32.engine", *proof))["passed"] is True
    assert (desk / "proof" / "verdict.html").is_file()
    typed("history", "proof/verdict.json", "--out", "history.html")
    typed("evaluate", "net.onnx", "DATA", "--report", "evaluation")
    typed("inspect", "net.fp32.engine")
    names = finished(
        *(programs / "python", "-c", "from edgeseg.train.recipe_folders import find_recipe, Path;"
          "print(find_recipe(Path('kvasir-lite0')), find_recipe(Path('kvasir-unet')).is_file())"), cwd=desk,
    )  # fmt: skip
    assert "site-packages/edgeseg/recipes/kvasir-lite0.toml True" in names
    assert "pip install 'edgeseg[train]'" in typed("train", "DATA", "--out", "RUN", "--json", code=4)


def test_the_version_has_one_source() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    assert not re.search(r"(?m)^version\s*=\s*\"", text) and 'attr = "edgeseg.__version__"' in text
    assert yaml.safe_load(CITATION.read_text())["version"] == edgeseg.__version__
    heading = re.search(r"(?m)^## (\S+)", (ROOT / "CHANGELOG.md").read_text())
    assert heading is not None and heading[1] == edgeseg.__version__


def test_the_citation_has_what_the_citation_file_format_requires() -> None:
    """Version 1.2.0 of the format requires `authors`, `cff-version`, `message` and `title`."""
    cited = yaml.safe_load(CITATION.read_text())
    assert {"authors", "cff-version", "message", "title"} <= cited.keys()
    assert cited["cff-version"] == "1.2.0" and cited["type"] in ("software", "dataset")
    assert cited["authors"] == [{"name": "The edgeseg developers"}]
    known = {"abstract", "authors", "cff-version", "keywords", "license", "message", "references", "title", "type"}
    assert cited.keys() <= known | {"version"} and cited["license"] == "Apache-2.0"
    for reference in cited["references"]:
        assert {"authors", "title", "type"} <= reference.keys(), reference
        assert all(author.keys() & {"name", "family-names"} for author in reference["authors"])
