"""Checks what an engine is bound to against the machine before it is opened: a foreign one is native code."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from edgeseg.artifacts import EngineArtifact
from edgeseg.errors import MismatchError, MissingComponentError
from edgeseg.optional import install_command, require
from edgeseg.runtime.engine.backends import backend_named
from edgeseg.runtime.engine.machine import instruction_sets
from edgeseg.runtime.passport.gpu import Gpu, find_gpu
from edgeseg.shell import quoted

ANY_INSTRUCTION_SET = "any"
"""The instruction set in the passport of an engine whose INT8 sums saturate on no processor
(`edgeseg.calibration.weight_levels`)."""
_AMPERE = (8, 0)


@dataclass(frozen=True)
class MachineFacts:
    """The facts of a machine that decide whether an engine of one backend may be opened on it."""

    backend_version: str | None
    """The version of the installed package; None if it is not installed."""
    gpu: Gpu | None = None
    gpu_missing: str = "no GPU"
    """The reason why there is no GPU."""
    instruction_sets: frozenset[str] = frozenset()
    """The instruction sets of the processor."""


@dataclass(frozen=True)
class EngineBinding:
    """Decides on which machines the engines of a backend may be opened."""

    check: Callable[[EngineArtifact, MachineFacts], list[str]]
    """Checks a passport against a machine; see `check_binding`."""
    check_file: Callable[[bytes, str], None] = lambda data, origin: None
    """Refuses bytes that must not even be handed to the library; gets the name of the file for its error."""


@dataclass(frozen=True)
class _Difference:
    found: str
    expected: str


def binding_of(backend: str) -> EngineBinding:
    """The binding of a backend's engines."""
    binding: EngineBinding = backend_named(backend).load("binding")
    return binding


def read_machine(name: str) -> MachineFacts:
    """The facts of this machine for one backend; CUDA is only asked where the backend needs a GPU."""
    backend = backend_named(name)
    try:
        version = require(backend.package).__version__
    except MissingComponentError:
        version = None
    if backend.device == "cpu":
        return MachineFacts(version, instruction_sets=instruction_sets())
    try:
        return MachineFacts(version, find_gpu())
    except MissingComponentError as error:
        return MachineFacts(version, None, error.found or error.what)


def check_binding(passport: EngineArtifact, machine: MachineFacts) -> list[str]:
    """Decide whether an engine may be opened on a machine.

    TensorRT engines are bound to the exact version and the GPU model (wider where they were built compatible),
    TensorRT-RTX engines to the version, a list of compute capabilities and a lowest driver, ONNX Runtime's to the
    instruction set that their INT8 was made for, where the passport names one.

    Args:
        passport: The passport of the engine.
        machine: The machine on which it is to run.

    Returns:
        Warnings, one sentence each: nothing forbids the engine, but `edgeseg verify` should be run again.

    Raises:
        MismatchError: It is bound to something else; everything that differs is named.
        MissingComponentError: The backend is not installed, or its GPU is missing.
    """
    return binding_of(passport.backend).check(passport, machine)


def check_instruction_set(passport: EngineArtifact, machine: MachineFacts) -> list[str]:
    """Check a CPU's engine against the instruction set that its INT8 was made for, if it names one."""
    _refuse(passport, _instruction_set(passport, machine))
    return _version_warning(passport, machine)


def check_tensorrt(passport: EngineArtifact, machine: MachineFacts) -> list[str]:
    """Check TensorRT's engine: version and GPU model must fit, less strictly if it was built compatible."""
    gpu, version = _present(passport, machine)
    _refuse(passport, _tensorrt_version(passport, version) + _gpu_model(passport, gpu))
    return _driver_warning(passport, gpu)


def check_tensorrt_rtx(passport: EngineArtifact, machine: MachineFacts) -> list[str]:
    """Check TensorRT-RTX's engine: version, compute capability and lowest driver must fit."""
    gpu, version = _present(passport, machine)
    _refuse(passport, _exact_version(passport, version) + _rtx_differences(passport, gpu))
    return []


def refuse_other_files(data: bytes, origin: str) -> None:
    """Check an engine that is an ONNX file: the library would open whatever files it refers to."""
    from edgeseg.graph.onnx_files import refuse_external_data

    refuse_external_data(data, origin)


ONNX_ON_CPU = EngineBinding(check_instruction_set, refuse_other_files)
TENSORRT = EngineBinding(check_tensorrt)
TENSORRT_RTX = EngineBinding(check_tensorrt_rtx)


def _refuse(passport: EngineArtifact, differences: list[_Difference]) -> None:
    if differences:
        raise MismatchError(
            f"this {passport.backend} engine belongs to another machine",
            found="; ".join(item.found for item in differences),
            expected="; ".join(item.expected for item in differences),
            next_command=passport.rebuild,
        )


def _instruction_set(passport: EngineArtifact, machine: MachineFacts) -> list[_Difference]:
    wanted = passport.binding.instruction_set
    if wanted in (None, ANY_INSTRUCTION_SET, *machine.instruction_sets):
        return []
    return [_Difference(f"a processor without {wanted}", f"INT8 arithmetic of {wanted}")]


def _present(passport: EngineArtifact, machine: MachineFacts) -> tuple[Gpu, str]:
    if machine.gpu is None:
        raise MissingComponentError(
            f"a {passport.backend} engine runs on an NVIDIA GPU only, and none can be used here",
            found=machine.gpu_missing,
            expected=passport.binding.gpu or ", ".join(passport.binding.compute_capabilities or ("a GPU",)),
            next_command=f"edgeseg build-engine MODEL --backend onnxruntime --precision {quoted(passport.precision)}",
        )
    if machine.backend_version is None:
        raise MissingComponentError(
            f"the package of the backend {passport.backend} is not installed",
            expected=f"{passport.backend} {passport.backend_version}",
            next_command=install_command(backend_named(passport.backend).package),
        )
    return machine.gpu, machine.backend_version


def _version_warning(passport: EngineArtifact, machine: MachineFacts) -> list[str]:
    if machine.backend_version in (passport.backend_version, None):
        return []
    return [
        f"the engine was built with {passport.backend} {passport.backend_version}, "
        f"and this is {machine.backend_version}: "
        "run edgeseg verify again before you rely on it"
    ]


def _exact_version(passport: EngineArtifact, version: str) -> list[_Difference]:
    if version == passport.backend_version:
        return []
    return [_Difference(f"{passport.backend} {version}", f"{passport.backend} {passport.backend_version}")]


def _tensorrt_version(passport: EngineArtifact, version: str) -> list[_Difference]:
    built = passport.backend_version
    if not passport.build_flags.get("version_compatible"):
        return _exact_version(passport, version)
    if numbers(version)[:1] == numbers(built)[:1] and numbers(version) >= numbers(built):
        return []
    return [_Difference(f"tensorrt {version}", f"tensorrt {built} or a later {numbers(built)[0]}.x")]


def _gpu_model(passport: EngineArtifact, gpu: Gpu) -> list[_Difference]:
    binding, level = passport.binding, passport.build_flags.get("hardware_compatibility", "none")
    if level == "ampere-plus":
        fits = numbers(gpu.compute_capability) >= _AMPERE
        expected = "a GPU of compute capability 8.0 or above"
    elif level == "same-compute-capability":
        fits = gpu.compute_capability in (binding.compute_capabilities or ())
        expected = f"compute capability {', '.join(binding.compute_capabilities or ('unknown',))}"
    else:
        fits = gpu.name == binding.gpu
        expected = binding.gpu or "a GPU that the passport does not name"
    return [] if fits else [_Difference(f"{gpu.name} (compute capability {gpu.compute_capability})", expected)]


def _rtx_differences(passport: EngineArtifact, gpu: Gpu) -> list[_Difference]:
    listed, lowest = passport.binding.compute_capabilities or (), passport.binding.driver
    differences = []
    if gpu.compute_capability not in listed:
        differences.append(
            _Difference(
                f"{gpu.name} of compute capability {gpu.compute_capability}",
                f"compute capability {', '.join(listed) or 'that the passport does not name'}",
            )
        )
    if lowest is not None and gpu.driver[:1].isdigit() and numbers(gpu.driver) < numbers(lowest):
        differences.append(_Difference(f"driver {gpu.driver}", f"driver {lowest} or later"))
    return differences


def _driver_warning(passport: EngineArtifact, gpu: Gpu) -> list[str]:
    if gpu.driver == passport.binding.driver:
        return []
    return [
        f"the engine was built under driver {passport.binding.driver} and this is {gpu.driver}: "
        "run edgeseg verify again before you rely on it"
    ]


def numbers(version: str) -> tuple[int, ...]:
    """Read a version: ``10.3.0`` -> (10, 3, 0)."""
    return tuple(int(part) for part in re.findall(r"[0-9]{1,18}", version))
