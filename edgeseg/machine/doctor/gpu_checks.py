"""GPU, driver, CUDA toolkit and the two packages that the CUDA runtime stands on."""

from __future__ import annotations

import re
from typing import Any

from edgeseg.machine.doctor.checks import Check, PartName, Status
from edgeseg.machine.doctor.hardware import GpuFacts, Hardware
from edgeseg.machine.doctor.machine_view import MachineView
from edgeseg.machine.doctor.requirements import check_package, parse_version, wanted_packages
from edgeseg.runtime.cuda.kernels.compile import CUDA_12_ARCHITECTURES

LOWEST_CUDA = (12, 0)
"""Lowest CUDA that the kernels compile with; JetPack 6 has 12.6."""
_NO_GPU = "no GPU here"
_LOWEST_CAPABILITY = divmod(min(CUDA_12_ARCHITECTURES), 10)
"""Lowest compute capability that the kernels are compiled for and that TensorRT 10 builds for."""
# Of the Linux driver, by TensorRT's CUDA major (TensorRT's prerequisites); a Jetson's belongs to its JetPack.
_LOWEST_DRIVER = {12: "535", 13: "580"}


def numbers_of(version: str) -> tuple[int, int]:
    """``12.6`` -> (12, 6); (0, 0) where there is none."""
    match = re.match(r"(\d+)(?:\.(\d+))?", version)
    return (0, 0) if match is None else (int(match[1]), int(match[2] or 0))


def cuda_extra(gpu: GpuFacts) -> str:
    """The extra whose CUDA the driver runs: ``cuda12`` or ``cuda13``."""
    return "cuda13" if numbers_of(gpu.cuda)[0] >= 13 else "cuda12"


def check_gpu(view: MachineView, hardware: Hardware) -> Check:
    """The GPU and its driver."""
    purpose, gpu = "TensorRT engines, the CUDA runtime", hardware.gpu
    if gpu is None:
        found, command = hardware.gpu_missing or _NO_GPU, _driver_command(view, hardware)
        status: Status = "not needed here" if command is None else "missing"
        return Check(part="GPU", name="GPU", status=status, found=found, purpose=purpose, next_command=command)
    kind = "shares the host's memory" if gpu.integrated else "memory of its own"
    others = f", first of {gpu.count} GPUs" if gpu.count > 1 else ""
    found = (
        f"{gpu.name}, compute capability {gpu.compute_capability}, {gpu.memory_bytes / 2**30:.1f} GiB ({kind}), "
        f"driver {gpu.driver}, CUDA up to {gpu.cuda}{others}"
    )
    if numbers_of(gpu.cuda) < LOWEST_CUDA:
        command = f"install driver {_LOWEST_DRIVER[12]} or later (CUDA 12), {_LOWEST_DRIVER[13]} or later for CUDA 13"
        return Check(part="GPU", name="GPU", status="wrong version", found=found, purpose=purpose, next_command=command)
    if numbers_of(gpu.compute_capability) < _LOWEST_CAPABILITY:
        found += "; needed: compute capability {}.{} (Turing) or later".format(*_LOWEST_CAPABILITY)
        command = "edgeseg build-engine MODEL --backend onnxruntime"
        return Check(part="GPU", name="GPU", status="wrong version", found=found, purpose=purpose, next_command=command)
    return Check(part="GPU", name="GPU", status="ok", found=found, purpose=purpose)


def _driver_command(view: MachineView, hardware: Hardware) -> str | None:
    """Name the command that installs the driver where a GPU is likely; None where nothing speaks for one."""
    if hardware.is_nvidia_board:
        if view.path("/.dockerenv").exists():
            return "start the container with --runtime nvidia"
        return "sudo apt install nvidia-jetpack, and reboot"
    if view.path("/dev/nvidiactl").exists() or view.path("/proc/driver/nvidia/version").exists():
        return "nvidia-smi, which says why the driver does not answer (a container needs --gpus all)"
    if any(view.text(f"/{path.relative_to(view.root)}") == "0x10de" for path in view.glob(_PCI_VENDORS)):
        return "sudo ubuntu-drivers install, and reboot (a container needs --gpus all)"
    return None


_PCI_VENDORS = "/sys/class/drm/card*/device/vendor"


def check_persistence(view: MachineView, hardware: Hardware) -> list[Check]:
    """Persistence mode of a discrete GPU, and what nvidia-smi tells of its clocks."""
    if hardware.gpu is None or hardware.gpu.integrated:
        return []
    fields = "persistence_mode,clocks.sm,clocks.max.sm,power.limit,temperature.gpu"
    answer = _ask_nvidia_smi(view, hardware.gpu, fields, "csv,noheader")
    purpose = "a driver that stays loaded between processes; clocks"
    if answer is None:
        return [
            Check(part="GPU", name="persistence", status="unknown", found="nvidia-smi does not answer", purpose=purpose)
        ]
    mode, *rest = [value.strip() for value in answer.split(",")]
    clock, highest, limit, temperature = (rest + ["unknown"] * 4)[:4]
    on = mode == "Enabled"
    found = f"{mode.lower()}; SM clock {clock} of {highest}, power limit {limit}, {temperature} °C"
    return [
        Check(
            part="GPU",
            name="persistence",
            status="ok" if on else "advice",
            found=found,
            purpose=purpose,
            next_command=None if on else "sudo nvidia-smi --persistence-mode=1",
        )
    ]


def _ask_nvidia_smi(view: MachineView, gpu: GpuFacts, fields: str, style: str) -> str | None:
    return view.run(["nvidia-smi", f"--id={gpu.bus_id or 0}", f"--query-gpu={fields}", f"--format={style}"])


def find_nvcc(view: MachineView) -> str | None:
    """The CUDA compiler: of CUDA_HOME, of PATH, or of /usr/local/cuda, in the order that the runtime looks."""
    home, on_path = view.environment.get("CUDA_HOME"), view.which("nvcc")
    candidates = [f"{home}/bin/nvcc"] if home else []
    candidates += [on_path] if on_path else []
    return next((path for path in [*candidates, "/usr/local/cuda/bin/nvcc"] if view.path(path).exists()), None)


def parse_nvcc(text: str) -> str | None:
    """``Cuda compilation tools, release 12.6, V12.6.68`` -> ``12.6``."""
    match = re.search(r"release (\d+\.\d+)", text)
    return None if match is None else match[1]


def check_toolkit(view: MachineView, hardware: Hardware) -> Check:
    """nvcc, against what the driver runs."""
    purpose = "compiles the kernels and pycuda on this machine"
    nvcc, gpu = find_nvcc(view), hardware.gpu
    version = None if nvcc is None else parse_nvcc(view.run([nvcc, "--version"]) or "")
    found = "no nvcc" if nvcc is None else f"CUDA {version or 'unknown'} ({nvcc})"
    if gpu is None:
        return _not_here("CUDA toolkit", found, purpose)
    toolkit = _toolkit_for(gpu)
    if version is None:
        status: Status = "missing"
    elif not numbers_of(version) >= LOWEST_CUDA or numbers_of(version)[0] > numbers_of(gpu.cuda)[0]:
        status, found = "wrong version", f"{found}; the driver runs CUDA {LOWEST_CUDA[0]}.0 to {gpu.cuda}"
    else:
        return Check(part="CUDA runtime", name="CUDA toolkit", status="ok", found=found, purpose=purpose)
    command = f"sudo apt install {toolkit}, and export CUDA_HOME=/usr/local/cuda"
    return Check(
        part="CUDA runtime", name="CUDA toolkit", status=status, found=found, purpose=purpose, next_command=command
    )


def _toolkit_for(gpu: GpuFacts) -> str:
    major, minor = numbers_of(gpu.cuda)
    return f"cuda-toolkit-{major}-{minor}"


def check_cuda_packages(view: MachineView, hardware: Hardware, pycuda_answer: dict[str, Any]) -> list[Check]:
    """Pycuda and cuda-bindings, of the CUDA major that the driver runs.

    Args:
        view: The machine.
        hardware: Its GPU.
        pycuda_answer: The answer of the probe ``pycuda``; asked only where pycuda is installed beside a GPU.
    """
    purposes = {"pycuda": "memory, streams, kernels on the GPU", "cuda-bindings": "CUDA graphs"}
    gpu = hardware.gpu
    if gpu is None:
        return [
            _not_here(name, view.installed_version(name) or "not installed", purpose)
            for name, purpose in purposes.items()
        ]
    extra = cuda_extra(gpu)
    install = f"pip install '.[{extra}]'  (pycuda is built with nvcc)"
    checks = []
    for wanted in wanted_packages(view, extra):
        check = check_package(view, wanted, "CUDA runtime", purposes.get(wanted.name, "the GPU"), install)
        if wanted.name == "cuda-bindings" and check.status == "wrong version":
            check = _older_bindings(view, gpu, check)
        elif wanted.name == "pycuda" and check.status == "ok":
            check = _pycuda_loads(gpu, check, pycuda_answer)
        checks.append(check)
    return checks


def _older_bindings(view: MachineView, gpu: GpuFacts, check: Check) -> Check:
    """Bindings of CUDA 12 work under a driver of CUDA 13; the other way round they do not."""
    installed = parse_version(view.installed_version("cuda-bindings") or "")
    if installed is None or not LOWEST_CUDA <= (installed.major, installed.minor) <= numbers_of(gpu.cuda):
        return check
    found = f"{installed}, of an older CUDA than the driver's {gpu.cuda}, which runs it"
    return check.model_copy(update={"status": "ok", "found": found, "next_command": None})


def _pycuda_loads(gpu: GpuFacts, check: Check, answer: dict[str, Any]) -> Check:
    again = "pip install --no-binary pycuda --force-reinstall --no-cache-dir --no-deps pycuda"
    if "missing" in answer:
        found = f"{check.found}, and does not load: {answer['missing']}"
        return check.model_copy(update={"status": "missing", "found": found, "next_command": again})
    found = f"{check.found}, compiled for CUDA {answer['cuda']}"
    if numbers_of(answer["cuda"])[0] > numbers_of(gpu.cuda)[0]:
        found += f"; the driver runs up to {gpu.cuda}"
        return check.model_copy(update={"status": "wrong version", "found": found, "next_command": again})
    return check.model_copy(update={"found": found})


def _not_here(name: str, found: str, purpose: str) -> Check:
    part: PartName = "CUDA runtime"
    return Check(part=part, name=name, status="not needed here", found=f"{found}; {_NO_GPU}", purpose=purpose)


def gpu_memory_bytes(view: MachineView, gpu: GpuFacts | None) -> int | None:
    """Memory in use on the GPU, by all processes; None where nvidia-smi does not tell, as on a Jetson."""
    answer = None if gpu is None else _ask_nvidia_smi(view, gpu, "memory.used", "csv,noheader,nounits")
    answer = answer or ""
    return int(answer) << 20 if answer.strip().isdigit() else None
