"""Writes Protocol Buffers' text format, in which Triton reads its configurations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class EnumName:
    """The name of an enumeration's value, which stands without quotes."""

    name: str


Field = tuple[str, "str | bool | int | EnumName | Fields"]
"""A field's name and value; a repeated field is written once for each value."""
Fields = Sequence[Field]


def to_pbtxt(fields: Fields, comment: Sequence[str] = ()) -> str:
    """Write a message in the text format (https://protobuf.dev/reference/protobuf/textformat-spec/).

    Args:
        fields: The message's fields.
        comment: Lines to put above it; what breaks a line inside one becomes a blank.
    """
    return "\n".join([*(f"# {one_line(line)}" for line in comment), *_lines(fields)]) + "\n"


def one_line(text: str) -> str:
    """Give a text without line breaks: what a passport or a graph says must not begin a line of its own in a file."""
    return " ".join(text.split())


def _lines(fields: Fields) -> list[str]:
    lines = []
    for name, value in fields:
        if isinstance(value, EnumName | bool | int | str):
            lines.append(f"{name}: {_scalar(value)}")
        else:
            lines += [f"{name} {{", *(f"  {line}" for line in _lines(value)), "}"]
    return lines


def _scalar(value: str | bool | int | EnumName) -> str:
    if isinstance(value, str):
        return f'"{_escaped(value)}"'
    if isinstance(value, EnumName):
        return value.name
    return str(value).lower()


def _escaped(text: str) -> str:
    """Octal escapes for bytes that are not printable ASCII: the file is ASCII, whatever a class is called."""
    special = {ord('"'): '\\"', ord("\\"): "\\\\"}
    return "".join(special.get(byte) or (chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}") for byte in text.encode())
