"""docs/flows.md names functions that exist, in files that hold them."""

import ast
import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from documents import ROOT

FLOWS = (ROOT / "docs/flows.md").read_text()
NAMED = sorted(set(re.findall(r"`([\w/]+\.py):([\w.]+)`", FLOWS)))


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_every_function_of_a_flow_is_there(path: str, name: str) -> None:
    body = ast.parse((ROOT / path).read_text()).body
    for part in name.split("."):
        named = (ast.FunctionDef, ast.ClassDef)
        found = [node for node in body if isinstance(node, named) and node.name == part]
        assert found, f"{path} has no {name}"
        body = found[0].body


def test_the_hops_are_counted() -> None:
    file, live, both, _ = (len(re.findall(r"^\|.*\.py:", part, re.MULTILINE)) for part in FLOWS.split("\n## ")[1:])
    assert f"{file + both} functions from a file and {live + both} from live video" in FLOWS
