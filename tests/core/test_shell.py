"""Commands that edgeseg proposes can be pasted, also where a path has blanks."""

import ast
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import edgeseg
from edgeseg.dataset import load_pairs
from edgeseg.errors import BadInputError
from edgeseg.shell import quoted

ROOT = Path(edgeseg.__file__).parents[1]
COMMANDS = {path.stem.replace("_", "-") for path in (ROOT / "edgeseg" / "cli").glob("*.py")}
COMMAND = re.compile(rf"edgeseg (?:{'|'.join(sorted(COMMANDS))}) |^ls |^mv ")


@settings(max_examples=30, deadline=None)
@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=20))
def test_a_shell_reads_one_word_again(word: str) -> None:
    assert shlex.split(f"edgeseg inspect {quoted(word)}") == ["edgeseg", "inspect", word]


def test_a_real_shell_agrees() -> None:
    path = Path("my data/it's $HOME; `x` *")
    told = subprocess.run(["sh", "-c", f"printf %s {quoted(path)}"], capture_output=True, text=True, check=True)
    assert told.stdout == str(path)


def test_a_plain_word_stays_as_it_is() -> None:
    assert quoted(Path("runs/a/model.int8.engine")) == "runs/a/model.int8.engine"


def test_the_command_of_an_error_is_pasted(tmp_path: Path) -> None:
    folder = tmp_path / "my images"
    folder.mkdir()
    with pytest.raises(BadInputError) as caught:
        load_pairs(folder, "test")
    assert shlex.split(caught.value.next_command or "") == ["edgeseg", "data", "inspect", str(folder)]


def sources() -> list[Path]:
    folders = (ROOT / name for name in ("train", "export", "calibration", "runtime"))
    core = list((ROOT / "edgeseg").glob("*.py"))
    rooms = ("cli", "graph", "signing", "synthetic")
    inner = [path for name in rooms for path in (ROOT / "edgeseg" / name).rglob("*.py")]
    return [*core, *inner, *(path for folder in folders for path in folder.rglob("*.py"))]


def unquoted(tree: ast.AST) -> list[str]:
    """The words that an f-string puts into a command without a look at their signs; numbers have a format."""
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.JoinedStr):
            continue
        before = ""
        for part in node.values:
            if isinstance(part, ast.Constant):
                before += str(part.value)
                continue
            assert isinstance(part, ast.FormattedValue)
            call = part.value.func if isinstance(part.value, ast.Call) else None
            is_quoted = isinstance(call, ast.Name) and call.id == "quoted"
            line = before.rsplit("\n", 1)[-1]
            if COMMAND.search(line) and before.endswith(" ") and part.format_spec is None and not is_quoted:
                found.append(f"line {part.lineno}: {ast.unparse(part.value)}")
            before += "WORD"
    return found


def test_the_search_finds_what_is_not_quoted() -> None:
    text = 'f"next: edgeseg verify {engine} --data {quoted(data)} --rate {rate:d}"'
    assert unquoted(ast.parse(text)) == ["line 1: engine"]


def test_every_proposed_command_is_quoted() -> None:
    assert len(sources()) > 200
    found = {str(path.relative_to(ROOT)): unquoted(ast.parse(path.read_text())) for path in sources()}
    assert {path: words for path, words in found.items() if words} == {}
