"""Prometheus rules and the Grafana dashboard, by promtool and against what a real run exports."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import bright_pixel_network
from tests.runtime.live.web.running import RunningStream, write_engine

httpx = pytest.importorskip("httpx")
for package in ("fastapi", "uvicorn", "websockets", "prometheus_client"):
    pytest.importorskip(package)
DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = DEPLOY / "prometheus" / "edgeseg-rules.yml"
RULE_TESTS = DEPLOY / "prometheus" / "tests" / "edgeseg-rules-test.yml"
DASHBOARD = json.loads((DEPLOY / "grafana" / "edgeseg-live.json").read_text())
ALERTS = re.findall(r"- alert: (\w+)", RULES.read_text())
TOKEN = "0123456789abcdef0123"
Promtool = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def promtool(system_program: Callable[..., str]) -> Promtool:
    path = system_program("promtool", package="prometheus")

    def run(*words: object, text: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run([path, *map(str, words)], input=text, capture_output=True, text=True, timeout=60)

    return run


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The metrics of two streams with drift watch and shadow."""
    folder = tmp_path_factory.mktemp("box")
    for name, border in (("shadow", 120.0), ("reference", 124.0)):
        (folder / f"{name}.onnx").write_bytes(bright_pixel_network(border))
    flags = ("--shadow", str(folder / "shadow.onnx"), "--reference", str(folder / "reference.onnx"))
    running = RunningStream(
        write_engine(folder),
        *flags,
        *("--out", str(folder / "out.mp4")),
        environment={"EDGESEG_TOKEN": TOKEN},
        sources=("left=synthetic:320x240@10?seed=1", "right=synthetic:160x120@10?seed=2"),
    )
    try:
        answer = httpx.get(f"{running.url}metrics", headers={"Authorization": f"Bearer {TOKEN}"}, timeout=30)
    finally:
        code = running.end()
    assert answer.status_code == 200 and code == 143, running.lines
    yield answer.text


def _expressions() -> list[str]:
    """Every expression of the dashboard, with values in place of its variables."""
    panels = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    notes = [note["expr"] for note in DASHBOARD["annotations"]["list"]]
    values = {"$instance": ".*", "$stream": ".*", "$__rate_interval": "1m"}
    every = [*panels, *notes]
    for variable, value in values.items():
        every = [expression.replace(variable, value) for expression in every]
    assert not any("$" in expression for expression in every)
    return every


def test_promtool_finds_nothing_wrong_with_rules_and_configuration(promtool: Promtool) -> None:
    for words in (("check", "rules", RULES), ("check", "config", "--syntax-only", RULES.parent / "prometheus.yml")):
        done = promtool(*words)
        assert done.returncode == 0, done.stderr


def test_every_alert_fires_when_it_should_and_only_then(promtool: Promtool) -> None:
    done = promtool("test", "rules", RULE_TESTS)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.long
@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_that_is_not_there_is_missed(alert: str, promtool: Promtool, tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / RULES.name).write_text(RULES.read_text().replace(f"- alert: {alert}\n", "- alert: Another\n"))
    (tmp_path / "tests" / RULE_TESTS.name).write_text(RULE_TESTS.read_text())
    assert promtool("test", "rules", tmp_path / "tests" / RULE_TESTS.name).returncode != 0


def test_rules_and_dashboard_ask_for_metrics_that_a_box_exports(scraped: str) -> None:
    there = set(re.findall(r"^(?:# TYPE )?(edgeseg_\w+)", scraped, re.MULTILINE))
    rules = [line for line in RULES.read_text().splitlines() if line.strip().startswith("expr:")]
    assert len(rules) >= len(ALERTS)
    asked = set(re.findall(r"\bedgeseg_\w+", "\n".join([*rules, *_expressions()])))
    queries = [
        variable["query"]["query"] for variable in DASHBOARD["templating"]["list"] if variable["type"] == "query"
    ]
    asked |= set(re.findall(r"\bedgeseg_\w+", "\n".join(queries)))
    assert len(asked) > 15 and asked <= there, asked - there
    recorded = set(re.findall(r"record: (\S+)", RULES.read_text()))
    assert set(re.findall(r"edgeseg:[\w:]+", "\n".join([*rules, *_expressions()]))) <= recorded


def test_a_boxs_metrics_are_what_prometheus_wants(scraped: str, promtool: Promtool) -> None:
    done = promtool("check", "metrics", text=scraped)
    assert done.returncode == 0, done.stderr
    assert 'stream="left"' in scraped and 'stream="right"' in scraped


def test_every_expression_of_the_dashboard_is_promql(promtool: Promtool, tmp_path: Path) -> None:
    rules = [{"record": f"panel:{number}", "expr": each} for number, each in enumerate(_expressions())]
    path = tmp_path / "panels.yml"
    path.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))  # JSON is YAML
    done = promtool("check", "rules", path)
    assert done.returncode == 0, done.stderr
    rules[3]["expr"] += " by ("
    path.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    assert promtool("check", "rules", path).returncode != 0, "promtool reads them"


def test_panels_have_ids_and_places_of_their_own_and_one_source_of_data() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
        assert panel["targets"] and all(
            target["datasource"] == {"type": "prometheus", "uid": "${datasource}"} for target in panel["targets"]
        )
