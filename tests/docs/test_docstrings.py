"""A docstring stands on its own: ruff sees those of functions and classes, this test those of attributes, too."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from documents import ROOT

LEANING = re.compile(r"(Of|For|In|With|From|Where|What|Whether|That|Likewise|And) ")
ROOMS = ("benchmarks", "calibration", "ci", "edgeseg", "export", "runtime", "tests", "train")


def sources() -> Iterator[Path]:
    for room in ROOMS:
        for path in sorted((ROOT / room).glob("**/*.py")):
            if not any(parent.is_symlink() for parent in path.parents):
                yield path


@pytest.mark.parametrize("path", list(sources()), ids=lambda path: str(path.relative_to(ROOT)))
def test_docstrings_stand_on_their_own(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            assert not LEANING.match(node.value.value), f"{path}:{node.lineno}: {node.value.value.splitlines()[0]}"
