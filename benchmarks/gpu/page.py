"""The figures as a page of Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.gpu.targets import Target


def page_from_results(document: Mapping[str, Any], lines: list[Target]) -> str:
    """The page of one GPU.

    Args:
        document: As written to the JSON file.
        lines: Its targets.
    """
    gpu, engine = document["gpu"], document["engine"]
    parts = [
        f"# {gpu['name']}",
        f"Compute capability {gpu['compute_capability']}, driver {gpu['driver']}; {document['machine']}; "
        f"{', '.join(f'{name} {version}' for name, version in document['versions'].items())}.",
        f"Engine: **{engine['name']}**, {document['network']}."
        + (
            " It stands in for TensorRT, which does not run here: its times are torch's, not TensorRT's."
            if engine["stand_in"]
            else ""
        ),
        f"    {document['command']}",
        "## Against the limits",
        _table(["what", "measured", "limit", ""], [[t.name, t.figure, t.limit, t.verdict] for t in lines]),
        "## Times",
        _table(
            ["what", "p50", "p90", "p99", "least", "samples", "median settled"],
            list(_time_rows(document["sections"])),
        ),
        "Milliseconds. A figure is that of the last three windows, whose medians differ by less than 1 % where the "
        "last column says yes.",
        "## The GPU meanwhile",
        _table(["section", "SM clock", "memory clock", "power", "temperature", "throttled by"], _sensor_rows(document)),
        "## Whether TensorRT runs here",
        _table(
            ["backend", "runs", "ended at", "said"],
            [[p["backend"], "yes" if p["runs"] else "no", p["step"], _one_line(p["said"])] for p in document["probes"]],
        ),
    ]
    failed = {name: section["error"] for name, section in document["sections"].items() if "error" in section}
    if failed:
        parts += ["## Not measured", _table(["section", "why"], [[k, _one_line(v)] for k, v in failed.items()])]
    if document.get("tests"):
        parts += ["## Tests", document["tests"]]
    return "\n\n".join(parts) + "\n"


def _time_rows(sections: Mapping[str, Any]) -> list[list[str]]:
    rows = []
    for name, measured in _measured(sections):
        figures = [f"{measured[key]:.3f}" for key in ("p50", "p90", "p99", "least")]
        rows.append([name, *figures, str(measured["samples"]), "yes" if measured["stable"] else "no"])
    return rows


def _measured(value: Any, name: str = "") -> list[tuple[str, Mapping[str, Any]]]:
    """Every measured value below, by its path."""
    if not isinstance(value, Mapping):
        return []
    if {"p50", "stable"} <= value.keys():
        return [(name, value)]
    found = []
    for key, below in value.items():
        shown = name if key in ("ms", "kernels", "lanes_ms", "alone_ms") else f"{name} {key}".strip().replace("_", " ")
        found += _measured(below, shown)
    return found


def _sensor_rows(document: Mapping[str, Any]) -> list[list[str]]:
    rows = []
    for name, readings in document["sensors"].items():
        if "not_read" in readings:
            rows.append([name, _one_line(readings["not_read"]), "", "", "", ""])
            continue
        units = {"sm_clock_mhz": "MHz", "memory_clock_mhz": "MHz", "power_w": "W", "temperature_c": "°C"}
        cells = [
            f"{readings[key]['min']:.0f} to {readings[key]['max']:.0f} {unit}" if key in readings else "-"
            for key, unit in units.items()
        ]
        rows.append([name, *cells, ", ".join(readings.get("throttled_by", [])) or "nothing"])
    return rows


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "/") for cell in line) + " |" for line in lines)


def _one_line(text: str) -> str:
    return " ".join(text.split())[:300]
