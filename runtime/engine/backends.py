"""The backends by name: what each is, and where its parts are. A part is imported when it is used, never earlier."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from edgeseg.errors import BadInputError, MissingComponentError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "edgeseg.backends"
"""Entry points by which other packages add backends: ``name = "module:BACKEND"``, a `Backend` of that name."""


@dataclass(frozen=True)
class Backend:
    """A library that executes engines. Its parts are ``module:name``, imported where they are used."""

    name: str
    """Its name in `--backend` and in passports."""
    package: str
    """The import name of the library that executes, which has a ``__version__``."""
    device: Literal["cpu", "gpu"]
    """A GPU's engine runs in a supervised process, a CPU's in the process that opens it."""
    input: Literal["network", "planes"]
    """``network``: frames come at the network's size; ``planes``: a decoder's planes come whole, and the
    device resizes them."""
    opener: str
    """The function that loads an engine in this process, an `edgeseg.runtime.engine.engine_layout.Opener`."""
    builder: str
    """The function that makes the builder, an `edgeseg.export.builders.builder.BuilderFactory`."""
    binding: str
    """The rule of where an engine may be opened, an `edgeseg.runtime.passport.bindings.EngineBinding`."""
    layers: str
    """The function that reads an engine's layers, an `edgeseg.export.layers.layer_report.LayersOf`."""
    requirements: str
    """The checks of `edgeseg doctor`, an `edgeseg.machine.doctor.requirements.Requirements`."""

    def load(self, part: Literal["opener", "builder", "binding", "layers", "requirements"]) -> Any:
        """Import a part.

        Args:
            part: The name of the field.

        Raises:
            MissingComponentError: Its module does not load, or has no such name.
        """
        module, _, name = str(getattr(self, part)).partition(":")
        try:
            return getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError) as error:
            raise MissingComponentError(
                f"the backend {self.name} does not load",
                found=f"{part} {getattr(self, part)}: {error}",
                expected="an installed package that fits this edgeseg",
            ) from error


BUILT_IN = (
    Backend(
        name="onnxruntime",
        package="onnxruntime",
        device="cpu",
        input="network",
        opener="edgeseg.runtime.onnxruntime.onnxruntime_session:session_from_engine",
        builder="edgeseg.export.builders.onnxruntime_builder:OnnxRuntimeBuilder",
        binding="edgeseg.runtime.passport.bindings:ONNX_ON_CPU",
        layers="edgeseg.export.layers.onnxruntime_profile:layers_of_engine",
        requirements="edgeseg.machine.doctor.backend_conclusions:ONNXRUNTIME",
    ),
    Backend(
        name="openvino",
        package="openvino",
        device="cpu",
        input="network",
        opener="edgeseg.runtime.openvino.openvino_session:session_from_engine",
        builder="edgeseg.export.builders.openvino_builder:OpenVinoBuilder",
        binding="edgeseg.runtime.passport.bindings:ONNX_ON_CPU",
        layers="edgeseg.export.layers.openvino_layers:layers_of_engine",
        requirements="edgeseg.machine.doctor.backend_conclusions:OPENVINO",
    ),
    Backend(
        name="tensorrt",
        package="tensorrt",
        device="gpu",
        input="planes",
        opener="edgeseg.runtime.cuda.engine_from_plan:engine_from_plan",
        builder="edgeseg.export.builders.tensorrt_builder:tensorrt",
        binding="edgeseg.runtime.passport.bindings:TENSORRT",
        layers="edgeseg.export.layers.engine_layers:tensorrt_layers",
        requirements="edgeseg.machine.doctor.backend_conclusions:TENSORRT",
    ),
    Backend(
        name="tensorrt-rtx",
        package="tensorrt_rtx",
        device="gpu",
        input="planes",
        opener="edgeseg.runtime.cuda.engine_from_plan:engine_from_plan",
        builder="edgeseg.export.builders.tensorrt_builder:tensorrt_rtx",
        binding="edgeseg.runtime.passport.bindings:TENSORRT_RTX",
        layers="edgeseg.export.layers.engine_layers:tensorrt_rtx_layers",
        requirements="edgeseg.machine.doctor.backend_conclusions:TENSORRT_RTX",
    ),
)
AUTO = "auto"
"""The name that leaves the choice to `edgeseg.export.builder_choice`."""
PREFERRED = "tensorrt"
"""The backend that `--backend auto` takes where it can build."""
EVERYWHERE = "onnxruntime"
"""The backend that it takes elsewhere, which also runs the float32 models that engines are held against."""


def backend_names() -> tuple[str, ...]:
    """List the built-in backends and those that installed packages add; no package is imported."""
    added = sorted(_added())
    return tuple(dict.fromkeys([*(backend.name for backend in BUILT_IN), *added]))


def find_backend(name: str) -> Backend | None:
    """Find a backend by its name; None where there is none.

    Raises:
        MissingComponentError: An installed package adds it, and does not load.
    """
    for backend in BUILT_IN:
        if backend.name == name:
            return backend
    entry = _added().get(name)
    return None if entry is None else _loaded(entry)


def backend_named(name: str) -> Backend:
    """Find a backend by its name, or refuse the name.

    Raises:
        BadInputError: No backend has this name.
        MissingComponentError: An installed package adds it, and does not load.
    """
    backend = find_backend(name)
    if backend is None:
        raise BadInputError(
            f"there is no backend {name} here",
            expected=f"{', '.join(backend_names())}, or the package that adds {name}",
        )
    return backend


def on_cpu(name: str) -> bool:
    """Tell whether a backend computes on the CPU; False for one that is not here."""
    backend = find_backend(name)
    return backend is not None and backend.device == "cpu"


def _added() -> dict[str, EntryPoint]:
    from importlib.metadata import entry_points  # imported late, so that `edgeseg --help` stays quick

    return {entry.name: entry for entry in entry_points(group=GROUP)}


def _loaded(entry: EntryPoint) -> Backend:
    try:
        backend = entry.load()
    except Exception as error:  # another package's module may raise anything
        raise MissingComponentError(
            f"the package that adds the backend {entry.name} does not load", found=f"{entry.value}: {error}"
        ) from error
    if not isinstance(backend, Backend) or backend.name != entry.name:
        raise MissingComponentError(
            f"the package that adds the backend {entry.name} is wrong",
            found=f"{entry.value} is {backend!r}",
            expected=f"an edgeseg.runtime.engine.backends.Backend named {entry.name}",
        )
    return backend
