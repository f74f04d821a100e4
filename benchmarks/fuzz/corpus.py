"""The sound files that are mutated, each written by edgeseg or by the library that people write such files with."""

from __future__ import annotations

import io
import json
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import numpy as np
import onnx
import pydantic
from numpy.typing import NDArray
from onnx import TensorProto, helper
from PIL import Image

from edgeseg.archive_members import MANIFEST, archive_bytes
from edgeseg.artifacts import EngineArtifact, PackageManifest, TensorSpec
from edgeseg.files import sha256_bytes
from edgeseg.graph.onnx_files import serialize, with_metadata
from edgeseg.graph.weights import weights_sha256
from edgeseg.specs import ModelMetadata, ModelSpec, PreprocessSpec
from edgeseg.values import Part

SIDE = 16
"""Height and width of the pictures and of the network, in pixels."""


def value_json(kind: type[Part]) -> bytes:
    """A document of one kind of value that is valid, every field filled."""
    return json.dumps(kind.model_validate(_example(kind)).model_dump(mode="json")).encode()


def _example(annotation: Any, length: int = 1) -> Any:
    """A plain value that an annotated field takes; `length` entries where it is a collection."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _example(arguments[0], length)
    if origin in (Union, types.UnionType):
        return _example(next(kind for kind in arguments if kind is not type(None)), length)
    if origin is Literal:
        return arguments[0]
    if origin is tuple and Ellipsis not in arguments:
        return [_example(kind) for kind in arguments]
    if origin in (tuple, list):
        return [_example(arguments[0])] * length
    if annotation is EngineArtifact:
        return passport(b"").model_dump(mode="json")
    if origin is dict:
        return {_example(arguments[0]): _example(arguments[1])}
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        fields = annotation.model_fields
        return {name: _example(field.annotation, _least(field)) for name, field in fields.items()}
    plain = {bool: True, int: 1, float: 0.5, Any: 1, pydantic.AwareDatetime: "2026-01-02T03:04:05+00:00"}
    return plain.get(annotation, "a")


def _least(field: Any) -> int:
    return max((getattr(limit, "min_length", None) or 1 for limit in field.metadata), default=1)


def picture(seed: int = 0) -> NDArray[np.uint8]:
    """A picture of patches, uint8 [SIDE,SIDE,3]."""
    coarse = np.random.default_rng(seed).integers(0, 256, (SIDE // 4, SIDE // 4, 3), dtype=np.uint8)
    return np.kron(coarse, np.ones((4, 4, 1), np.uint8))


def mask() -> NDArray[np.uint8]:
    """A mask with a square in it, uint8 [SIDE,SIDE] of 0 and 255."""
    drawn = np.zeros((SIDE, SIDE), np.uint8)
    drawn[4:10, 5:12] = 255
    return drawn


def masks() -> list[bytes]:
    """Masks as PNG: grey, labels, a palette, one bit, in the alpha channel."""
    grey = Image.fromarray(mask())
    alpha = Image.merge("LA", (grey, grey))
    labels = Image.fromarray(mask() // 255)
    streams = [io.BytesIO() for _ in range(5)]
    for stream, drawn in zip(streams, (grey, labels, grey.convert("P"), grey.convert("1"), alpha), strict=True):
        drawn.save(stream, "PNG")
    return [stream.getvalue() for stream in streams]


def images(suffixes: tuple[str, ...]) -> list[bytes]:
    """Pictures and masks in the formats of some suffixes, as Pillow writes them in every mode that these have."""
    return [data for suffix in suffixes for data in _in_every_mode(suffix)]


def _in_every_mode(suffix: str) -> Iterator[bytes]:
    options: dict[str, tuple[dict[str, Any], ...]] = {
        ".jpg": ({}, {"progressive": True}, {"restart_marker_blocks": 1}),
        ".tif": ({}, {"compression": "tiff_lzw"}, {"compression": "jpeg"}, {"compression": "group4"}),
        ".webp": ({}, {"lossless": True}),
    }
    for mode in ("RGB", "L", "P", "1", "RGBA", "LA", "CMYK", "I;16"):
        for option in options.get(suffix, ({},)):
            whole = Image.fromarray(picture())
            drawn = Image.fromarray(mask().astype(np.uint16) * 257) if mode == "I;16" else whole.convert(mode)
            stream = io.BytesIO()
            try:
                drawn.save(stream, Image.registered_extensions()[suffix], **option)
            except (OSError, ValueError, KeyError):  # a format without this mode
                continue
            yield stream.getvalue()


def moving(suffix: str) -> bytes:
    """Three pictures in one file."""
    pages, stream = [Image.fromarray(picture(seed)) for seed in range(3)], io.BytesIO()
    pages[0].save(stream, Image.registered_extensions()[suffix], save_all=True, append_images=pages[1:])
    return stream.getvalue()


def metadata() -> ModelMetadata:
    """The metadata of `network`."""
    return ModelMetadata(model=ModelSpec(architecture="fuzzed", height=SIDE, width=SIDE), preprocess=PreprocessSpec())


def network() -> bytes:
    """A contract graph that marks bright pixels."""
    nodes = [
        helper.make_node("Cast", ["frame"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "weight", "bias"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["probability"]),
    ]
    weights = [
        helper.make_tensor("weight", TensorProto.FLOAT, [1, 3, 1, 1], [1 / 24] * 3),
        helper.make_tensor("bias", TensorProto.FLOAT, [1], [-16.0]),
    ]
    graph = helper.make_graph(
        nodes,
        "fuzzed",
        [helper.make_tensor_value_info("frame", TensorProto.UINT8, ["N", SIDE, SIDE, 3])],
        [helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["N", 1, SIDE, SIDE])],
        weights,
    )
    proto = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)])
    return serialize(with_metadata(proto, metadata()))


def package() -> bytes:
    """A model package in one file."""
    files = {"model.onnx": network(), "card.md": b"# A card\n", "LICENSE.md": b"Any use.\n"}
    manifest = PackageManifest(name="fuzzed", files={name: sha256_bytes(data) for name, data in files.items()})
    return archive_bytes({MANIFEST: manifest.to_json().encode(), **files})


def foreign_networks() -> list[bytes]:
    """Networks of others, [1,3,SIDE,SIDE] in: one with its weights inside, one with them in `weights.bin`."""
    found = []
    for is_inside in (True, False):
        weight = helper.make_tensor("weight", TensorProto.FLOAT, [1, 3, 1, 1], [0.5, 0.25, 0.125])
        if not is_inside:
            weight.ClearField("float_data")
            weight.data_location = TensorProto.EXTERNAL
            for key, value in (("location", "weights.bin"), ("offset", "16"), ("length", "12")):
                weight.external_data.add(key=key, value=value)
        nodes = [helper.make_node("Conv", ["x", "weight"], ["l"]), helper.make_node("Sigmoid", ["l"], ["y"])]
        ends = [
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, channels, SIDE, SIDE])]
            for name, channels in (("x", 3), ("y", 1))
        ]
        graph = helper.make_graph(nodes, "foreign", *ends, [weight])
        proto = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)])
        found.append(bytes(proto.SerializeToString()))
    return found


def passport(engine: bytes, backend: str = "onnxruntime") -> EngineArtifact:
    """The passport of an engine whose hashes are right."""
    model = metadata()
    return EngineArtifact(
        engine_sha256=sha256_bytes(engine),
        engine_bytes=len(engine),
        backend=backend,
        backend_version="0",
        precision="fp32",
        convolutions=1,
        int8_convolutions=0,
        onnx_sha256=sha256_bytes(network()),
        weights_sha256=weights_sha256(onnx.load_model_from_string(network())),
        inputs=(TensorSpec(name="frame", shape=(-1, SIDE, SIDE, 3), dtype="uint8"),),
        outputs=(TensorSpec(name="probability", shape=(-1, 1, SIDE, SIDE), dtype="float32"),),
        model=model.model,
        preprocess=model.preprocess,
        rebuild="edgeseg build-engine model.onnx --precision fp32 --out model.fp32.engine",
    )


def videos() -> list[bytes]:
    """Twelve frames in each of several containers and codecs, by PyAV."""
    import av

    found = []
    for form, codec in (
        ("mp4", "mpeg4"),
        ("mp4", "libx264"),
        ("matroska", "mjpeg"),
        ("avi", "mpeg4"),
        ("mpegts", "mpeg2video"),
    ):
        stream = io.BytesIO()
        with av.open(stream, "w", format=form) as container:
            video: Any = container.add_stream(codec, rate=25)
            video.width = video.height = 4 * SIDE
            video.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            for seed in range(12):
                frame = av.VideoFrame.from_ndarray(np.kron(picture(seed), np.ones((4, 4, 1), np.uint8)))
                container.mux(video.encode(frame))
            container.mux(video.encode())
        found.append(stream.getvalue())
    return found


def dicom() -> list[bytes]:
    """A raw object of three frames, and one of JPEG frames, by pydicom."""
    import pydicom
    from pydicom.encaps import encapsulate

    found = []
    for syntax in ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.1.99"):
        described: Any = pydicom.Dataset()
        described.file_meta = pydicom.dataset.FileMetaDataset()
        described.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
        described.SOPClassUID, described.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.77.1.1.1", "1.2.3"
        described.Rows = described.Columns = SIDE
        described.SamplesPerPixel, described.PlanarConfiguration, described.NumberOfFrames = 3, 0, 3
        described.BitsAllocated = described.BitsStored = 8
        described.HighBit, described.PixelRepresentation = 7, 0
        described.PhotometricInterpretation = "RGB"
        frames = [images((".jpg",))[0]] * 3
        is_jpeg = syntax.endswith("50")
        described.PixelData = encapsulate(frames) if is_jpeg else np.stack([picture(n) for n in range(3)]).tobytes()
        described["PixelData"].VR = "OB"
        stream = io.BytesIO()
        pydicom.dcmwrite(stream, described, enforce_file_format=True)
        found.append(stream.getvalue())
    return found


def checkpoints(recipe_sha256: str, state: dict[str, Any]) -> list[bytes]:
    """Checkpoints of a RUN: weights alone, and with the history that resuming reads."""
    import torch

    found = []
    for more in ({}, {"history": [{"epoch": 1, "learning_rate": 0.1}], "losses": [0.5], "world_size": 1}):
        stream = io.BytesIO()
        torch.save({"network": state, "recipe_sha256": recipe_sha256, "epoch": 1, **more}, stream)
        found.append(stream.getvalue())
    return found


def coco() -> bytes:
    """Annotations with polygons and both kinds of run lengths, on pictures a, b and c."""
    runs = {"size": [SIDE, SIDE], "counts": [40, 20, SIDE * SIDE - 60]}
    packed = {"size": [SIDE, SIDE], "counts": "X1d0T6"}
    shapes: list[Any] = [[[2, 2, 12, 3, 9, 11]], runs, packed]
    document = {
        "images": [
            {"id": n, "file_name": f"{name}.png", "height": SIDE, "width": SIDE} for n, name in enumerate("abc")
        ],
        "categories": [{"id": 1, "name": "polyp"}],
        "annotations": [
            {"id": n, "image_id": n, "category_id": 1, "segmentation": shape} for n, shape in enumerate(shapes)
        ],
    }
    return json.dumps(document).encode()


def labelme() -> bytes:
    """A polygon, a rectangle and a circle, in LabelMe's form."""
    kinds = {"polygon": [[2, 2], [12, 3], [9, 11]], "rectangle": [[1, 1], [5, 6]], "circle": [[8, 8], [10, 8]]}
    shapes = [{"label": "polyp", "points": points, "shape_type": kind} for kind, points in kinds.items()]
    document = {"shapes": shapes, "imagePath": "a.png", "imageHeight": SIDE, "imageWidth": SIDE}
    return json.dumps(document).encode()


def write_pairs(folder: Path, names: str = "abc") -> None:
    """Write pictures and their masks into `images` and `masks`."""
    from edgeseg.images import write_png

    for seed, name in enumerate(names):
        write_png(folder / "images" / f"{name}.png", picture(seed))
        write_png(folder / "masks" / f"{name}.png", mask())
