"""Addresses as they may be shown: without user names, passwords and tokens."""

from __future__ import annotations

import re

HIDDEN = "***"
_USER_INFO = re.compile(r"([a-z][a-z0-9+.-]*://)\S*@", re.IGNORECASE)
"""Up to the last @ of the word, so that a password with a slash, a quote or an @ is hidden whole."""
_STREAM_KEY = re.compile(r"(rtmp[a-z]*://[^\s/]+/[^\s/]+/)[^\s'\"]+", re.IGNORECASE)
"""RTMP servers know who sends by the last part of the address."""
_SECRET = r"[\w.-]*(?:pass(?:word|wd|phrase)?|pwd|user-?(?:id|name|pw)?|pw|token|secret|key|auth|sig(?:nature)?)"
_PARAMETER = re.compile(rf"([?&;]{_SECRET}=)[^\s&;'\"]*", re.IGNORECASE)
_PROPERTY = re.compile(rf"((?:^|\s){_SECRET}\s*=\s*)(\"[^\"]*\"|'[^']*'|[^\s!]+)", re.IGNORECASE)
"""Matches user and password of a GStreamer element: user-id=... user-pw=..."""


def without_credentials(text: object) -> str:
    """A text in which no address shows who logs in, and no parameter named like a secret its value.

    Args:
        text: An address, a GStreamer pipeline, or a message that may hold one.
    """
    shown = _USER_INFO.sub(rf"\1{HIDDEN}@", str(text))
    shown = _PARAMETER.sub(rf"\1{HIDDEN}", shown)
    shown = _STREAM_KEY.sub(rf"\1{HIDDEN}", shown)
    return _PROPERTY.sub(rf"\1{HIDDEN}", shown)
