"""Make copies of installed packages that take this processor for one with AVX2 alone. See README.md.

python build.py OUT [PACKAGE]...
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).with_name("cpuid_mask.c")
CPUID, TRAP = b"\x0f\xa2", b"\xcc\x90"
PACKAGES = ("onnxruntime", "torch")
STAMP = ".version"


def build(out: Path, packages: tuple[str, ...]) -> None:
    """Compile the answerer, and link or patch every file of the packages into OUT/site."""
    site = out / "site"
    site.mkdir(parents=True, exist_ok=True)
    subprocess.run(["gcc", "-O2", "-Wall", "-shared", "-fPIC", SOURCE, "-o", out / "cpuid_mask.so"], check=True)
    for package in packages:
        _copy(package, site)


def _copy(package: str, site: Path) -> None:
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        return
    source, target = Path(found.origin).parent, site / package
    version = f"{importlib.metadata.version(package)} {source}"
    if (target / STAMP).is_file() and (target / STAMP).read_text() == version:
        return
    for path in source.rglob("*"):
        if not path.is_file():
            continue
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.unlink(missing_ok=True)
        places = cpuid_offsets(path) if ".so" in path.name else []
        if places:
            copy.write_bytes(_patched(path.read_bytes(), places))
            print(f"{path.name}: {len(places)} cpuid instructions", file=sys.stderr)
        else:
            os.link(path, copy)
    (target / STAMP).write_text(version)


def cpuid_offsets(library: Path) -> list[int]:
    """Find the `cpuid` instructions of a file by disassembly: the two bytes occur inside others, too."""
    if CPUID not in library.read_bytes():
        return []
    with subprocess.Popen(["objdump", "-d", "--section=.text", library], stdout=subprocess.PIPE) as disassembly:
        grep = ["grep", "-P", r"\tcpuid"]
        lines = subprocess.run(grep, stdin=disassembly.stdout, capture_output=True, text=True, check=False).stdout
    addresses = [int(line.split(":")[0], 16) for line in lines.splitlines()]
    headers = subprocess.run(["readelf", "-lW", library], capture_output=True, text=True, check=True).stdout
    segments = [
        (int(offset, 16), int(address, 16), int(size, 16))
        for offset, address, size in re.findall(r"LOAD +(0x\w+) (0x\w+) 0x\w+ (0x\w+)", headers)
    ]
    return [
        address - start + offset
        for address in addresses
        for offset, start, size in segments
        if start <= address < start + size
    ]


def _patched(content: bytes, places: list[int]) -> bytes:
    patched = bytearray(content)
    for place in places:
        if patched[place : place + 2] != CPUID:
            raise SystemExit(f"no cpuid instruction at {place:#x}")
        patched[place : place + 2] = TRAP
    return bytes(patched)


if __name__ == "__main__":
    build(Path(sys.argv[1]), tuple(sys.argv[2:]) or PACKAGES)
