"""Mutations of files as bytes: flipped, cut, repeated, exchanged, or written in another encoding."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable

Mutation = Callable[[bytes, random.Random], bytes]
"""Gives another file than a sound one."""


def mutated_bytes(data: bytes, rng: random.Random) -> bytes:
    """Flip, overwrite, cut, append, delete, repeat or exchange parts, or write the text in another encoding."""
    content = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        content = bytearray(rng.choice(_BYTE_MUTATIONS)(content, rng))
    return bytes(content)


def _flip(data: bytearray, rng: random.Random) -> bytes:
    if data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)


def _overwrite(data: bytearray, rng: random.Random) -> bytes:
    place = rng.randrange(len(data) + 1)
    value = rng.choice(
        (b"\0" * 8, b"\xff" * 8, b"\x7f\xff\xff\xff", struct.pack("<I", 2**31), struct.pack(">Q", 2**40))
    )
    return bytes(data[:place]) + value + bytes(data[place + len(value) :])


def _cut(data: bytearray, rng: random.Random) -> bytes:
    return bytes(data[: rng.randrange(len(data) + 1)])


def _append(data: bytearray, rng: random.Random) -> bytes:
    return bytes(data) + rng.choice((b"\0", b"\xff" * 100, bytes(data[:1000]), rng.randbytes(50), b"}", b"PK\x05\x06"))


def _part(data: bytearray, rng: random.Random) -> tuple[int, int]:
    start = rng.randrange(len(data) + 1)
    return start, min(len(data), start + rng.choice((1, 2, 4, 16, 256, 4096)))


def _delete(data: bytearray, rng: random.Random) -> bytes:
    start, end = _part(data, rng)
    return bytes(data[:start] + data[end:])


def _repeat(data: bytearray, rng: random.Random) -> bytes:
    start, end = _part(data, rng)
    return bytes(data[:end] + data[start:end] * rng.choice((1, 1, 20)) + data[end:])


def _exchange(data: bytearray, rng: random.Random) -> bytes:
    first, middle, last = sorted(rng.randrange(len(data) + 1) for _ in range(3))
    return bytes(data[:first] + data[middle:last] + data[first:middle] + data[last:])


def _recode(data: bytearray, rng: random.Random) -> bytes:
    text = bytes(data).decode("utf-8", "surrogateescape")
    return text.encode(rng.choice(("utf-16", "utf-32", "utf-8-sig", "utf-7")), "replace")


_BYTE_MUTATIONS: tuple[Callable[[bytearray, random.Random], bytes], ...] = (
    *(_flip, _overwrite, _cut, _append, _delete, _repeat, _exchange),
    _recode,
)
