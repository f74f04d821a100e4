"""Who may see the page: a token off loopback, the page's own origin alone, and not too often."""

from __future__ import annotations

import contextlib
import hmac
import ipaddress
import os
import ssl
import time
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from edgeseg.errors import BadInputError, UsageError

TOKEN_VARIABLE = "EDGESEG_TOKEN"
MIN_TOKEN_LENGTH = 16
COOKIE = "edgeseg_token"
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True)
class Address:
    """The address that the page listens on."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """True if only this machine reaches it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def url_host(self) -> str:
        """The host as it stands in a URL."""
        return f"[{self.host}]" if ":" in self.host else self.host


@dataclass(frozen=True)
class PageOptions:
    """Who may look, and how many at once at each stream."""

    address: Address
    token: str | None = None
    max_viewers: int = 8


def parse_address(text: str) -> Address:
    """``HOST:PORT``, ``[HOST]:PORT``, or a port alone on 127.0.0.1; port 0 takes a free one.

    Raises:
        UsageError: Nothing of these.
    """
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") or "127.0.0.1"
    if not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise UsageError(f"--web {text} names no address", found=text, expected="HOST:PORT, for example 127.0.0.1:8080")
    return Address(host, int(port))


def find_token(address: Address, file: Path | None) -> str | None:
    """The token that clients must show: from a file, else from the environment; none is needed on loopback.

    It is never taken from the command line, where every user of the machine could read it.

    Raises:
        UsageError: None is there for an address that others reach, or it is too short to be one.
    """
    try:
        token = file.read_text(encoding="utf-8").strip() if file is not None else os.environ.get(TOKEN_VARIABLE, "")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError("the token's file cannot be read", found=error, expected="one line of text") from error
    if not token and file is None and address.is_loopback:
        return None
    if len(token) < MIN_TOKEN_LENGTH or not token.isascii():
        raise UsageError(
            f"the page on {address.host} can be reached from other machines and needs a token"
            if not token
            else "the token is too short",
            found="none" if not token else f"{len(token)} characters",
            expected=f"at least {MIN_TOKEN_LENGTH} ASCII characters in {TOKEN_VARIABLE} or --token-file",
            next_command=f"export {TOKEN_VARIABLE}=$(openssl rand -hex 16)",
        )
    return token


@dataclass(frozen=True)
class Tls:
    """A certificate (with its chain) and its key, PEM."""

    certificate: Path
    key: Path


def find_tls(certificate: Path | None, key: Path | None) -> Tls | None:
    """Find the files that https needs; None where neither was named. The files are tried at once.

    Raises:
        UsageError: One without the other.
        BadInputError: They cannot be read, are none, or do not belong together.
    """
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise UsageError(
            "https needs a certificate and its key",
            found="--tls-key alone" if certificate is None else "--tls-certificate alone",
            expected="--tls-certificate FILE.pem --tls-key FILE.pem",
        )
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
    except (OSError, ValueError) as error:
        raise BadInputError(
            "the page's certificate and key cannot be used",
            found=f"{certificate}, {key}: {getattr(error, 'reason', None) or error}",
            expected="two PEM files that belong together, the key without a passphrase",
        ) from error
    return Tls(certificate, key)


def shown_token(connection: Any) -> str:
    """The token that a request or a WebSocket shows, as a bearer or in the cookie; empty where it shows none."""
    kind, _, value = str(connection.headers.get("authorization", "")).partition(" ")
    return value if kind.lower() == "bearer" else str(connection.cookies.get(COOKIE, ""))


def is_token(shown: str, token: str | None) -> bool:
    """Tell whether the right token was shown; compared in constant time."""
    return token is None or hmac.compare_digest(shown.encode("utf-8", "replace"), token.encode())


def is_own_host(host: str, address: Address) -> bool:
    """Tell whether a request names this server.

    On loopback only local names pass, so that no web page that rebinds its name to 127.0.0.1 gets in; elsewhere the
    token guards.
    """
    if not address.is_loopback:
        return True
    with contextlib.suppress(ValueError):  # no address at all
        return urlsplit(f"//{host}").hostname in (*LOCAL_NAMES, address.host)
    return False


def is_own_origin(origin: str | None, host: str) -> bool:
    """Tell whether a browser's request comes from this page; programs send no origin."""
    with contextlib.suppress(ValueError):
        return origin is None or urlsplit(origin).netloc == host
    return False


class RateLimit:
    """Token buckets by client: so many requests at once, so many a second after."""

    CLIENTS = 1024

    def __init__(self, burst: int = 60, per_s: float = 20.0) -> None:
        self._burst, self._per_s = burst, per_s
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def allows(self, client: str, now_s: float | None = None) -> bool:
        """Tell whether a request of this client may pass now, which takes one from its bucket."""
        now_s = time.monotonic() if now_s is None else now_s
        left, at_s = self._buckets.pop(client, (float(self._burst), now_s))
        left = min(float(self._burst), left + (now_s - at_s) * self._per_s)
        passes = left >= 1.0
        self._buckets[client] = (left - passes, now_s)
        while len(self._buckets) > self.CLIENTS:
            self._buckets.popitem(last=False)
        return passes
