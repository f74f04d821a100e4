"""Tests of what can be held of a Dockerfile without Docker."""

import re
import shutil
import sys
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
DOCKERFILES = sorted((ROOT / "docker").glob("Dockerfile.*"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())

Instruction = tuple[str, str]


def instructions(path: Path) -> list[Instruction]:
    """(KEYWORD, arguments) of each instruction, continued lines joined, comments left out."""
    lines = [line for line in path.read_text().splitlines() if line.strip() and not line.lstrip().startswith("#")]
    whole = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [(keyword, rest) for keyword, _, rest in (line.partition(" ") for line in whole.splitlines())]


def of(path: Path, keyword: str) -> list[str]:
    return [rest for name, rest in instructions(path) if name == keyword]


def test_there_are_two() -> None:
    assert [path.suffix for path in DOCKERFILES] == [".l4t", ".x86"]


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
class TestDockerfile:
    def test_it_says_first_that_it_was_not_built(self, path: Path) -> None:
        assert path.read_text().startswith("# Not built and not run where it was written")

    def test_bases_are_pinned(self, path: Path) -> None:
        bases = [rest.split()[0] for rest in of(path, "FROM")]
        assert len(bases) == 2
        assert all(re.search(r":[^:]*\d", base) and not base.endswith(":latest") for base in bases)

    def test_what_is_copied_exists(self, path: Path) -> None:
        for words in (rest.split() for rest in of(path, "COPY") if not rest.startswith("--from")):
            for source in words[:-1]:
                assert (ROOT / source).exists(), source

    def test_stages_that_are_named_exist(self, path: Path) -> None:
        stages = {rest.split()[-1] for rest in of(path, "FROM") if " AS " in rest}
        named = {match for rest in of(path, "COPY") for match in re.findall(r"--from=(\S+)", rest)}
        assert named == stages

    def test_extras_exist_and_packages_are_in_their_ranges(self, path: Path) -> None:
        extras = PROJECT["project"]["optional-dependencies"]
        commands = " ".join(of(path, "RUN"))
        (named,) = re.findall(r'"\.\[([\w,]+)\]"', commands)
        cuda, page = named.split(",")
        assert page == "web" and extras[page]
        for requirement in extras[cuda]:
            assert f'"{requirement}"' in commands, "what is built before the sources is what the extra asks for"

    def test_the_copied_sources_hold_every_package_of_the_project(self, path: Path, tmp_path: Path) -> None:
        for words in (rest.split() for rest in of(path, "COPY") if not rest.startswith("--from")):
            for source in words[:-1]:
                if words[-1] == "./":
                    shutil.copy(ROOT / source, tmp_path / source)
                elif not words[-1].startswith("/"):
                    shutil.copytree(ROOT / source, tmp_path / words[-1], symlinks=True)
        for package in PROJECT["tool"]["setuptools"]["packages"]:
            assert (tmp_path / Path(*package.split("."), "__init__.py")).is_file(), package
        for module in PROJECT["tool"]["setuptools"]["py-modules"]:
            assert (tmp_path / f"{module}.py").is_file(), module
        for name in (PROJECT["project"]["readme"], *PROJECT["project"]["license-files"]):
            assert (tmp_path / name).is_file(), name

    def test_it_runs_as_a_user_of_its_own_and_is_watched(self, path: Path) -> None:
        names = [name for name, _ in instructions(path)]
        assert names.index("USER") < names.index("ENTRYPOINT")
        assert of(path, "USER") == ["edgeseg"]
        assert names.count("HEALTHCHECK") == 1 and "edgeseg doctor" in of(path, "HEALTHCHECK")[0]

    def test_package_lists_do_not_stay(self, path: Path) -> None:
        for command in of(path, "RUN"):
            assert ("apt-get install" in command) == ("rm -rf /var/lib/apt/lists/*" in command)
            assert "pip install" not in command or "--no-cache-dir" in command


def test_the_settings_of_pycuda_are_python() -> None:
    names: dict[str, object] = {}
    exec((ROOT / "docker" / "aksetup-defaults.py").read_text(), names)
    assert names["CUDA_ENABLE_CURAND"] is False and names["CUDADRV_LIBNAME"] == ["cuda"]


def test_the_context_leaves_out_what_is_made() -> None:
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert {".git", ".venv", ".cache"} <= set(ignored)
    assert not set(ignored) & {"edgeseg", "train", "export", "calibration", "runtime", "models", "docker"}
