"""A roll-out as an operator does it: the command as a process, real engines, the control over HTTP."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgeseg import cli
from tests.conftest import bright_pixel_network
from tests.runtime.live.web.running import RunningStream, write_engine

httpx = pytest.importorskip("httpx")
for package in ("fastapi", "uvicorn", "websockets", "prometheus_client"):
    pytest.importorskip(package)
TOKEN = "0123456789abcdef0123"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def engines(tmp_path: Path) -> tuple[Path, Path]:
    """The engine that runs, and one that marks more."""
    (tmp_path / "new.onnx").write_bytes(bright_pixel_network(120.0))
    return write_engine(tmp_path), tmp_path / "new.onnx"


@pytest.mark.long
def test_a_new_engine_is_switched_to_and_back_over_http(engines: tuple[Path, Path], tmp_path: Path) -> None:
    old, new = engines
    running = RunningStream(
        old,
        *("--shadow", str(new), "--shadow-limit-ms", "2000", "--events", str(tmp_path / "e.jsonl"), "--json"),
        environment={"EDGESEG_TOKEN": TOKEN},
        sources=("left=synthetic:320x240@10?seed=1", "right=synthetic:160x120@10?seed=2"),
    )

    def state() -> dict[str, Any]:
        found: dict[str, Any] = httpx.get(running.url + "api/state", headers=BEARER, timeout=30).json()
        return found

    def until(condition: Callable[[dict[str, Any]], bool]) -> None:
        until_s = time.monotonic() + 90
        while not condition(state()):
            assert time.monotonic() < until_s, (state(), running.lines)
            time.sleep(0.2)

    def ask(action: str) -> Any:
        return httpx.post(running.url + "api/roll-out", json={"action": action}, headers=BEARER, timeout=30)

    try:
        first = state()["engine"]
        until(lambda now: now["roll_out"]["shadow"]["compared"] >= 25)
        assert 0 < state()["roll_out"]["shadow"]["dice"] <= 1
        assert ask("switch").status_code == 200
        until(lambda now: now["engine"] != first and now["roll_out"]["phase"] == "shown")
        before = state()["inferences"]
        until(lambda now: now["inferences"] > before + 5 and now["state"] in ("live", "degraded"))
        passport = httpx.get(running.url + "api/passport", headers=BEARER, timeout=30).json()
        assert passport["onnx_sha256"] == state()["roll_out"]["engine"]["engine"]
        assert "edgeseg_roll_out_shown 1.0" in httpx.get(running.url + "metrics", headers=BEARER, timeout=30).text
        assert ask("back").status_code == 200
        until(lambda now: now["engine"] == first)
        assert ask("back").status_code == 409
    finally:
        assert running.end() == 143, running.lines
    for name in ("left", "right"):
        lines = [json.loads(line) for line in (tmp_path / f"e-{name}.jsonl").read_text().splitlines()]
        assert [line["change"] for line in lines if line["event"] == "roll-out"] == ["switched", "back"]
    status = json.loads(running.output)["streams"]["left"]
    assert (status["roll_out"]["switches"], status["roll_out"]["backs"], status["lost"]) == (1, 0, 0)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--shadow", "OLD"], 2, "the one that is shown"),
        (["--shadow", "NEW", "--fall-back", "--reference", "NEW"], 2, "both change the engine"),
        (["--shadow-limit-ms", "5"], 2, "works with --shadow only"),
        (["--shadow", "nowhere.engine"], 5, "nowhere.engine"),
        (["--fall-back", "--reference", "NEW", "synthetic:"], 2, "works with one source only"),
        (["synthetic:", "--send-to", "udp://localhost:5000"], 2, "has no path"),
        (["-", "-"], 2, "once only"),
        (["1=synthetic:"], 2, "same name"),
    ],
)
def test_what_cannot_be_is_refused_in_words(
    words: list[str], code: int, said: str, engines: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    names = {"OLD": str(engines[0]), "NEW": str(engines[1])}
    typed = [names.get(word, word) for word in words]
    assert cli.run(["live", str(engines[0]), "synthetic:320x240@10", *typed, "--max-frames", "3"]) == code
    assert said in capsys.readouterr().err
