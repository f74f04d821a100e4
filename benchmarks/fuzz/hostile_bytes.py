"""Mutations of files: of their bytes, and of JSON, TOML, CSV, PNG, ZIP and ONNX so that only the content lies."""

from __future__ import annotations

import io
import json
import random
import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

import onnx

Mutation = Callable[[bytes, random.Random], bytes]
DEEP = 5000
"""Levels of nesting: beyond what any parser follows by recursion."""
NUMBERS = ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1e308", "5e-324", "-0.0", "0", "-1", "1", "0.5"] + [
    "2147483648",
    "9223372036854775808",
    "-9223372036854775809",
    "1e15",
    "1" + "0" * 400,
    "9" * 5000,
]
TEXTS = (
    [
        "",
        " ",
        "../../../../etc/passwd",
        "/etc/passwd",
        "/dev/zero",
        "/dev/stdin",
        "..",
        ".",
        "~",
        "C:\\Windows",
        "\\\\h\\x",
    ]
    + [
        "a" * 5000,
        "\0",
        "a\0b",
        "\x1b[2J\x1b]0;x\x07",
        "\u202e",
        "\U0001f600",
        "$(touch x); `touch x`",
        "<script>alert(1)</script>",
    ]
    + ["{{7*7}}", "%s%n", "python:os:system", "http://127.0.0.1:9/x", "file:///etc/passwd", "nan", "1" * 5000, "1e999"]
)


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


def mutated_json(data: bytes, rng: random.Random) -> bytes:
    """Exchange, remove, repeat or nest values of a document; what comes out is text, not always JSON."""
    if rng.random() < 0.25:
        return mutated_bytes(data, rng)
    document = json.loads(data)
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


def mutated_png(data: bytes, rng: random.Random) -> bytes:
    """Change the content of a PNG's parts and give each the checksum that fits."""
    if rng.random() < 0.4:
        return mutated_bytes(data, rng)
    chunks, position = [], 8
    while position + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, position)
        chunks.append((data[position + 4 : position + 8], data[position + 8 : position + 8 + length]))
        position += 12 + length
    index = rng.randrange(len(chunks))
    name, body = chunks[index]
    if name == b"IHDR" and rng.random() < 0.8:
        sides = [rng.choice((0, 1, 16, 10_000, 20_000, 65_536, 2**31 - 1, 2**32 - 1)) for _ in range(2)]
        body = struct.pack(
            ">IIBBBBB", *sides, rng.choice((1, 8, 16, 3)), rng.choice((0, 2, 3, 6, 9)), 0, 0, rng.choice((0, 1))
        )
    elif rng.random() < 0.2:
        chunks.insert(index, rng.choice(_bombs()))
    else:
        body = mutated_bytes(body, rng)
    chunks[index] = (chunks[index][0], body) if chunks[index][0] == name else chunks[index]
    parts = (struct.pack(">I", len(b)) + n + b + struct.pack(">I", zlib.crc32(n + b)) for n, b in chunks)
    return data[:8] + b"".join(parts)


def _bombs() -> list[tuple[bytes, bytes]]:
    """Parts of a PNG that are small and become large."""
    zeros = zlib.compress(bytes(50_000_000), 9)
    return [
        (b"zTXt", b"a\0\0" + zeros),
        (b"iCCP", b"a\0\0" + zeros),
        (b"iTXt", b"a\0\1\0\0\0" + zeros),
        (b"IDAT", zeros),
        (b"acTL", struct.pack(">II", 2**31 - 1, 0)),
    ]


def mutated_zip(data: bytes, rng: random.Random) -> bytes:
    """Change members of an archive, give it the checksums that fit, or names that lead out; or pack a bomb into it."""
    if rng.random() < 0.3:
        return mutated_bytes(data, rng)
    source, target = zipfile.ZipFile(io.BytesIO(data)), io.BytesIO()
    names = source.namelist()
    chosen, change = rng.choice(names), rng.randrange(4)
    with zipfile.ZipFile(target, "w") as archive:
        for name in names:
            content, kind = source.read(name), zipfile.ZIP_STORED
            if name == chosen and change == 0:
                name = rng.choice(("../" + name, "/" + name, name + "x", name.upper()))
            elif name == chosen and change == 1:
                content, kind = content + bytes(200_000_000 if rng.random() < 0.05 else 2000), zipfile.ZIP_DEFLATED
            elif name == chosen:
                content = mutated_bytes(content, rng)
            archive.writestr(zipfile.ZipInfo(name), content, kind)
    return target.getvalue()


def mutated_onnx(data: bytes, rng: random.Random) -> bytes:
    """Change fields of a graph, so that what comes out is an ONNX file with another meaning."""
    if rng.random() < 0.35:
        return mutated_bytes(data, rng)
    proto = onnx.load_model_from_string(data)
    for _ in range(rng.choice((1, 1, 2))):
        rng.choice(_GRAPH_MUTATIONS)(proto, rng)
    return bytes(proto.SerializeToString())


def _dims(proto: onnx.ModelProto, rng: random.Random) -> None:
    if proto.graph.initializer:
        tensor = rng.choice(proto.graph.initializer)
        tensor.dims[:] = rng.choice(([], [0], [-1], [2**40, 2**40], [2**62], [1] * 5000, [10**6, 10**6]))


def _values(proto: onnx.ModelProto, rng: random.Random) -> None:
    if proto.graph.initializer:
        tensor = rng.choice(proto.graph.initializer)
        tensor.raw_data = rng.choice((b"", b"\0", b"\xff" * 1000, struct.pack("<f", float("nan")) * 3))
        tensor.data_type = rng.choice((0, 1, 2, 7, 8, 10, 16, 17, 23, 99, -1))


def _elsewhere(proto: onnx.ModelProto, rng: random.Random) -> None:
    if proto.graph.initializer:
        tensor = rng.choice(proto.graph.initializer)
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=rng.choice(TEXTS))
        tensor.external_data.add(key="length", value=rng.choice(NUMBERS))


def _names(proto: onnx.ModelProto, rng: random.Random) -> None:
    node = rng.choice(proto.graph.node)
    names = [name for other in proto.graph.node for name in (*other.input, *other.output)]
    ends = node.input if rng.random() < 0.7 else node.output
    if ends:
        ends[rng.randrange(len(ends))] = rng.choice((*names, "", "x" * 5000))


def _nodes(proto: onnx.ModelProto, rng: random.Random) -> None:
    node = rng.choice(proto.graph.node)
    change = rng.randrange(4)
    if change == 0:
        node.op_type = rng.choice(("Loop", "If", "Conv", "Tile", "ConstantOfShape", "Nothing", "Resize", "Cast"))
    elif change == 1:
        node.domain = rng.choice(("evil", "com.microsoft", "ai.onnx.ml"))
    elif change == 2:
        proto.graph.node.remove(node)
        proto.graph.node.insert(rng.randrange(len(proto.graph.node) + 1), node)
    elif node.attribute:
        attribute = rng.choice(node.attribute)
        attribute.i = rng.choice((0, -1, 2**62, 99))
        attribute.ints[:] = rng.choice(([], [0] * 4, [-1, 2], [2**62] * 4, [1] * 5000))


def _head(proto: onnx.ModelProto, rng: random.Random) -> None:
    change = rng.randrange(4)
    if change == 0:
        proto.ir_version = rng.choice((0, 1, 99, 2**62))
    elif change == 1 and proto.opset_import:
        proto.opset_import[0].version = rng.choice((0, 7, 99, 2**62))
    elif change == 2:
        value = rng.choice((*proto.graph.input, *proto.graph.output))
        for dimension in value.type.tensor_type.shape.dim:
            dimension.dim_value = rng.choice((0, -1, 1, 2**62))
    else:
        del proto.opset_import[:]


def _metadata(proto: onnx.ModelProto, rng: random.Random) -> None:
    for entry in proto.metadata_props:
        entry.value = mutated_json(entry.value.encode(), rng).decode("utf-8", "replace")
    if rng.random() < 0.2 and proto.metadata_props:
        proto.metadata_props.add(key=proto.metadata_props[0].key, value="{}")


_GRAPH_MUTATIONS = (_dims, _values, _elsewhere, _names, _nodes, _head, _metadata, _metadata)
