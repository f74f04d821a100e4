"""The figures as a page of Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.gpu.targets import Target


def page_from_results(document: Mapping[str, Any], lines: list[Target]) -> str:
    """The page of one GPU.

    Args:
        document: The document that was written to the JSON file.
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
        "## The machine meanwhile",
        _table(
            [
                "section",
                "clocks",
                "power",
                "temperature",
                "clocks lowered by (share of readings)",
                "cores busy elsewhere",
            ],
            _condition_rows(document["conditions"]),
        ),
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


def _condition_rows(conditions: Mapping[str, Any]) -> list[list[str]]:
    return [
        [
            name,
            _spreads(found["clocks_mhz"], "MHz"),
            _spreads(found["power_watts"], "W"),
            _spreads(found["temperature_c"], "°C"),
            _throttling(found["throttle"]),
            "not read" if found["other_cores"] is None else f"{found['other_cores']:.1f}",
        ]
        for name, found in conditions.items()
    ]


def _spreads(spreads: Mapping[str, Any] | None, unit: str) -> str:
    if spreads is None:
        return "not read"
    return ", ".join(
        f"{name} {seen['minimum']:.0f} to {seen['maximum']:.0f}, median {seen['median']:.0f} {unit}"
        for name, seen in spreads.items()
    )


def _throttling(throttle: Mapping[str, float] | None) -> str:
    if throttle is None:
        return "not read"
    return ", ".join(f"{reason} ({share:.0%})" for reason, share in throttle.items()) or "nothing"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "/") for cell in line) + " |" for line in lines)


def _one_line(text: str) -> str:
    return " ".join(text.split())[:300]
