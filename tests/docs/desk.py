"""A folder in which the documents' commands can be typed: tiny files under the names that the documents use."""

import contextlib
import shutil
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import onnx
from documents import ROOT, Command
from onnx import TensorProto, helper

from edgeseg.cli import run
from edgeseg.images import write_png

SIDE = 32
TLS_TOKEN = "a-token-of-the-desk"
TINY = (
    "--set=model.architecture=unet",
    "--set=model.base_width=4",
    "--set=model.depth=2",
    f"--set=model.height={SIDE}",
    f"--set=model.width={SIDE}",
    "--set=training.epochs=1",
    "--set=training.batch_size=4",
    "--set=training.style_mixing=0",
)
"""Settings that make a training of the documents a matter of seconds."""

CLIPS = {"clip.mp4": 812, "polyp.mp4": 180, "colonoscopy.mp4": 12}
"""Frames; the documents name frames 800 on, and 176 of the clip with the polyp."""
QAT_TABLES = (("run", "max"), ("run", "mse"), ("longer", "longer"), ("qat", "qat"))
NAMES = {
    "ENGINE": "model.int8.engine",
    "ENGINE...": "model.int8.engine",
    "MODEL": "model.onnx",
    "IMAGES": "DATA/train/images",
    "CLIP": "colonoscopy.mp4",
    "CLIP...": "polyp.mp4",
    "SOURCE": "colonoscopy.mp4",
    "FILE.json": "statistics.json",
    "DIR": "DATA/train/images",
    "NAME.engine": "model.int8.engine",
    "NEW.engine": "model.onnx",
    "kvasir-small.int8.engine": "model.int8.engine",
    "NETWORK...": "model.onnx",
    "unet.onnx": "model.onnx",
    **{f"{network}.onnx={table}.json": "model.onnx=model.calibration.json" for network, table in QAT_TABLES},
}
"""Placeholders of the documents, and the files here that stand for them."""
PARTS = {
    "NORMAL_CLIP": "clip.mp4",
    "POLYP_CLIP": "polyp.mp4",
    "SOURCE@FRAMES": "clip.mp4@:4",
    "images@800:1000": "images@:2",
    "database.example:5432": "127.0.0.1:1",
}
"""The same, where it is a part of a word."""
CLIPS_FILE = """
[[clips]]
path = "colonoscopy.mp4"
shown = [[2, 9]]
"""
OWN_NETWORK = """
import torch

def function():
    return torch.nn.Conv2d(3, 1, 3, padding=1)
"""


def write_clip(path: Path, frames: int) -> None:
    """A bright square that wanders over a dark picture, RGB, 64x48."""
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for index in range(frames):
            picture = np.full((48, 64, 3), 40, np.uint8)
            picture[16:32, index % 48 : index % 48 + 16] = 220
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


def write_foreign_network(path: Path) -> None:
    """Somebody's network: float32 [1,3,32,32] to the logits of one class."""
    weight = np.full((1, 3, 3, 3), 0.05, np.float32)
    graph = helper.make_graph(
        [helper.make_node("Conv", ["input", "weight"], ["logits"], pads=[1, 1, 1, 1])],
        "somebody's",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 1, SIDE, SIDE])],
        [onnx.numpy_helper.from_array(weight, "weight")],
    )
    onnx.save(helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)]), path)


def write_labels(folder: Path, border: int, *labels: int) -> None:
    """Pictures of two squares on a ground, whose masks hold three labels and a border."""
    generator = np.random.default_rng(1)
    for index in range(15):
        mask = np.full((40, 48), labels[0], np.uint8)
        mask[10:30, 4:20], mask[12:32, 28:44] = labels[1], labels[2 - index % 2]
        mask[9] = border
        write_png(folder / "images" / f"{index}.png", generator.integers(0, 255, (40, 48, 3), np.uint8))
        write_png(folder / "masks" / f"{index}.png", mask)


def write_certificate(folder: Path) -> None:
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "certificate.pem")]
    subprocess.run([*words, *files], check=True, capture_output=True)


def lay_out_sequences(folder: Path, pairs: Path) -> None:
    """Frames with numbers for names, from 1 on, without splits, and the list of their sequences of two."""
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
        for number, path in enumerate(sorted((pairs / part).iterdir()), 1):
            shutil.copy(path, folder / part / f"{number}{path.suffix}")
    (folder / "sequences.csv").write_text("sequence,first,last\n1,1,2\n2,3,4\n3,5,6\n4,7,8\n")


def lay_out(desk: Path) -> None:
    """Write everything that a command of the documents may start from."""
    (desk / "recipes").symlink_to(ROOT / "recipes")
    shutil.copytree(ROOT / "models", desk / "models")
    for name, frames in CLIPS.items():
        write_clip(desk / name, frames)
    pictures = ["--train", "8", "--validation", "4", "--test", "8", "--height", "64", "--width", "64"]
    assert run(["data", "synth", "--out", str(desk / "DATA"), *pictures]) == 0
    shutil.copytree(desk / "DATA", desk / "kvasir-seg")
    for name in ("PH2", "NUCLEI"):
        shutil.copytree(desk / "DATA" / "train", desk / name)
    lay_out_sequences(desk / "cvc-clinicdb", desk / "DATA" / "test")
    generator = np.random.default_rng(0)
    for folder in ("healthy", "normal-mucosa/images"):
        for index in range(4):
            path = desk / folder / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_png(path, generator.integers(0, 255, (48, 64, 3), np.uint8))
    write_labels(desk / "PETS", 255, 0, 1, 2)
    write_labels(desk / "TRIMAPS", 3, 2, 1, 1)
    (desk / "package").mkdir()
    (desk / "package" / "module.py").write_text(OWN_NETWORK)
    write_foreign_network(desk / "net.onnx")
    write_certificate(desk)
    run_folder, data = desk / "runs" / "b", str(desk / "DATA")
    assert run(["train", data, "--out", str(run_folder), *TINY]) == 0
    shutil.copytree(run_folder, desk / "RUN")
    model, table, engine = (str(desk / f"model.{end}") for end in ("onnx", "calibration.json", "int8.engine"))
    assert run(["export", str(run_folder), "--data", data, "--out", model]) == 0
    assert run(["calibrate", model, "--data", data, "--out", table]) == 0
    assert run(["build-engine", model, "--precision", "int8", "--out", engine]) == 0
    (desk / "clips.toml").write_text(CLIPS_FILE)
    with (desk / "live.json").open("w") as report, contextlib.redirect_stdout(report):
        assert run(["live", engine, str(desk / "colonoscopy.mp4"), "--json", "--max-frames", "4"]) == 0


def here(word: str) -> str:
    """The word with names that are here in place of those that a document leaves open."""
    for part, name in PARTS.items():
        word = word.replace(part, name)
    return word


def typed(command: Command) -> list[str]:
    """The words after `edgeseg`, with names that are here, and with an end where there would be none."""
    words = [here(NAMES.get(word, word)) for word in command.words[1:]]
    if words[0] == "study" or (words[0] == "train" and "--resume" not in words):
        words += TINY
    before = ["", *words]  # the weights that a training starts from: those of a network as small
    words = ["model.onnx" if flag == "--start" else word for flag, word in zip(before, words, strict=False)]
    if words[:2] == ["data", "synth"] and "--clip" in words:
        words += ["--train", "2", "--validation", "2", "--test", "4", "--height", "64", "--width", "64"]
        words += ["--clip-frames", "8", "--clip-height", "64", "--clip-width", "64"]
    if words[0] == "advise":
        words += ["--backend", "onnxruntime", "--seconds", "0.2"]
    if words[0] == "live":
        words = ["model.onnx" if word == "models/kvasir-small" else word for word in words]
        words += ["--max-frames", "4"]
    return words


SHORTER = {
    "live_streams": ("--rounds", "1", "--seconds", "2"),
    "calibration_data": ("--counts", "4", "--selects", "random", "--draws", "2"),
    "int8_peers": ("--images", "4"),
    "stream": ("--frames", "12", "--rounds", "1"),
    "training_loop": ("--steps", "2", "--rounds", "1"),
    "training_step": ("--side", "64", "--batch", "2"),
}
PACKAGES = {"models/kvasir-best", "models/kvasir-small"}


def shortened(line: list[str]) -> list[str]:
    """The words of a line that runs a benchmark, with the smallest of the networks and few frames or steps."""
    first = next(index for index, word in enumerate(line) if word.startswith("benchmarks/"))
    words = [here(NAMES.get(word, word)) for word in line[first + 1 :] if word != "..."]
    if "models/kvasir-ultra" in words:
        words = [word for word in words if word not in PACKAGES]
    script = ROOT / line[first]
    return [sys.executable, str(script), *words, *SHORTER.get(script.stem, ())]
