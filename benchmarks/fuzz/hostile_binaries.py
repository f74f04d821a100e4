"""Mutations of PNG, ZIP and ONNX files whose checksums and structure stay right, so that only the content lies."""

from __future__ import annotations

import functools
import hashlib
import io
import json
import random
import struct
import zipfile
import zlib

import onnx

from benchmarks.fuzz.hostile_bytes import mutated_bytes
from benchmarks.fuzz.hostile_text import NUMBERS, TEXTS, mutated_json
from edgeseg.archive_members import MANIFEST, archive_bytes


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


@functools.cache
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


def mutated_package(data: bytes, rng: random.Random) -> bytes:
    """Change an archive as a zip; or change its members and write it as edgeseg does, often with hashes that fit."""
    if rng.random() < 0.5:
        return mutated_zip(data, rng)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = rng.choice(sorted(members))
    by_name = {"model.onnx": mutated_onnx, MANIFEST: mutated_json}
    members[name] = by_name.get(name, mutated_bytes)(members[name], rng)
    if name != MANIFEST and rng.random() < 0.8:
        manifest = json.loads(members[MANIFEST])
        manifest["files"][name] = hashlib.sha256(members[name]).hexdigest()
        members[MANIFEST] = json.dumps(manifest).encode()
    return archive_bytes(members)


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
