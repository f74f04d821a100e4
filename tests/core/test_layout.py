"""The list of packages in pyproject.toml, the folders and the committed links agree."""

import sys
from collections import Counter
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
STAGES = ("train", "export", "calibration", "runtime", "recipes")


def test_every_package_folder_is_listed() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    found = {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "edgeseg").glob("**/__init__.py")}
    for stage in STAGES:
        for path in (ROOT / stage).glob("**/__init__.py"):
            found.add("edgeseg." + ".".join(path.parent.relative_to(ROOT).parts))
    assert sorted(listed) == sorted(found)


def test_links_point_to_the_root_folders() -> None:
    for stage in STAGES:
        link = ROOT / "edgeseg" / stage
        assert link.is_symlink()
        assert link.readlink() == Path("..") / stage


def test_every_package_says_what_lives_there() -> None:
    for folder in (ROOT / "edgeseg", *(ROOT / stage for stage in STAGES)):
        for path in folder.glob("**/__init__.py"):
            first = path.read_text().splitlines()[:1]
            assert first, path
            assert first[0].startswith('"""'), path


def test_a_modules_name_occurs_once() -> None:
    """A command's file may be called like the plain function's: the command says, the function does."""
    paths = [path for stage in STAGES for path in (ROOT / stage).glob("**/*.py")]
    paths += [path for path in (ROOT / "edgeseg").glob("**/*.py") if not any(map(Path.is_symlink, path.parents))]
    modules = [path for path in paths if path.parent.name != "cli" and not path.name.startswith("__")]
    counted = Counter(path.name for path in modules)
    assert not [name for name, count in counted.items() if count > 1]
