"""All figures of one GPU as a JSON document and a page, written together or not at all."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.gpu.page import page_from_results
from benchmarks.gpu.real_driver import RealGpu
from benchmarks.gpu.targets import Target, targets
from edgeseg.errors import EdgesegError
from edgeseg.files import atomic_folder, write_bytes
from edgeseg.runtime.engine.machine import describe_machine

SCHEMA_VERSION = 1
COMMAND = "make gpu"
PACKAGES = ("edgeseg", "numpy", "pycuda", "cuda-bindings", "torch", "tensorrt", "tensorrt-rtx-cu13")


def document_of(
    gpu: RealGpu, network: str, sections: Mapping[str, Any], probes: list[dict[str, Any]], tests: str
) -> dict[str, Any]:
    """Everything that was found.

    Args:
        gpu: What was measured.
        network: The package's name and input size.
        sections: What `section_apart` gave.
        probes: Likewise.
        tests: What became of the tests, in a line; empty where they were not run.

    Raises:
        EdgesegError: No section was measured.
    """
    measured = {name: section for name, section in sections.items() if "error" not in section}
    if not measured:
        raise EdgesegError("nothing could be measured, so nothing is written", found="; ".join(sections))
    engines = [section["engine"] for section in measured.values() if section["engine"]]
    return {
        "schema_version": SCHEMA_VERSION,
        "gpu": asdict(gpu),
        "machine": describe_machine(),
        "versions": _versions(),
        "command": COMMAND,
        "network": network,
        "engine": engines[0] if engines else {"name": "none", "stand_in": True},
        "tests": tests,
        "probes": probes,
        "sections": {name: section.get("figures", section) for name, section in sections.items()},
        "conditions": {name: section["conditions"] for name, section in measured.items()},
    }


def write_results(folder: Path, gpu: RealGpu, document: dict[str, Any]) -> list[Target]:
    """Write ``<gpu>.json`` and ``<gpu>.md`` into a folder; former ones are replaced.

    Returns:
        The lines of the page.
    """
    lines = targets(document["sections"])
    document = {**document, "targets": [{**asdict(line), "verdict": line.verdict} for line in lines]}
    texts = {".json": json.dumps(document, indent=1) + "\n", ".md": page_from_results(document, lines)}
    folder.mkdir(parents=True, exist_ok=True)
    beside = folder / f".{gpu.slug}"
    shutil.rmtree(beside, ignore_errors=True)
    with atomic_folder(beside) as whole:  # both exist before either is put in its place
        for suffix, text in texts.items():
            write_bytes(whole / f"{gpu.slug}{suffix}", text.encode())
    for suffix in texts:
        (beside / f"{gpu.slug}{suffix}").replace(folder / f"{gpu.slug}{suffix}")
    beside.rmdir()
    return lines


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
