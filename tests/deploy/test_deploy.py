"""Tests of a box's set-up without a box: unit, configuration, container."""

from __future__ import annotations

import configparser
import re
import subprocess
import sys
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest
import typer

from edgeseg.cli import commands
from edgeseg.cli.config_file import read_config

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
COMMAND: Any = typer.main.get_command(commands.app)
LIVE = COMMAND.commands["live"]


class Unit(configparser.RawConfigParser):
    """A systemd unit's keys keep their case."""

    def optionxform(self, optionstr: str) -> str:
        return optionstr


@pytest.fixture
def service() -> Any:
    unit = Unit(strict=True)
    unit.read(DEPLOY / "edgeseg-live.service")
    return unit["Service"]


def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path, system_program: Callable[..., str]) -> None:
    program = system_program("systemd-analyze", package="systemd")
    text = (DEPLOY / "edgeseg-live.service").read_text()
    unit = tmp_path / "edgeseg-live.service"
    unit.write_text(text.replace("/opt/edgeseg/venv/bin/edgeseg", sys.executable))  # one that is here
    result = subprocess.run([program, "verify", "--man=no", unit], capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")


def test_the_service_is_watched_restarted_and_ended_in_order(service: Any) -> None:
    assert (service["Type"], service["Restart"], service["KillMode"]) == ("notify", "always", "mixed")
    assert int(service["WatchdogSec"]) >= 5
    assert service["ExecReload"].endswith("-HUP $MAINPID")
    assert service["OOMPolicy"] == "continue", "an engine that is killed for memory leaves the picture running"
    from edgeseg.cli import TERMINATED
    from edgeseg.errors import BadInputError, MismatchError, UsageError

    assert service["SuccessExitStatus"] == str(TERMINATED)
    hopeless = {int(code) for code in service["RestartPreventExitStatus"].split()}
    assert hopeless == {UsageError.exit_code, MismatchError.exit_code}
    assert BadInputError.exit_code not in hopeless, "a camera that is switched off ends in it"


def test_the_service_may_do_little(service: Any) -> None:
    assert service["User"] == "edgeseg" and service["CapabilityBoundingSet"] == ""
    assert service["ProtectSystem"] == "strict" and service["NoNewPrivileges"] == "yes"
    assert "PrivateDevices" not in service, "cameras and GPUs are devices"


def test_the_command_of_the_service_is_one_of_ours(service: Any) -> None:
    words = service["ExecStart"].split()
    options = {name for parameter in LIVE.params for name in parameter.opts}
    assert words[1] == "live"
    assert {word for word in words if word.startswith("--")} <= options
    assert words[words.index("--config") + 1] == "/etc/edgeseg/live.toml"


@pytest.mark.parametrize("with_comments", [False, True])
def test_every_key_of_the_example_is_a_flag_and_its_value_of_its_kind(with_comments: bool, tmp_path: Path) -> None:
    text = (DEPLOY / "live.toml").read_text()
    if with_comments:
        text, count = re.subn(r"^# ([\w-]+ = )", r"\1", text, flags=re.MULTILINE)
        assert count == 5, "what stands in comments is right, too"
    path = tmp_path / "live.toml"
    path.write_text(text)
    values = read_config(path, typing.get_type_hints(LIVE.callback), "live")
    flags = {name.removeprefix("--") for parameter in LIVE.params for name in parameter.opts}
    assert {name.replace("_", "-") for name in values} <= flags
    assert {"engine", "source", "web", "record", "events"} <= set(values)
    state = re.search(r"^StateDirectory=(.*)$", (DEPLOY / "edgeseg-live.service").read_text(), re.MULTILINE)
    assert state is not None
    for name in ("record", "out", "events"):
        assert values[name].startswith(f"/var/lib/{state[1]}/"), "where alone the service may write"


def test_the_containers_health_check_asks_healthz(serve: Any, view: Any) -> None:
    text = (DEPLOY / "compose.yaml").read_text()
    code = re.search(r"- -c\n\s+- (import urllib.*)$", text, re.MULTILINE)
    assert code is not None and "--web 0.0.0.0:8080" in text
    server = serve(token="0123456789abcdef")
    words = code[1].replace("http://127.0.0.1:8080/", server.url)
    assert words != code[1]
    exec(words)  # no token is needed
    from dataclasses import replace

    view.current = replace(view.current, state="stopped")
    with pytest.raises(HTTPError, match="503"):
        exec(words)


def test_the_containers_command_is_one_of_ours() -> None:
    command = re.search(r"command: (.*)$", (DEPLOY / "compose.yaml").read_text(), re.MULTILINE)
    assert command is not None
    options = {name for parameter in LIVE.params for name in parameter.opts}
    assert {word for word in command[1].split() if word.startswith("--")} <= options
