"""Model repositories against Triton's own schema, the ONNX files themselves, and a real client."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from edgeseg.artifacts import Binding, EngineArtifact
from edgeseg.cli import run
from edgeseg.errors import BadInputError, UsageError
from edgeseg.export.serving.served_model import served_model
from edgeseg.export.serving.triton_repository import write_triton_repository
from edgeseg.files import sha256_file
from edgeseg.graph.onnx_files import serialize
from edgeseg.images import read_mask_values, write_png
from edgeseg.interface import open_engine

pytest.importorskip("tritonclient.grpc")
from tritonclient.grpc import InferenceServerClient, InferInput, model_config_pb2
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from tests.export.serving.standin_triton import StandInTriton, dtype_of, read_config

ROOT = Path(__file__).parents[3]
ULTRA = ROOT / "models" / "kvasir-ultra"
DATA = Path(os.environ.get("EDGESEG_DATA", ROOT.parent / "shared" / "data"))


def repository(model: Path, out: Path) -> Path:
    write_triton_repository(served_model(model), out)
    return out


@pytest.fixture(scope="module")
def ultra(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return repository(ULTRA, tmp_path_factory.mktemp("triton") / "models")


@pytest.fixture(scope="module")
def client(ultra: Path) -> Iterator[InferenceServerClient]:
    with StandInTriton(ultra) as server:
        asking = InferenceServerClient(server.address)
        yield asking
        asking.close()


def infer(client: InferenceServerClient, model: str, tensor: NDArray[Any]) -> Any:
    asked = InferInput("frame", list(tensor.shape), np_to_triton_dtype(tensor.dtype))
    asked.set_data_from_numpy(tensor)
    return client.infer(model, [asked])


def edited(engine: Path, **fields: Any) -> Path:
    """An engine whose passport says something else."""
    path = engine.with_name(f"{engine.name}.json")
    EngineArtifact.read(path).model_copy(update=fields).write(path)
    return engine


def test_the_folders_are_a_repository(ultra: Path) -> None:
    found = sorted(str(path.relative_to(ultra)) for path in ultra.rglob("*") if path.is_file())
    steps = [f"kvasir-ultra-{step}" for step in ("mask", "network", "resize")]
    assert found == sorted(
        ["kvasir-ultra/config.pbtxt", *(f"{s}/{f}" for s in steps for f in ("config.pbtxt", "1/model.onnx"))]
    )
    assert (ultra / "kvasir-ultra" / "1").is_dir()
    assert sha256_file(ultra / "kvasir-ultra-network" / "1" / "model.onnx") == sha256_file(ULTRA / "model.onnx")


def test_names_shapes_and_types_are_those_of_the_graphs(ultra: Path) -> None:
    for folder in ultra.iterdir():
        config = read_config(folder)
        if config.platform == "ensemble":
            continue
        graph = onnx.load(folder / "1" / "model.onnx").graph
        for declared, values in ((config.input, graph.input), (config.output, graph.output)):
            assert [value.name for value in declared] == [value.name for value in values]
            for one, value in zip(declared, values, strict=True):
                kind, (batch, *shape) = value.type.tensor_type.elem_type, value.type.tensor_type.shape.dim
                assert onnx.helper.tensor_dtype_to_np_dtype(kind) == dtype_of(one)
                assert not batch.dim_value, "Triton batches along a first dimension that is free"
                assert list(one.dims) == [dim.dim_value or -1 for dim in shape]


def test_the_network_batches_and_warms_up_and_tells_what_it_is(ultra: Path) -> None:
    network = read_config(ultra / "kvasir-ultra-network")
    assert network.HasField("dynamic_batching") and network.max_batch_size == 8
    assert [warmup.batch_size for warmup in network.model_warmup] == [1, 8]
    assert model_config_pb2.ModelInstanceGroup.Kind.Name(network.instance_group[0].kind) == "KIND_CPU"
    told = {key: value.string_value for key, value in network.parameters.items()}
    assert told["edgeseg.onnx_sha256"] == sha256_file(ULTRA / "model.onnx")
    assert (told["edgeseg.classes"], told["edgeseg.threshold"]) == ("polyp", "0.5")
    for step in ("resize", "mask"):
        config = read_config(ultra / f"kvasir-ultra-{step}")
        assert not config.HasField("dynamic_batching"), "frames of several sizes must not share an inference"


def test_a_client_gets_the_masks_of_the_engine(client: InferenceServerClient) -> None:
    assert client.is_model_ready("kvasir-ultra")
    described = client.get_model_metadata("kvasir-ultra")
    assert [(value.name, value.datatype, list(value.shape)) for value in described.inputs] == [
        ("frame", "UINT8", [-1, -1, -1, 3])
    ]
    rng = np.random.default_rng(3)
    with open_engine(ULTRA) as engine:
        for batch, height, width in ((1, 300, 400), (3, 90, 70), (1, 1080, 1920)):
            coarse = rng.integers(0, 256, (batch, height // 10, width // 10, 3), dtype=np.uint8)
            frames = np.kron(coarse, np.ones((1, 10, 10, 1), np.uint8))
            masks = infer(client, "kvasir-ultra", frames).as_numpy("mask")
            assert masks.dtype == np.uint8
            expected = np.stack([engine.segment(frame) for frame in frames])
            assert np.array_equal(masks, expected)


def test_frames_of_the_networks_size_need_no_ensemble(client: InferenceServerClient) -> None:
    frames = np.random.default_rng(4).integers(0, 256, (2, 256, 256, 3), dtype=np.uint8)
    found = infer(client, "kvasir-ultra-network", frames).as_numpy("probability")
    with open_engine(ULTRA) as engine:
        expected = np.stack([engine.probability(frame) for frame in frames])
    assert found.shape == (2, 1, 256, 256) and np.allclose(found, expected, atol=1e-5)


def test_what_the_configuration_does_not_say_is_refused(client: InferenceServerClient) -> None:
    for wrong in (np.zeros((1, 40, 40, 4), np.uint8), np.zeros((1, 40, 40, 3), np.float32)):
        with pytest.raises(InferenceServerException, match="expected"):
            infer(client, "kvasir-ultra", wrong)
    with pytest.raises(InferenceServerException, match="batch of 9"):
        infer(client, "kvasir-ultra", np.zeros((9, 20, 20, 3), np.uint8))


@pytest.mark.skipif(not DATA.is_dir(), reason="no data; EDGESEG_DATA names the data folder")
def test_masks_of_real_frames_are_those_of_edgeseg_run(client: InferenceServerClient, tmp_path: Path) -> None:
    frames = [*_pictures(6), *_clip_frames("colon_polyp_560x480_25fps.mp4", 6)]
    for index, frame in enumerate(frames):
        write_png(tmp_path / "frames" / f"{index:02d}.png", frame)
    assert run(["run", str(ULTRA), str(tmp_path / "frames"), "--masks", str(tmp_path / "masks")]) == 0
    marked = 0
    for index, frame in enumerate(frames):
        mask = infer(client, "kvasir-ultra", frame[np.newaxis]).as_numpy("mask")[0]
        assert np.array_equal(mask, read_mask_values(tmp_path / "masks" / f"{index:02d}.png").values), index
        marked += bool(mask.any())
    assert marked >= 6


def _pictures(count: int) -> list[NDArray[np.uint8]]:
    from edgeseg.images import read_rgb

    return [read_rgb(path) for path in sorted((DATA / "kvasir-seg" / "test" / "images").iterdir())[:count]]


def _clip_frames(name: str, count: int) -> list[NDArray[np.uint8]]:
    with av.open(str(DATA / "video" / name)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    return frames[:: len(frames) // count][:count]


def test_an_int8_engine_of_onnxruntime_travels_with_its_passport(tiny_engine: Path, tmp_path: Path) -> None:
    engine = edited(tiny_engine, precision="int8", binding=Binding(instruction_set="avx512_vnni"))
    out = repository(engine, tmp_path / "r")
    network = read_config(out / "tiny.fp32-network")
    told = {key: value.string_value for key, value in network.parameters.items()}
    passport = EngineArtifact.read(engine.with_name(f"{engine.name}.json"))
    served = sha256_file(out / "tiny.fp32-network" / "1" / "model.onnx")
    assert told["edgeseg.engine_sha256"] == passport.engine_sha256 == served
    assert "avx512_vnni" in (out / "tiny.fp32-network" / "config.pbtxt").read_text()


def test_openvino_takes_any_number_of_frames_without_batching(tiny_engine: Path, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    frame = np.random.default_rng(5).integers(0, 256, (1, 50, 70, 3), dtype=np.uint8)
    with open_engine(tiny_engine) as engine:
        expected = engine.segment(frame[0])
    out = repository(edited(tiny_engine, backend="openvino"), tmp_path / "r")
    network = read_config(out / "tiny.fp32-network")
    assert (network.backend, network.max_batch_size) == ("openvino", 0)
    assert network.default_model_filename == "model.onnx", "Triton would look for model.xml"
    assert list(network.input[0].dims) == [-1, 32, 32, 3] and not network.HasField("dynamic_batching")
    with StandInTriton(out) as server:
        asking = InferenceServerClient(server.address)
        assert np.array_equal(infer(asking, "tiny.fp32", frame).as_numpy("mask")[0], expected)
        asking.close()


def test_a_plan_says_that_it_belongs_to_its_gpu(tiny_engine: Path, tmp_path: Path) -> None:
    gpu = Binding(gpu="NVIDIA RTX A2000")
    engine = edited(
        tiny_engine, backend="tensorrt", backend_version="10.13.0", binding=gpu, build_flags={"batch": [1, 1, 4]}
    )
    out = repository(engine, tmp_path / "r")
    text = (out / "tiny.fp32-network" / "config.pbtxt").read_text()
    assert "# model.plan is valid on NVIDIA RTX A2000 with TensorRT 10.13.0 alone" in text
    network = read_config(out / "tiny.fp32-network")
    assert (network.backend, network.default_model_filename, network.max_batch_size) == ("tensorrt", "model.plan", 4)
    assert model_config_pb2.ModelInstanceGroup.Kind.Name(network.instance_group[0].kind) == "KIND_GPU"
    assert (out / "tiny.fp32-network" / "1" / "model.plan").read_bytes() == engine.read_bytes()
    assert read_config(out / "tiny.fp32").max_batch_size == 4


def test_what_a_passport_says_begins_no_line_of_the_configuration(tiny_engine: Path, tmp_path: Path) -> None:
    gpu = Binding(gpu='any\nbackend: "python"\n')
    out = repository(edited(tiny_engine, backend="tensorrt", binding=gpu), tmp_path / "r")
    assert read_config(out / "tiny.fp32-network").backend == "tensorrt"
    assert read_config(out / "tiny.fp32-network").parameters["edgeseg.gpu"].string_value == gpu.gpu


def test_a_network_of_one_frame_is_not_batched(tiny_onnx: Path, tmp_path: Path) -> None:
    proto = onnx.load(tiny_onnx)
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    entry = next(entry for entry in proto.metadata_props if entry.key == "edgeseg")
    entry.value = entry.value.replace('"largest_batch": null', '"largest_batch": 1')
    tiny_onnx.write_bytes(serialize(proto))
    out = repository(tiny_onnx, tmp_path / "r")
    network = read_config(out / "tiny-network")
    assert network.max_batch_size == 0 and list(network.input[0].dims) == [1, 32, 32, 3]
    assert list(network.model_warmup[0].inputs["frame"].dims) == [1, 32, 32, 3]
    with StandInTriton(out) as server:
        asking = InferenceServerClient(server.address)
        assert infer(asking, "tiny", np.zeros((1, 40, 50, 3), np.uint8)).as_numpy("mask").shape == (1, 40, 50)
        asking.close()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"backend": "tensorrt-rtx"}, "no backend of Triton runs"),
        ({"backend": "tensorrt", "build_flags": {"batch": [2, 2, 4]}}, "does not take one frame alone"),
    ],
)
def test_engines_that_triton_cannot_serve_are_refused(
    tiny_engine: Path, tmp_path: Path, fields: dict[str, Any], words: str
) -> None:
    with pytest.raises(BadInputError, match=words) as caught:
        repository(edited(tiny_engine, **fields), tmp_path / "r")
    assert caught.value.next_command and not (tmp_path / "r").exists()


def test_a_name_that_is_no_folder_of_a_server_is_refused(tiny_onnx: Path, tmp_path: Path) -> None:
    odd = tiny_onnx.rename(tiny_onnx.with_name("my model.onnx"))
    with pytest.raises(UsageError, match="is no name for a model on a server"):
        repository(odd, tmp_path / "r")
