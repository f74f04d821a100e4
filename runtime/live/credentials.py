"""Addresses as they may be shown: scheme, host and port, and what of the path is known to be no secret.

What may be shown is listed, not what may not: cameras have put passwords into any parameter and any part of a path.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

HIDDEN = "***"
_SCHEMES = "rtsps?|rtp|https?|rtmp[a-z]*|srt|udp|tcp|tls|ftps?|sftp|mms[a-z]?|wss?|gopher|icecast"
_ADDRESS = re.compile(rf"(?:([a-z][a-z0-9+.-]*)://|({_SCHEMES}):/)(\S*)", re.IGNORECASE)
"""An address up to the next blank; with one slash where it went through a path."""
_AFTER = re.compile(r"[\s:,;.!?)\]}>'\"]*$")
"""Signs of the sentence around an address."""
_HOST = re.compile(r"(?:\[[0-9a-fA-F:.%]+\]|[\w.-]+)?(?::\d{1,5})?")
_PLAIN = re.compile(
    r"(?:(?:live|streams?|streaming|video|cam|camera|cams|media|channels?|ch|main|sub|path|host|axis-media|onvif|profile"
    r"|h26[45]|hevc|mjpe?g|mpeg4|av1|index|playlist|master|preview|picture|default|test)?[_-]?\d{0,3}|[a-z0-9]{1,2})"
    r"(?:\.(?:sdp|m3u8|mpd|ts|mp4|mkv|mjpe?g|jpe?g|cgi|amp|flv))?",
    re.IGNORECASE,
)
"""A part of a path that names a stream and cannot be a secret: a usual word, a short number."""
_CLEAR_PROPERTIES = (
    "width|height|framerate|format|latency|protocols|drop-on-latency|name|device|is-live|do-timestamp|num-buffers|pattern|"
    "caps|media|encoding-name|payload|clock-rate|pixel-aspect-ratio|colorimetry|interlace-mode|sync|max-size-buffers|"
    "leaky|enable-max-performance|io-mode|buffer-size|timeout|location|uri|index"
)
_PROPERTY = re.compile(r"(?<![\w-])([a-zA-Z][\w-]*)(\s*=\s*)(\"(?:\\.|[^\"\\])*\"|'[^']*'|[^\s!,]+)")
_SECRET = re.compile(
    r"(?<![\w.-])([\w.-]*(?:pass(?:word|wd|phrase)?|pwd|user-?(?:id|name|pw)?|pw|token|secret|key|auth|sig(?:nature)?)"
    r"\s*=\s*)(\"[^\"]*\"|'[^']*'|[^\s!]+)",
    re.IGNORECASE,
)
"""Outside addresses and pipelines, where a word and its value are all there is to go by."""


def without_credentials(text: object) -> str:
    """A text in which no address shows who logs in, nor a query, a fragment or an unusual part of a path.

    Args:
        text: An address, a GStreamer pipeline, or a message that may hold one.
    """
    shown = _ADDRESS.sub(lambda match: _shown_address(match[0]), str(text))
    if shown.startswith("gst:") or " ! " in shown:
        return _PROPERTY.sub(_shown_property, shown)
    return _SECRET.sub(rf"\1{HIDDEN}", shown)


def without_secrets_of(text: str, words: Sequence[str]) -> str:
    """A text in which nothing is shown of what the addresses among some words must not show, in whatever pieces.

    Args:
        text: What is to be shown.
        words: The words of a command line.
    """
    secrets = {secret for word in words for match in _ADDRESS.finditer(word) for secret in _secrets(match[0])}
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return text


def _shown_address(address: str) -> str:
    """One address, and the signs of a sentence after it."""
    after = _AFTER.search(address)
    assert after is not None
    bare = address[: after.start()]
    scheme, separator, rest = re.split(r"(:/{1,2})", bare, maxsplit=1) if ":/" in bare else (bare, "", "")
    user, host, path, query = _parts(rest)
    hidden_user = f"{HIDDEN}@" if user else ""
    if host is None:
        return f"{scheme}{separator}{HIDDEN}{after[0]}"
    segments = path.split("/")
    shown = [segment if _is_plain(segment) else HIDDEN for segment in segments]
    if scheme.lower().startswith("rtmp") and len(shown) > 2:
        shown[2:] = [HIDDEN]  # RTMP servers know who sends by the last part
    return f"{scheme}{separator}{hidden_user}{host}{'/'.join(shown)}{f'?{HIDDEN}' if query else ''}{after[0]}"


def _parts(rest: str) -> tuple[str, str | None, str, str]:
    """User, host and port, path, and query with fragment; no host where it cannot be told from a password."""
    user, at, after = rest.rpartition("@")
    if at and re.search(r"[/?#]", user):
        return rest, None, "", ""
    match = re.match(r"([^/?#]*)([^?#]*)(.*)", after, re.DOTALL)
    assert match is not None
    host, path, query = match.groups()
    return user, host if _HOST.fullmatch(host) else None, path, query


def _is_plain(segment: str) -> bool:
    return _PLAIN.fullmatch(segment) is not None


def _secrets(address: str) -> set[str]:
    """The strings of an address that must not be seen alone, either."""
    rest = re.split(r":/{1,2}", address, maxsplit=1)[-1]
    user, host, path, query = _parts(rest)
    if host is None:
        pieces = {rest, *re.split(r"[/?#&=@:;]", rest)}
    else:
        pieces = {user, *user.split(":"), query, query[1:], *re.split(r"[?#&=;]", query)}
        pieces |= {segment for segment in path.split("/") if not _is_plain(segment)}
        pieces |= {word for piece in pieces for word in re.split(r"[&;=]", piece)}
    return {piece for piece in pieces if len(piece) > 3}


def _shown_property(match: re.Match[str]) -> str:
    name, equals = match[1], match[2]
    return match[0] if re.fullmatch(_CLEAR_PROPERTIES, name) else f"{name}{equals}{HIDDEN}"
