"""Documents stay short, their links lead somewhere, and their lines end where a sentence does."""

import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from documents import DOCUMENTS, ROOT, prose_of

LONGEST = {"README.md": 800, "docs/architecture.md": 1200}
named = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


@pytest.mark.parametrize(("name", "words"), LONGEST.items())
def test_what_is_read_first_is_short(name: str, words: int) -> None:
    assert len((ROOT / name).read_text().split()) <= words


@named
def test_links_lead_to_files(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text()):
        assert (path.parent / target).exists(), target


@named
def test_files_that_are_named_exist(path: Path) -> None:
    for name in re.findall(r"`((?:docs|docker|recipes|benchmarks|ci|deploy)/[\w./-]*\w\.\w+)`", path.read_text()):
        assert (ROOT / name).exists(), name


@named
def test_lines_end_where_a_sentence_does(path: Path) -> None:
    for paragraph in prose_of(path):
        for number, line in paragraph[:-1]:
            assert re.search(r"[.!?:;][)*_`\"']*$", line), f"{path}:{number}: {line}"


@named
def test_no_line_holds_two_sentences(path: Path) -> None:
    """Items of a list may: there a new line would look like a new item."""
    for paragraph in prose_of(path):
        for number, line in paragraph:
            if re.match(r"- |\d+\. |  |\*\*", line):
                continue
            text = re.sub(r"`[^`]*`", "code", line)
            assert not re.search(r"(?<!al)[a-z)]\. [A-Z]", text), f"{path}:{number}: {line}"
