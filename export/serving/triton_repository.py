"""A model repository of Triton Inference Server: frames of any size in, masks of that size out.

Fields: https://github.com/triton-inference-server/common/blob/main/protobuf/model_config.proto, and the user guide's
pages on model configuration, model repositories and ensembles.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgeseg.export.serving.mask_graph import MASK, mask_graph
from edgeseg.export.serving.pbtxt import EnumName, Field, Fields, to_pbtxt
from edgeseg.export.serving.resize_graph import FRAME, FRAME_SIZE, NETWORK_INPUT, resize_graph
from edgeseg.export.serving.served_model import ServedModel
from edgeseg.files import atomic_folder, write_bytes, write_text
from edgeseg.graph.onnx_files import serialize
from edgeseg.specs import INPUT_NAME, OUTPUT_NAME

CONFIG = "config.pbtxt"
VERSION = "1"
ANY = -1
UINT8, INT64, FLOAT32 = EnumName("TYPE_UINT8"), EnumName("TYPE_INT64"), EnumName("TYPE_FP32")
CPU, GPU = EnumName("KIND_CPU"), EnumName("KIND_GPU")


def write_triton_repository(served: ServedModel, out: Path) -> list[str]:
    """Write a repository of four models; it appears whole or not at all.

    ``NAME`` is an ensemble: `frame`, uint8 [N,H,W,3] RGB of any size, to `mask`, uint8 [N,H,W] at that size, and
    `probability`, float32 [N,C,h,w] at the network's. Its steps are ``NAME-resize``, ``NAME-network`` (which takes
    frames of the network's size by itself) and ``NAME-mask``.

    Args:
        served: The network.
        out: The repository's folder, new or empty.

    Returns:
        The models' names, the ensemble first.

    Raises:
        UnwritableError: `out` is not empty or cannot be written.
    """
    configs = {
        served.name: _ensemble(served),
        f"{served.name}-resize": _resize_step(served),
        f"{served.name}-network": _network(served),
        f"{served.name}-mask": _mask_step(served),
    }
    files = {
        f"{served.name}-resize": ("model.onnx", serialize(resize_graph(served.metadata))),
        f"{served.name}-network": (served.server.file_name, served.data),
        f"{served.name}-mask": ("model.onnx", serialize(mask_graph(served.metadata))),
    }
    with atomic_folder(out) as folder:
        for name, fields in configs.items():
            (folder / name / VERSION).mkdir(parents=True)
            write_text(folder / name / CONFIG, to_pbtxt([("name", name), *fields], _comment(served)))
        for name, (file_name, data) in files.items():
            write_bytes(folder / name / VERSION / file_name, data)
    return list(configs)


def _comment(served: ServedModel) -> list[str]:
    words = [f"{served.name}: {', '.join(served.metadata.model.classes)}. Written by edgeseg package --triton."]
    passport = served.passport
    if passport is None:
        return [*words, "The network runs in float32."]
    if served.server.of_one_gpu:
        gpu = passport.binding.gpu or "the GPU that it was built on"
        words += [
            f"model.plan is valid on {gpu} with TensorRT {passport.backend_version} alone, and is native code:",
            "on another GPU or another TensorRT build the engine again, verify it and write this repository anew.",
        ]
    elif passport.precision == "int8" and passport.binding.instruction_set not in (None, "any"):
        words.append(f"INT8 was made for processors with {passport.binding.instruction_set}.")
    return words


def _ensemble(served: ServedModel) -> list[Field]:
    model = served.metadata.model
    network, probability = "network_input", OUTPUT_NAME
    steps = (
        ("resize", {FRAME: FRAME}, {NETWORK_INPUT: network, FRAME_SIZE: FRAME_SIZE}),
        ("network", {INPUT_NAME: network}, {OUTPUT_NAME: probability}),
        ("mask", {OUTPUT_NAME: probability, FRAME_SIZE: FRAME_SIZE}, {MASK: MASK}),
    )
    return [
        ("platform", "ensemble"),
        ("max_batch_size", served.largest_batch),
        _tensor("input", FRAME, UINT8, _lead(served), ANY, ANY, 3),
        _tensor("output", MASK, UINT8, _lead(served), ANY, ANY),
        _tensor("output", OUTPUT_NAME, FLOAT32, _lead(served), model.channels, model.height, model.width),
        ("ensemble_scheduling", [_step(f"{served.name}-{step}", *maps) for step, *maps in steps]),
        *_parameters(served),
    ]


def _step(name: str, inputs: dict[str, str], outputs: dict[str, str]) -> Field:
    maps = [("input_map", inputs), ("output_map", outputs)]
    entries: list[Field] = [
        (field, [("key", key), ("value", value)]) for field, tensors in maps for key, value in tensors.items()
    ]
    return ("step", [("model_name", name), ("model_version", ANY), *entries])


def _resize_step(served: ServedModel) -> list[Field]:
    model = served.metadata.model
    return [
        *_onnx_step(served),
        _tensor("input", FRAME, UINT8, _lead(served), ANY, ANY, 3),
        _tensor("output", NETWORK_INPUT, UINT8, _lead(served), *model.input_shape),
        _tensor("output", FRAME_SIZE, INT64, _lead(served), 2),
    ]


def _mask_step(served: ServedModel) -> list[Field]:
    model = served.metadata.model
    return [
        *_onnx_step(served),
        _tensor("input", OUTPUT_NAME, FLOAT32, _lead(served), model.channels, model.height, model.width),
        _tensor("input", FRAME_SIZE, INT64, _lead(served), 2),
        _tensor("output", MASK, UINT8, _lead(served), ANY, ANY),
    ]


def _onnx_step(served: ServedModel) -> list[Field]:
    """Frames of several sizes never share an inference here: without a batcher, a request is one."""
    return [("backend", "onnxruntime"), ("max_batch_size", served.largest_batch), _instances(CPU)]


def _network(served: ServedModel) -> list[Field]:
    model, batch = served.metadata.model, served.largest_batch
    return [
        ("backend", served.backend),
        ("default_model_filename", served.server.file_name),
        ("max_batch_size", batch),
        _tensor("input", INPUT_NAME, UINT8, _lead(served), *model.input_shape),
        _tensor("output", OUTPUT_NAME, FLOAT32, _lead(served), model.channels, model.height, model.width),
        _instances(GPU if served.server.of_one_gpu else CPU),
        *([("dynamic_batching", ())] if batch else []),
        *(_warm_up(served, size) for size in sorted({1, max(batch, 1)})),
        *(_parameter(key, value) for key, value in served.server.settings),
        *_parameters(served),
    ]


def _warm_up(served: ServedModel, batch: int) -> Field:
    shape = [*([] if served.largest_batch else [1]), *served.metadata.model.input_shape]
    value: Fields = [("data_type", UINT8), *(("dims", side) for side in shape), ("zero_data", True)]
    inputs: Field = ("inputs", [("key", INPUT_NAME), ("value", value)])
    return ("model_warmup", [("name", f"batch of {batch}"), ("batch_size", batch), inputs])


def _tensor(field: str, name: str, kind: EnumName, lead: Sequence[int], *dims: int) -> Field:
    return (field, [("name", name), ("data_type", kind), *(("dims", side) for side in (*lead, *dims))])


def _lead(served: ServedModel) -> tuple[int, ...]:
    """The first dimension where Triton does not add it by itself, as it does for models that it batches."""
    if served.largest_batch:
        return ()
    return (ANY,) if served.metadata.model.largest_batch is None else (1,)


def _instances(kind: EnumName) -> Field:
    return ("instance_group", [("count", 1), ("kind", kind)])


def _parameters(served: ServedModel) -> list[Field]:
    """Facts under names that no backend takes for a setting of its own."""
    return [_parameter(f"edgeseg.{key}", value) for key, value in served.facts.items()]


def _parameter(key: str, value: str) -> Field:
    return ("parameters", [("key", key), ("value", [("string_value", value)])])
