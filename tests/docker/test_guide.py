"""The guide names files and extras that are there; tests/docs checks its commands."""

import re
import sys
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    ROOT / "docs" / "guide-jetson-igx-rtx.md",
    ROOT / "docker" / "README.md",
    ROOT / "docs" / "how-to" / "live.md",
]
TEXT = {path: path.read_text() for path in DOCUMENTS}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_files_that_are_named_exist(path: Path) -> None:
    for name in re.findall(r"(?:docker|models)/[\w./-]*\w", TEXT[path].replace("nvidia-docker/", "")):
        assert (ROOT / name).exists(), name


def test_extras_that_are_named_exist() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = {
        extra for text in TEXT.values() for match in re.findall(r"\.\[([\w,]+)\]", text) for extra in match.split(",")
    }
    assert {"cuda12", "cuda13", "rtx"} <= named <= set(extras)


def test_the_guide_says_that_it_was_not_tried_and_names_sources() -> None:
    text = TEXT[DOCUMENTS[0]]
    assert "Nothing on this page was tried" in text.split("\n\n")[1]
    assert len(re.findall(r"<https://docs\.nvidia\.com/", text)) >= 5
