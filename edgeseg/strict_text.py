"""JSON and TOML, read so that every reader sees the same in them.

JSON has no NaN (RFC 8259, section 6), and of a key that stands there twice (section 4) one reader takes the first and
another the last: what one program has checked is then not what the next one does.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Iterable
from typing import Any, NoReturn

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_LONG_KEY = re.compile(r"""(?<![\w-])(?:(?:[\w-]+|"[^"\n]*"|'[^'\n]*')[ \t]*\.[ \t]*){64}""")
"""A key of 64 parts with dots between: tomllib takes memory in the square of their number, gigabytes for 100 kB."""


def parse_json(text: str) -> Any:
    """Read a JSON document.

    Raises:
        ValueError: It is not JSON, has NaN or infinity or a number too large for a double, a key twice in one object,
            or too deeply nested.
    """
    try:
        return json.loads(text, parse_constant=_no_number, parse_float=_finite, object_pairs_hook=_object)
    except RecursionError:
        raise ValueError("too deeply nested") from None


def parse_toml(text: str) -> dict[str, Any]:
    """Read a TOML document.

    Raises:
        ValueError: It is not TOML, has NaN or infinity, which no setting of ours can be, or an integer beyond 64 bits,
            or too deeply nested.
    """
    long_key = _LONG_KEY.search(text)
    if long_key is not None:
        raise ValueError(f"a key of 64 parts or more, {long_key[0]:.40}")
    try:
        document = tomllib.loads(text, parse_float=_finite)
        _refuse_wide_integers(document)
    except RecursionError:
        raise ValueError("too deeply nested") from None
    return document


def refuse_infinite(value: Any) -> None:
    """Refuse a document in which a number is not finite.

    Raises:
        ValueError: One is NaN or infinity.
    """
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} is no finite number")
    for part in _parts(value):
        refuse_infinite(part)


def _parts(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()


def _refuse_wide_integers(value: Any) -> None:
    """TOML's integers have 64 bits; Python's own have no end, and printing a long one fails."""
    if isinstance(value, int) and value.bit_length() > 63:
        raise ValueError(f"an integer of {value.bit_length()} bits")
    for part in _parts(value):
        _refuse_wide_integers(part)


def _no_number(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON number")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{digits[:20]} is no finite number")
    return number


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key!r:.60} occurs twice")
        found[key] = value
    return found
