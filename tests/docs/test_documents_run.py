"""Every whole `edgeseg ...` line of the documents runs, page by page, in the order in which it is read."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from desk import TLS_TOKEN, lay_out, shortened, typed
from documents import CARDS, DOCUMENTS, ROOT, Command, commands_of, lines_of

from edgeseg.cli import run

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PAGES = [
    path
    for path in [*DOCUMENTS, *CARDS]
    if path != ROOT / "README.md" and any(command.is_whole for command in commands_of(path))
]
"""The README's commands run in test_documented_commands.py, where what they give is looked at, too."""
BENCHMARKS = [line for path in DOCUMENTS for line in lines_of(path, "benchmarks/") if "GPU_WHEELS" not in line]
LONG = {ROOT / "docs/guide-jetson-igx-rtx.md", ROOT / "docs/how-to/own-networks.md", ROOT / "docs/how-to/batch.md"}
"""Whole benchmarks and qualifications; a search of learning rates; several starts of Ray."""
UNHURRIED = (pytest.mark.long, pytest.mark.timeout(1800))
PASSED, UNDECIDED, ABSENT, NO_INPUT = 0, 3, 4, 5
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def laid_out(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    torch = pytest.importorskip("torch", reason="training needs the extra `train`")
    desk = tmp_path_factory.mktemp("desk")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # on a busy machine a network this small waits for its second thread
    lay_out(desk)
    yield desk
    torch.set_num_threads(threads)


@pytest.fixture
def desk(laid_out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of its own for each page."""
    copy = tmp_path / "desk"
    shutil.copytree(laid_out, copy, symlinks=True)
    monkeypatch.chdir(copy)
    monkeypatch.syspath_prepend(copy)
    monkeypatch.setenv("EDGESEG_TOKEN", TLS_TOKEN)
    monkeypatch.setenv("XDG_CACHE_HOME", str(copy / "cache"))
    yield copy
    sys.modules.pop("package.module", None)


def expected(command: Command) -> set[int]:
    """The exit codes with which a line may end on this desk: its networks have seen eight pictures for one epoch."""
    name = command.words[1]
    if "tensorrt" in command.words:
        return {PASSED, ABSENT}
    if "--storage" in command.words:
        return {ABSENT}
    if "camera:0" in command.words or any("://" in word for word in command.words):
        return {NO_INPUT}
    return {PASSED, UNDECIDED} if name in ("verify", "package", "advise") or "--qualify" in command.words else {PASSED}


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=UNHURRIED) if page in LONG else page for page in PAGES],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_its_commands_run(page: Path, desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in commands_of(page):
        if not command.is_whole:
            continue
        words = typed(command)
        if words[0] in ("train", "package") and "--out" in words and "--resume" not in words:  # made already
            shutil.rmtree(words[words.index("--out") + 1], ignore_errors=True)
        code = run(words)
        assert code in expected(command), f"{command} ended with {code}:\n{capsys.readouterr().err}"
        if code == ABSENT and "build-engine" in words:  # what follows wants an engine
            assert run([*words[: words.index("--backend")], *words[words.index("--backend") + 2 :]]) == PASSED


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("line", BENCHMARKS, ids=" ".join)
def test_its_benchmarks_run(line: list[str], desk: Path) -> None:
    done = subprocess.run(shortened(line), cwd=desk, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_its_targets_and_extras_exist(path: Path) -> None:
    for words in lines_of(path, "make"):
        done = subprocess.run(["make", "--dry-run", *words[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for words in lines_of(path, "pip"):
        for named in re.findall(r"\.\[([\w,]+)\]", " ".join(words)):
            assert set(named.split(",")) <= set(extras), words
