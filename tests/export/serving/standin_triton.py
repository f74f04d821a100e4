"""A stand-in for Triton Inference Server: it loads a model repository, computes what its configurations say, and
answers the KServe v2 protocol by gRPC, so that a real client can talk to it.

It parses with Triton's own schema and refuses what Triton refuses: folders, shapes and types that do not fit, ensembles
whose tensors do not. It does not batch requests together.
"""

from __future__ import annotations

from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import onnxruntime
from google.protobuf import text_format
from numpy.typing import NDArray
from tritonclient.grpc import model_config_pb2, service_pb2, service_pb2_grpc
from tritonclient.utils import np_to_triton_dtype, triton_to_np_dtype

Tensors = dict[str, NDArray[Any]]
FILES = {"onnxruntime": "model.onnx", "openvino": "model.xml", "tensorrt": "model.plan"}
"""The file that each of Triton's backends looks for where no default_model_filename stands."""


def read_config(folder: Path) -> Any:
    config = text_format.Parse((folder / "config.pbtxt").read_text(), model_config_pb2.ModelConfig())
    assert config.name == folder.name, "the name must be that of the folder"
    return config


def dtype_of(value: Any) -> np.dtype[Any]:
    name = model_config_pb2.DataType.Name(value.data_type).removeprefix("TYPE_")
    return np.dtype(triton_to_np_dtype(name))


class Model:
    """One model of the repository: `infer` checks what comes and what goes against the configuration."""

    def __init__(self, folder: Path, models: dict[str, Model]) -> None:
        self.config, self._models = read_config(folder), models
        versions = [int(path.name) for path in folder.iterdir() if path.is_dir()]
        assert versions and min(versions) > 0
        if self.config.platform == "ensemble":
            assert not self.config.instance_group and self.config.HasField("ensemble_scheduling")
            return
        path = folder / str(max(versions)) / (self.config.default_model_filename or FILES[self.config.backend])
        assert path.is_file()
        exact = self.config.parameters["ENFORCE_BF16"].string_value == "NO"
        self._session = _openvino(path, exact) if self.config.backend == "openvino" else _onnxruntime(path)

    def warm_up(self) -> None:
        for warmup in self.config.model_warmup:
            lead = [warmup.batch_size] if self.config.max_batch_size else []
            self.infer({name: np.zeros([*lead, *entry.dims], dtype_of(entry)) for name, entry in warmup.inputs.items()})

    def infer(self, inputs: Tensors) -> Tensors:
        self._check(inputs, self.config.input)
        outputs = self._run_steps(inputs) if self.config.platform == "ensemble" else self._session(inputs)
        self._check(outputs, self.config.output)
        return outputs

    def _run_steps(self, inputs: Tensors) -> Tensors:
        known = dict(inputs)
        for step in self.config.ensemble_scheduling.step:
            model = self._models[step.model_name]
            assert model.config.max_batch_size == 0 or model.config.max_batch_size >= self.config.max_batch_size
            found = model.infer({name: known[tensor] for name, tensor in step.input_map.items()})
            known |= {tensor: found[name] for name, tensor in step.output_map.items()}
        return {value.name: known[value.name] for value in self.config.output}

    def _check(self, tensors: Tensors, declared: Any) -> None:
        if set(tensors) != {value.name for value in declared}:
            raise ValueError(f"tensors {sorted(tensors)} for {self.config.name}")
        for value in declared:
            tensor, dims = tensors[value.name], list(value.dims)
            if self.config.max_batch_size:
                dims = [-1, *dims]
                if not 1 <= tensor.shape[0] <= self.config.max_batch_size:
                    raise ValueError(f"batch of {tensor.shape[0]} for {self.config.name}")
            fits = len(dims) == tensor.ndim and all(d in (-1, n) for d, n in zip(dims, tensor.shape, strict=True))
            if tensor.dtype != dtype_of(value) or not fits:
                raise ValueError(f"{value.name} {tensor.dtype} {tensor.shape} for {self.config.name}, expected {dims}")


def _onnxruntime(path: Path) -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    return lambda inputs: dict(zip(names, session.run(names, inputs), strict=True))


def _openvino(path: Path, exact: bool) -> Any:
    """Without a word on BF16, OpenVINO takes it for float32 on processors that have it, as Triton's backend does."""
    import openvino

    model = openvino.compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"} if exact else {})
    return lambda inputs: {output.any_name: value for output, value in model(inputs).items()}


class StandInTriton(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]
    """The server on a free port of loopback; a context manager."""

    def __init__(self, repository: Path) -> None:
        self._models: dict[str, Model] = {}
        for folder in sorted(path for path in repository.iterdir() if path.is_dir()):
            self._models[folder.name] = Model(folder, self._models)
        for model in self._models.values():
            model.warm_up()
        self._server = grpc.server(
            futures.ThreadPoolExecutor(2), options=[("grpc.max_receive_message_length", 64 << 20)]
        )
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(self, self._server)
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"

    def __enter__(self) -> StandInTriton:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(None).wait()

    def ModelReady(self, request: Any, context: Any) -> Any:  # noqa: N802
        return service_pb2.ModelReadyResponse(ready=request.name in self._models)

    def ModelConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        return service_pb2.ModelConfigResponse(config=self._models[request.name].config)

    def ModelMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        config = self._models[request.name].config
        lead = [-1] if config.max_batch_size else []
        sides = [
            [
                service_pb2.ModelMetadataResponse.TensorMetadata(
                    name=value.name, datatype=np_to_triton_dtype(dtype_of(value)), shape=[*lead, *value.dims]
                )
                for value in declared
            ]
            for declared in (config.input, config.output)
        ]
        return service_pb2.ModelMetadataResponse(name=config.name, versions=["1"], inputs=sides[0], outputs=sides[1])

    def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802
        inputs = {
            entry.name: np.frombuffer(raw, triton_to_np_dtype(entry.datatype)).reshape(entry.shape)
            for entry, raw in zip(request.inputs, request.raw_input_contents, strict=True)
        }
        try:
            outputs = self._models[request.model_name].infer(inputs)
        except Exception as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error)[:500])
        wanted = [output.name for output in request.outputs] or list(outputs)
        response = service_pb2.ModelInferResponse(model_name=request.model_name, model_version="1", id=request.id)
        for name in wanted:
            tensor = outputs[name]
            response.outputs.add(name=name, datatype=np_to_triton_dtype(tensor.dtype), shape=tensor.shape)
            response.raw_output_contents.append(tensor.tobytes())
        return response
