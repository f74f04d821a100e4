"""The page's control of the engines: a token even on loopback, and refusals in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from edgeseg.runtime.live.rollout.roll_out import RollOutRefusedError
from tests.runtime.live.web.conftest import ScriptedView

httpx = pytest.importorskip("httpx")
pytest.importorskip("fastapi", reason="the page needs the extra `web`")
TOKEN = "0123456789abcdef"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


class Control:
    """Notes what it is asked, and refuses to go back."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def report(self) -> dict[str, Any]:
        return {"phase": "opening"}

    def ask(self, action: str) -> None:
        if action == "back":
            raise RollOutRefusedError("there is nothing to take back", found="phase shadow")
        self.asked.append(action)


@pytest.fixture
def served() -> Any:
    from edgeseg.runtime.live.web.access import Address
    from edgeseg.runtime.live.web.server import PageServer

    servers: list[Any] = []

    def start(control: Control | None, token: str | None) -> str:
        servers.append(PageServer(Address("127.0.0.1", 0), token))
        servers[-1].start({"": ScriptedView()}, control)
        return f"{servers[-1].url}api/roll-out"

    yield start
    for server in servers:
        server.close()


def test_the_engine_is_changed_by_who_shows_the_token(served: Callable[..., str]) -> None:
    control = Control()
    url = served(control, TOKEN)
    assert httpx.post(url, json={"action": "switch"}).status_code == 401 and not control.asked
    answer = httpx.post(url, json={"action": "switch"}, headers=BEARER)
    assert (answer.status_code, answer.json(), control.asked) == (200, {"phase": "opening"}, ["switch"])
    refused = httpx.post(url, json={"action": "back"}, headers=BEARER)
    assert refused.status_code == 409 and refused.json()["what"] == "there is nothing to take back"
    for body in ({"action": "explode"}, {}, [1]):
        assert httpx.post(url, json=body, headers=BEARER).status_code == 422
    assert httpx.post(url, content=b"switch", headers={**BEARER, "content-type": "text/plain"}).status_code == 415
    foreign = {**BEARER, "origin": "http://evil.example"}
    assert httpx.post(url, json={"action": "switch"}, headers=foreign).status_code == 403
    assert control.asked == ["switch"]


def test_without_a_token_nobody_changes_the_engine_even_from_this_machine(served: Callable[..., str]) -> None:
    control = Control()
    answer = httpx.post(served(control, None), json={"action": "switch"})
    assert answer.status_code == 403 and "needs a token" in answer.json()["error"] and not control.asked


def test_without_a_new_engine_there_is_no_such_address(served: Callable[..., str]) -> None:
    assert httpx.post(served(None, TOKEN), json={"action": "switch"}, headers=BEARER).status_code in (404, 405)
