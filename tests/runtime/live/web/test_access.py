from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeseg.errors import BadInputError, UsageError
from edgeseg.runtime.live.web.access import (
    TOKEN_VARIABLE,
    Address,
    RateLimit,
    find_tls,
    find_token,
    is_own_host,
    is_own_origin,
    is_token,
    parse_address,
)

LOCAL, OPEN = Address("127.0.0.1", 8080), Address("0.0.0.0", 8080)


@pytest.mark.parametrize(
    ("text", "host", "port", "loopback"),
    [
        ("127.0.0.1:8080", "127.0.0.1", 8080, True),
        ("localhost:0", "localhost", 0, True),
        (":9", "127.0.0.1", 9, True),
        ("8080", "127.0.0.1", 8080, True),
        ("[::1]:80", "::1", 80, True),
        ("0.0.0.0:80", "0.0.0.0", 80, False),
        ("[::]:80", "::", 80, False),
        ("box.example:80", "box.example", 80, False),
    ],
)
def test_addresses(text: str, host: str, port: int, loopback: bool) -> None:
    address = parse_address(text)
    assert (address.host, address.port, address.is_loopback) == (host, port, loopback)


@pytest.mark.parametrize("text", ["", "localhost", "localhost:", "1:70000", "a:b", "a:-1", "a:٣"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="no address"):
        parse_address(text)


def test_loopback_needs_no_token_and_every_other_address_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)
    assert find_token(LOCAL, None) is None
    with pytest.raises(UsageError, match="needs a token"):
        find_token(OPEN, None)
    monkeypatch.setenv(TOKEN_VARIABLE, "short")
    with pytest.raises(UsageError, match="too short"):
        find_token(OPEN, None)
    monkeypatch.setenv(TOKEN_VARIABLE, "0123456789abcdef")
    assert find_token(OPEN, None) == "0123456789abcdef"
    file = tmp_path / "token"
    file.write_text("fedcba9876543210\n")
    assert find_token(LOCAL, file) == "fedcba9876543210"
    file.write_text("")
    with pytest.raises(UsageError):
        find_token(LOCAL, file)
    with pytest.raises(UsageError, match="cannot be read"):
        find_token(LOCAL, tmp_path / "none")


@given(st.text(), st.text(min_size=16))
def test_only_the_token_is_the_token(shown: str, token: str) -> None:
    assert is_token(shown, token) == (shown == token)
    assert is_token(shown, None)


@pytest.mark.parametrize(
    ("host", "own"),
    [("127.0.0.1:8080", True), ("localhost:8080", True), ("[::1]:8080", True), ("evil.example", False), ("", False)],
)
def test_a_name_that_was_rebound_to_loopback_does_not_get_in(host: str, own: bool) -> None:
    assert is_own_host(host, LOCAL) is own
    assert is_own_host(host, OPEN)


def test_another_pages_script_does_not_get_in() -> None:
    assert is_own_origin(None, "box:80")
    assert is_own_origin("http://box:80", "box:80")
    assert not is_own_origin("http://evil.example", "box:80")
    assert not is_own_origin("null", "box:80")


@pytest.mark.parametrize("nonsense", ["http://[", "[::1", "http://[::1", "//["])
def test_what_is_no_address_is_not_ours_and_no_defect(nonsense: str) -> None:
    assert not is_own_origin(nonsense, "127.0.0.1:8080")
    assert not is_own_host(nonsense, Address("127.0.0.1", 8080))


def test_a_client_that_asks_too_often_waits_and_another_does_not() -> None:
    limit = RateLimit(burst=3, per_s=2.0)
    assert [limit.allows("a", 0.0) for _ in range(4)] == [True, True, True, False]
    assert limit.allows("b", 0.0)
    assert not limit.allows("a", 0.4)
    assert limit.allows("a", 1.0)
    for number in range(3000):
        limit.allows(str(number), 2.0)
    assert len(limit._buckets) <= RateLimit.CLIENTS


def test_https_wants_both_files_and_files_that_are_what_they_should_be(tmp_path: Path) -> None:
    assert find_tls(None, None) is None
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("no certificate")
    for certificate, key in ((nonsense, None), (None, nonsense)):
        with pytest.raises(UsageError, match="certificate and its key"):
            find_tls(certificate, key)
    for path in (nonsense, tmp_path / "none.pem"):
        with pytest.raises(BadInputError, match="cannot be used"):
            find_tls(path, path)
