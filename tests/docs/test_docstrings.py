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
ROOMS = ("benchmarks", "calibration", "edgeseg", "export", "runtime", "train")
NOT_YET = (
    "edgeseg/machine/bench/subject.py",
    "runtime/engine",
    "runtime/file",
    "runtime/live/assembly.py",
    "runtime/live/segmenter.py",
    "runtime/live/stream.py",
    "runtime/onnxruntime",
    "runtime/opener",
)
"""Rooms and files whose docstrings still lean on the name above them."""


def sources() -> Iterator[Path]:
    for room in ROOMS:
        for path in sorted((ROOT / room).glob("**/*.py")):
            if any(parent.is_symlink() for parent in path.parents):
                continue
            name = str(path.relative_to(ROOT))
            if not any(name == other or name.startswith(f"{other}/") for other in NOT_YET):
                yield path


@pytest.mark.parametrize("path", list(sources()), ids=lambda path: str(path.relative_to(ROOT)))
def test_docstrings_stand_on_their_own(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            assert not LEANING.match(node.value.value), f"{path}:{node.lineno}: {node.value.value.splitlines()[0]}"


def test_what_is_not_done_yet_is_there() -> None:
    for name in NOT_YET:
        assert (ROOT / name).exists(), name
