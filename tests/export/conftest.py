"""One tiny RUN, trained once for all tests; foreign networks, saved and imported; a double of TensorRT's modules."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest

from edgeseg.export.builders import tensorrt_builder
from edgeseg.export.foreign.foreign_options import ImportOptions
from edgeseg.export.foreign.importing import ImportResult, import_onnx
from edgeseg.images import write_png
from edgeseg.runtime.passport.gpu import Gpu

Import = Callable[..., tuple[Path, ImportResult]]

SETTINGS = (
    "model.height=32",
    "model.width=32",
    "model.base_width=4",
    "model.depth=2",
    "training.epochs=2",
    "training.batch_size=4",
)


@pytest.fixture(scope="session")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bright squares on noise, in three splits."""
    root = tmp_path_factory.mktemp("squares")
    rng = np.random.default_rng(3)
    for split, count in (("train", 8), ("validation", 4), ("test", 8)):
        for index in range(count):
            image, mask = rng.integers(0, 90, (40, 40, 3), dtype=np.uint8), np.zeros((40, 40), np.uint8)
            top, left = rng.integers(4, 20, 2)
            image[top : top + 16, left : left + 16] += 120
            mask[top : top + 16, left : left + 16] = 255
            write_png(root / split / "images" / f"{split}{index}.png", image)
            write_png(root / split / "masks" / f"{split}{index}.png", mask)
    return root


@pytest.fixture(scope="session")
def tiny_run(squares: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from edgeseg.train.recipe import read_recipe
    from edgeseg.train.training import train

    run = tmp_path_factory.mktemp("runs") / "tiny"
    train(squares, run, read_recipe(None, SETTINGS))
    return run


@pytest.fixture
def imported(tmp_path: Path) -> Import:
    """Save a network, import it; gives the new file and what was said."""

    def run(proto: onnx.ModelProto, data: Path | None = None, **options: Any) -> tuple[Path, ImportResult]:
        source, out = tmp_path / "theirs" / "net.onnx", tmp_path / "ours" / "model.onnx"
        source.parent.mkdir(exist_ok=True)
        source.write_bytes(proto.SerializeToString())
        return out, import_onnx(source, out, ImportOptions(**options), data)

    return run


API: dict[str, dict[str, list[str]]] = json.loads((Path(__file__).parent / "tensorrt_api.json").read_text())
SEVERITY_ERROR = 1


class Double:
    """An object of the bindings: records calls and values set, and has no name that the version lacks."""

    def __init__(self, kind: str, module: Module, answers: dict[str, Any] | None = None) -> None:
        vars(self).update(_kind=kind, _module=module, _answers=answers or {})

    def __getattr__(self, name: str) -> Any:
        self._check(name)

        def call(*arguments: Any) -> Any:
            shown = tuple(f"<{a._kind}>" if isinstance(a, Double) else a for a in arguments)
            self._module.calls.append((f"{self._kind}.{name}", *shown))
            answer = self._answers.get(name)
            return answer(*arguments) if callable(answer) else answer

        return call

    def __setattr__(self, name: str, value: Any) -> None:
        self._check(name)
        self._module.calls.append((f"{self._kind}.{name} =", value))
        vars(self)[name] = value

    def _check(self, name: str) -> None:
        if name not in self._module.api[self._kind] and not name.startswith("_"):
            raise AttributeError(f"{self._kind} of {self._module.key} has no {name}")
        if name.startswith("_"):
            raise AttributeError(name)

    @classmethod
    def of(cls, kind: str, module: Module, **answers: Any) -> Double:
        return cls(kind, module, answers)


class Module:
    """A stand-in for `tensorrt` or `tensorrt_rtx` of one version."""

    def __init__(self, key: str, information: str = "{}", parses: bool = True, plan: Any = b"plan") -> None:
        self.key, self.api, self.calls = key, {k: list(v) for k, v in API[key].items()}, []
        self.__version__ = key.split()[1]
        self.information, self.parses, self.plan = information, parses, plan
        self.network_bytes = b""
        self.refuses_timings = False
        self.lacks_timings = False
        """True if the kept timings lack a kernel of the network."""
        self.executes = True
        self.layer_times_ms: list[tuple[str, float]] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in self.api:
            raise AttributeError(name)
        if name == "ILogger":
            return type("ILogger", (), {"ERROR": SEVERITY_ERROR, "__init__": lambda logger: None})
        if name in ("IProgressMonitor", "IProfiler"):
            return type(name, (), {"__init__": lambda watcher: None})
        factory = getattr(self, f"_{name}", None)
        if factory is not None:
            return factory
        members = self.api[name]
        if name == "NetworkDefinitionCreationFlag":
            return SimpleNamespace(**{member: index for index, member in enumerate(members)})
        return SimpleNamespace(**{member: f"{name}.{member}" for member in members})

    def _Builder(self, logger: Any) -> Double:  # noqa: N802
        timings = Double.of("ITimingCache", self, serialize=lambda: b"timings after")
        flags: list[str] = []
        config = Double.of(
            "IBuilderConfig",
            self,
            set_compute_capability=True,
            set_flag=flags.append,
            create_timing_cache=lambda data: timings,
            set_timing_cache=lambda cache, ignore: not self.refuses_timings,
        )
        vars(config)["progress_monitor"] = None
        return Double.of(
            "Builder",
            self,
            create_network=lambda flags: "network",
            create_builder_config=lambda: config,
            create_optimization_profile=lambda: Double.of("IOptimizationProfile", self),
            build_serialized_network=lambda network, given: self._build(given, logger, flags),
        )

    def _build(self, config: Any, logger: Any, flags: list[str]) -> Any:
        if "BuilderFlag.ERROR_ON_TIMING_CACHE_MISS" in flags and self.lacks_timings:
            logger.log(SEVERITY_ERROR, "a tactic is not in the timing cache")
            return None
        if "IProgressMonitor" in self.api:
            config.progress_monitor.phase_start("Building", None, 2)
            if not config.progress_monitor.step_complete("Building", 0):
                return None
            config.progress_monitor.phase_finish("Building")
        if self.plan is None:
            logger.log(SEVERITY_ERROR, "out of memory")
        return self.plan

    def _OnnxParser(self, network: Any, logger: Any) -> Double:  # noqa: N802
        def parse(data: bytes) -> bool:
            self.network_bytes = data
            return self.parses

        parser = Double.of("OnnxParser", self, parse=parse)
        vars(parser)["num_errors"] = 0
        return parser

    def _Runtime(self, logger: Any) -> Double:  # noqa: N802
        inspector = Double.of("EngineInspector", self, get_engine_information=lambda form: self.information)
        engine = Double.of(
            "ICudaEngine",
            self,
            create_engine_inspector=lambda: inspector,
            create_execution_context=self._context,
            get_tensor_name=lambda index: ("frame", "probability")[index],
        )
        vars(engine)["num_io_tensors"] = 2
        return Double.of("Runtime", self, deserialize_cuda_engine=lambda plan: engine)

    def _context(self) -> Double:
        def execute(addresses: list[int]) -> bool:
            for name, time_ms in self.layer_times_ms:
                context.profiler.report_layer_time(name, time_ms)
            return self.executes

        context = Double.of("IExecutionContext", self, set_input_shape=lambda *_: True, execute_v2=execute)
        return context


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch, own_cache: Path) -> Callable[..., Module]:
    """Puts a double and a GPU on this machine: install("tensorrt 10.3.0")."""

    def put(key: str, gpu: Gpu = Gpu("NVIDIA RTX A2000", "8.6", "580.65.06"), **facts: Any) -> Module:  # noqa: B008
        module = Module(key, **facts)
        monkeypatch.setitem(sys.modules, key.split()[0], module)  # type: ignore[arg-type]
        monkeypatch.setattr(tensorrt_builder, "find_gpu", lambda: gpu)
        return module

    return put
