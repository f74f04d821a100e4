"""Mutations of JSON, TOML and tables: most of what comes out is still such a document, and only its content lies."""

from __future__ import annotations

import json
import random
import re
from typing import Any

from benchmarks.fuzz.hostile_bytes import mutated_bytes

DEEP = 5000
"""Levels of nesting: beyond what any parser follows by recursion."""
NUMBERS = (
    *("NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1e308", "5e-324", "-0.0", "0", "-1", "1", "0.5"),
    *("2147483648", "9223372036854775808", "-9223372036854775809", "1e15", "1" + "0" * 400, "9" * 5000),
)
TEXTS = (
    *("", " ", "../../../../etc/passwd", "/etc/passwd", "/dev/zero", "/dev/stdin", "..", ".", "~", "C:\\Windows"),
    *("\\\\h\\x", "a" * 5000, "\0", "a\0b", "\x1b[2J\x1b]0;x\x07", "\u202e", "\U0001f600", "$(touch x); `touch x`"),
    *("<script>alert(1)</script>", "{{7*7}}", "%s%n", "python:os:system", "http://127.0.0.1:9/x", "file:///etc/passwd"),
    *("nan", "1" * 5000, "1e999"),
)


def mutated_json(data: bytes, rng: random.Random) -> bytes:
    """Exchange, remove, repeat or nest values of a document; what comes out is text, not always JSON."""
    if rng.random() < 0.25:
        return mutated_bytes(data, rng)
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):  # it was mutated before
        return mutated_bytes(data, rng)
    marks: dict[str, str] = {}
    for number in range(rng.choice((1, 1, 1, 2, 3))):
        document = _with_mark(document, f"@mark{number}@", rng, marks)
    text = json.dumps(document)
    for mark, value in marks.items():
        text = text.replace(json.dumps(mark), value)
    return text.encode("utf-8", "surrogatepass")


def _with_mark(document: Any, mark: str, rng: random.Random, marks: dict[str, str]) -> Any:
    """Put a mark in place of a value that is drawn; the text that replaces it goes into `marks`."""
    places = list(_places(document))
    if not places:
        marks[mark] = _hostile_json(None, rng)
        return mark
    holder, key = rng.choice(places)
    former = holder[key]
    if isinstance(holder, dict) and rng.random() < 0.2:
        other = rng.choice(list(holder))
        if rng.random() < 0.5:
            holder[f"{key}{rng.choice(('', 'x', '_'))}"] = holder.pop(key)
        else:  # the mark becomes a second value under a key that is there
            marks[mark] = f"{json.dumps(former)}, {json.dumps(str(other))}: {_hostile_json(former, rng)}"
            holder[key] = mark
        return document
    if rng.random() < 0.1:
        del holder[key]
        return document
    marks[mark] = _hostile_json(former, rng)
    holder[key] = mark
    return document


def _places(value: Any) -> Any:
    """Every place of a document as the dict or list that holds it, and the key or index in it."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from _places(value[key])


def _hostile_json(former: Any, rng: random.Random) -> str:
    kind = rng.randrange(6)
    if kind == 0:
        return rng.choice(("null", "true", "[]", "{}", "[[]]", '{"a": 1}', '["a", 1, null]', '{"": {}}'))
    if kind == 1:
        return rng.choice(('"\\ud800"', '"\\u0000"', '"\\ud83d\\ude00"', '"\\x"'))
    if kind == 2 and rng.random() < 0.2:
        opened, closed = rng.choice((("[", "]"), ('{"a":', "}")))
        return opened * DEEP + "1" + closed * DEEP
    if kind <= 3 or isinstance(former, int | float):
        return rng.choice(NUMBERS)
    return json.dumps(rng.choice(TEXTS))


def mutated_toml(data: bytes, rng: random.Random) -> bytes:
    """Exchange, remove or repeat lines of a document, or values in it."""
    if rng.random() < 0.25:
        return mutated_bytes(data, rng)
    lines = data.decode().splitlines()
    for _ in range(rng.choice((1, 1, 2, 3))):
        index = rng.randrange(len(lines))
        key, sign, value = lines[index].partition("=")
        change = rng.randrange(5)
        if change == 0:
            del lines[index]
        elif change == 1:
            lines.insert(rng.randrange(len(lines) + 1), lines[index])
        elif change == 2:
            lines.insert(index, rng.choice(_TOML_LINES))
        else:
            lines[index] = f"{key}= {_hostile_toml(value, rng)}" if sign else f"{key}x"
        lines = lines or [""]
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def _hostile_toml(value: str, rng: random.Random) -> str:
    kind = rng.randrange(5)
    if kind == 0:
        return rng.choice(("[]", "{}", "[[1]]", "true", "1979-05-27", "07:32:00", "0x" + "f" * 5000, "1_0", '""" '))
    if kind == 1 and rng.random() < 0.2:
        return rng.choice(("[" * DEEP + "]" * DEEP, "{a=" * DEEP + "1" + "}" * DEEP))
    if kind == 2:
        return f"[{value.strip()}, {value.strip()}]"
    if kind == 3:
        return rng.choice(("nan", "inf", "-inf", *NUMBERS[3:]))
    return json.dumps(rng.choice(TEXTS))


_TOML_LINES = (
    *("[a]", "[[a]]", "a.b.c = 1", "[" + ".".join("a" * 2000) + "]", ".".join("a" * 2000) + " = 1", '"" = 1'),
    *('"\\ud800" = 1', "schema_version = 99", "unknown = true"),
)


def mutated_table(data: bytes, rng: random.Random) -> bytes:
    """Exchange, remove or repeat cells and lines of a table with commas, or of lines of numbers."""
    if rng.random() < 0.25:
        return mutated_bytes(data, rng)
    lines = data.decode().splitlines()
    index = rng.randrange(len(lines))
    cells = re.split(r"([,\s:]+)", lines[index])
    cells[rng.randrange(len(cells))] = rng.choice((*NUMBERS, *TEXTS, "a" * 200_000, '"', '"' * 3, ",,,,", "\r", "\n"))
    lines[index] = "".join(cells)
    if rng.random() < 0.2:
        lines.insert(rng.randrange(len(lines)), rng.choice(lines))
    return "\n".join(lines).encode("utf-8", "surrogatepass")
