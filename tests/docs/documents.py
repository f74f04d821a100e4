"""The project's documents, and the `edgeseg ...` commands that they show."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "SECURITY.md",
        *(ROOT / "docs").glob("**/*.md"),
        *(
            path
            for room in ("calibration", "docker", "edgeseg", "export", "runtime", "tests", "train")
            for path in (ROOT / room).glob("**/README.md")
            if not any(parent.is_symlink() for parent in path.parents)
        ),
    ]
)
CARDS = sorted((ROOT / "models").glob("*/card.md"))
"""Written by `edgeseg package`."""
_FENCE = "    "


@dataclass(frozen=True)
class Command:
    """One command of a document."""

    document: Path
    line: int
    words: tuple[str, ...]
    """The words that are typed, `edgeseg` included."""
    is_whole: bool
    """Shown in a block to be typed as it stands; a command inside a sentence may leave arguments out."""

    def __str__(self) -> str:
        return f"{self.document.relative_to(ROOT)}:{self.line}: {' '.join(self.words)}"


def commands_of(path: Path) -> list[Command]:
    """Every command of a document, in order; continued lines are joined."""
    commands = []
    lines = path.read_text().splitlines()
    for number, line in enumerate(lines, 1):
        if line.startswith(_FENCE):
            following = number
            while line.endswith("\\"):
                line = line[:-1] + lines[following].strip()
                following += 1
            if line.strip().startswith("edgeseg ") and "docker run" not in lines[number - 2]:
                words = shlex.split(line, comments=True)
                commands.append(Command(path, number, tuple(words), True))
        else:
            for text in re.findall(r"`(edgeseg [a-z-][^`]*)`", line):
                commands.append(Command(path, number, tuple(shlex.split(text)), False))
    return commands


def lines_of(path: Path, program: str) -> list[list[str]]:
    """The words of every line of a document that is to be typed and that runs `program`."""
    lines = [line for line in path.read_text().splitlines() if line.startswith(_FENCE) and program in line]
    typed = [shlex.split(line, comments=True) for line in lines]
    return [words for words in typed if any(word.startswith(program) for word in words)]


def prose_of(path: Path) -> list[list[tuple[int, str]]]:
    """The paragraphs and list items of a document, each as its numbered lines: no code, tables, headings, pictures."""
    paragraphs: list[list[tuple[int, str]]] = [[]]
    in_fence = False
    for number, line in enumerate(path.read_text().splitlines(), 1):
        in_fence ^= line.startswith("```")
        if in_fence or not line.strip() or line.startswith((_FENCE, "|", "#", "!", ">", "```")):
            paragraphs.append([])
        elif re.match(r"- |\d+\. ", line):
            paragraphs.append([(number, line)])
        else:
            paragraphs[-1].append((number, line))
    return [paragraph for paragraph in paragraphs if paragraph]
