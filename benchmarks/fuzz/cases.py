"""The cases of one parser, tried one after the other in this process, each on a line of its own in a log."""

from __future__ import annotations

import os
import random
import shutil
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from benchmarks.fuzz.audit import ForbiddenActError, Watch, limit_memory, peak_bytes
from benchmarks.fuzz.parsers import PARSERS, Parser
from edgeseg.errors import EdgesegError

ROOM_BYTES = 3 * 2**30
"""Memory that a case may take: three times what the largest picture needs."""
UNUSUAL = 0.02
"""Share of the cases in which something else than a file lies in the file's place."""
ACCEPTED = "accepted"
FINDING = "finding"
PEAK = "peak"


def named(name: str) -> Parser:
    """The parser of this name."""
    return next(parser for parser in PARSERS if parser.name == name)


def lay_out(parser: Parser, index: int, seed: int, folder: Path, seeds: list[bytes]) -> Path:
    """Write one case into a folder that is emptied for it; the same index and seed give the same case."""
    rng = random.Random(f"{parser.name} {seed} {index}")
    shutil.rmtree(folder, ignore_errors=True)
    path = folder / parser.file
    path.parent.mkdir(parents=True)
    data = rng.choice(seeds)
    mutated = data if index == 0 else parser.mutate(data, rng)
    path.write_bytes(mutated)
    if parser.around is not None:
        parser.around(path, mutated)
    if index and rng.random() < UNUSUAL:
        path.unlink()
        rng.choice(_UNUSUAL)(path)
    return path


def outcome(parser: Parser, path: Path, watch: Watch) -> str:
    """Let the parser read a case: `accepted`, the name of edgeseg's error, or `finding: ` and what went wrong."""
    watch.is_on = True
    try:
        parser.parse(path)
        return ACCEPTED
    except EdgesegError as error:
        said = f"{error}{error.to_dict()}"
        return type(error).__name__ if error.exit_code > 1 and said else f"{FINDING}: {error.what}"
    except (Exception, ForbiddenActError, RecursionError) as error:
        return f"{FINDING}: {type(error).__name__} {_where(error)}: {str(error)[:160]!r}"
    finally:
        watch.is_on = False


def main() -> None:
    """Try cases FIRST to LAST of a parser in FOLDER, and log their outcomes; see `benchmarks.fuzz.__main__`."""
    name, seed, first, last, folder, log = sys.argv[1:]
    parser, place = named(name), Path(folder)
    seeds = list(parser.seeds())
    place.mkdir(parents=True, exist_ok=True)
    watch = Watch(place)
    os.environ["XDG_CACHE_HOME"] = str(place / "cache")
    for warm in range(len(seeds)):  # imports are done before acts are watched and memory is counted
        path = lay_out(parser, 0, warm, place / "case", seeds)
        try:
            parser.parse(path)
        except EdgesegError as error:
            print(f"{name}: a sound file is refused: {error}", file=sys.stderr)
    limit_memory(ROOM_BYTES)
    with Path(log).open("ab", buffering=0) as file:  # what a process that dies had begun must stand there
        for index in range(int(first), int(last)):
            file.write(f"{index}\t".encode())
            path = lay_out(parser, index, int(seed), place / "case", seeds)
            came_of_it = outcome(parser, path, watch)
            file.write(" ".join(came_of_it.split()).encode("utf-8", "replace") + b"\n")
        file.write(f"{PEAK}\t{peak_bytes()}\n".encode())


def _where(error: BaseException) -> str:
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if "fuzz" not in Path(frame.filename).parent.name
    ]
    inside = [frame for frame in frames if "site-packages" not in frame.filename] or frames
    return f"{Path(inside[-1].filename).name}:{inside[-1].lineno}" if inside else "the check"


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**40)


def _link_to(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


_UNUSUAL: tuple[Callable[[Path], None], ...] = (
    os.mkfifo,
    _sparse,
    lambda path: path.mkdir(),
    lambda path: None,
    *(
        _link_to(target)
        for target in ("/dev/zero", "/dev/tty", "/dev/null", "/etc/passwd", "nowhere", "..", "/proc/self/mem")
    ),
    lambda path: path.symlink_to(path),
)

if __name__ == "__main__":
    main()
