"""The way from `edgeseg build-engine` to masks, on a stand-in for TensorRT over the CUDA test double.

The stand-in (standin_tensorrt.py) runs ONNX Runtime over the raw device addresses: what is proved is edgeseg's own
logic on both sides of the library, in the commands as users type them; nothing of TensorRT's numerics or speed.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgeseg.cli import run as edgeseg
from edgeseg.dataset import load_pairs
from edgeseg.images import write_png
from edgeseg.metrics import dice_per_image
from edgeseg.runtime.engine.inputs import NetworkInput, PackedFrame
from edgeseg.runtime.engine.one_frame import probability_of, segment
from edgeseg.runtime.engine.planes import PlanarFrame
from edgeseg.runtime.engine.session import mask_at_frame
from edgeseg.runtime.file.pipeline import run_stream
from edgeseg.runtime.opener.engine_from_file import open_engine
from edgeseg.runtime.opener.use import Use
from edgeseg.runtime.video.engine_input import engine_input
from edgeseg.runtime.video.picture import Picture
from edgeseg.runtime.video.sinks import Sinks
from edgeseg.runtime.video.video_files import open_source
from edgeseg.runtime.worker.worker_engine import WorkerEngine
from edgeseg.threshold import moved_probability

FOLDER = Path(__file__).parent
DEVICE = "CUDA test double (host CPU)"
BACKENDS = ("tensorrt", "tensorrt-rtx")


def _document(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def _photographs(folder: Path, network: Path) -> Path:
    """Pictures of several sizes, one larger than 1080p; their masks are the network's, moved a little."""
    rng, reference = np.random.default_rng(2), open_engine(network, Use(1))
    for index, (height, width) in enumerate(((60, 80), (97, 131), (33, 500), (1100, 2000), (60, 80), (70, 70))):
        coarse = rng.integers(0, 256, (5, 6, 3), dtype=np.uint8)
        image = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
        write_png(folder / "images" / f"p{index}.png", image)
        truth = np.roll(segment(reference, image), (height // 60, width // 60), (0, 1))
        write_png(folder / "masks" / f"p{index}.png", truth)
    return folder


@pytest.mark.parametrize("backend", BACKENDS)
def test_edgeseg_run_gives_the_masks_of_the_cpu_path(
    build: Callable[..., Path],
    parent: Callable[[], int],
    small_onnx: Path,
    numbered_clip: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    backend: str,
) -> None:
    engine, initialised = build(backend), parent()
    folders = {}
    for name, model in (("gpu", engine), ("cpu", small_onnx)):
        folders[name] = tmp_path / name
        assert edgeseg(["run", str(model), str(numbered_clip), "--masks", str(folders[name]), "--json"]) == 0
        latency = _document(capsys)["latency"]
        assert (latency["backend"], latency["frames"]) == (backend if name == "gpu" else "onnxruntime", 40)
        assert (DEVICE in latency["machine"]) == (name == "gpu")
        assert (latency["pre"] is None) == (name == "gpu"), "a GPU is handed the decoder's planes"
        assert (latency["restarts"], latency["retries"]) == (0, 0)
    names = sorted(path.name for path in folders["cpu"].iterdir())
    assert names == sorted(path.name for path in folders["gpu"].iterdir())
    masks = [cv2.imread(str(folders["gpu"] / name), cv2.IMREAD_UNCHANGED) for name in names]
    for name, mask in zip(names, masks, strict=True):
        np.testing.assert_array_equal(mask, cv2.imread(str(folders["cpu"] / name), cv2.IMREAD_UNCHANGED))
    assert 0.05 < np.mean(masks) / 255 < 0.95, "masks that are all of one kind would prove little"
    assert parent() == initialised, "the parent has initialised CUDA"


def test_real_frames_through_edgeseg_run(
    build: Callable[..., Path], small_onnx: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = Path(os.environ.get("EDGESEG_DATA", FOLDER.parents[2] / "shared" / "data")) / "video"
    clip = clip / "colon_polyp_560x480_25fps.mp4"
    if not clip.is_file():
        pytest.skip(f"no clip {clip}; set EDGESEG_DATA")
    for name, model in (("gpu", build()), ("cpu", small_onnx)):
        words = ["run", str(model), str(clip), "--masks", str(tmp_path / name), "--max-frames", "100"]
        assert edgeseg(words) == 0
    files = sorted((tmp_path / "cpu").iterdir())
    assert len(files) == 100
    shares = []
    for file in files:
        mask, other = (cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in (file, tmp_path / "gpu" / file.name))
        shares.append(float(np.mean(mask != other)))
    assert sum(share == 0 for share in shares) >= 95, "a tie may be rounded differently; see test_planes.py"
    assert max(shares) <= 0.002


@pytest.mark.parametrize("backend", BACKENDS)
def test_edgeseg_verify_and_evaluate_agree_with_the_cpu_path(
    build: Callable[..., Path],
    small_onnx: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    backend: str,
) -> None:
    engine, data = build(backend), _photographs(tmp_path / "photographs", small_onnx)
    report = tmp_path / "report"
    words = [str(engine), "--reference", str(small_onnx), "--data", str(data), "--report", str(report), "--json"]
    assert edgeseg(["verify", *words]) == 0
    verdict = _document(capsys)
    assert verdict["passed"] is True
    assert verdict["mean_dice_drop"] == 0 and verdict["mean_agreement"] == 1
    assert 0.05 < verdict["mean_dice"] < 0.999
    assert verdict["latency"]["machine"].startswith(DEVICE)
    assert (verdict["latency"]["pre"], verdict["backend"]) == (None, backend)
    assert (report / "verdict.html").is_file()
    scores = []
    for model in (engine, small_onnx):
        assert edgeseg(["evaluate", str(model), str(data), "--json"]) == 0
        scores.append(_document(capsys))
    assert scores[0] == scores[1]


def test_a_threshold_is_a_map_over_the_masks_of_the_same_engine(
    build: Callable[..., Path],
    small_onnx: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The frame is resized where it is without a threshold: on the GPU."""
    engine, data, given = build(), _photographs(tmp_path / "photographs", small_onnx), list[Any]()
    submit = WorkerEngine.submit
    monkeypatch.setattr(WorkerEngine, "submit", lambda self, frame: given.append(frame) or submit(self, frame))
    threshold, words = 0.45, ["evaluate", str(engine), str(data), "--json"]
    assert edgeseg(words) == 0
    plain = _document(capsys)
    assert edgeseg([*words, "--threshold", str(threshold)]) == 0
    moved = _document(capsys)
    pairs = load_pairs(data, "test")
    assert len(given) >= 2 * len(pairs) and all(isinstance(frame, PackedFrame) for frame in given)
    with contextlib.closing(open_engine(engine)) as opened:
        for row, pair in zip(moved["per_image"], pairs, strict=True):
            frame, truth = pair.read()
            probability = moved_probability(probability_of(opened, PackedFrame(frame, "rgb")), threshold)
            mask = mask_at_frame(opened.info, probability, *frame.shape[:2])
            assert (row["name"], row["dice"]) == (pair.name, pytest.approx(dice_per_image(mask, truth), abs=1e-12))
    assert moved["mean_dice"] != plain["mean_dice"], "the threshold does something"
    assert edgeseg([*words, "--threshold", "0.5"]) == 0
    assert _document(capsys) == plain


def test_the_path_with_a_crop(build: Callable[..., Path], small_onnx: Path) -> None:
    from edgeseg.specs import Crop, PreprocessSpec

    crop = PreprocessSpec(crop=Crop(top=3, left=5, height=40, width=50))
    engine = build(preprocess=crop)
    session, reference = open_engine(engine), open_engine(small_onnx, Use(1))
    small = NetworkInput(np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8))
    np.testing.assert_array_equal(probability_of(session, small), probability_of(reference, small))  # no crop is taken
    frame = np.random.default_rng(1).integers(0, 256, (60, 70, 3), dtype=np.uint8)
    mask = segment(session, frame)
    np.testing.assert_array_equal(mask[3:43, 5:55], segment(reference, np.ascontiguousarray(frame[3:43, 5:55])))
    assert not mask[:3].any() and not mask[:, 55:].any()
    session.close()


def test_a_worker_killed_in_mid_run_costs_no_frame(
    build: Callable[..., Path], small_onnx: Path, numbered_clip: Path
) -> None:
    session = open_engine(build())
    assert isinstance(session, WorkerEngine)
    struck = []

    class Striking:
        masks: list[Any] = []  # noqa: RUF012

        def write(self, frame: Any, mask: Any) -> None:
            if frame.index in (10, 25):
                os.kill(session.worker_pids[0], signal.SIGKILL)
                struck.append(frame.index)
            self.masks.append(mask)

    sink = Striking()
    with open_source(numbered_clip) as source:
        result = run_stream(session, source, Sinks(masks=(sink,)))
    session.close()
    reference = open_engine(small_onnx, Use(1))
    with open_source(numbered_clip) as source:
        expected = [_mask(reference, frame.picture) for frame in source.frames()]
    np.testing.assert_array_equal(sink.masks, expected)
    assert struck == [10, 25]
    assert result.latency.restarts == 2 and result.latency.frames == result.latency.inferences == 40
    assert result.latency.drops == 0


def _mask(reference: Any, picture: Picture) -> Any:
    model = reference.info.model
    small = picture.network_input(model.height, model.width)
    return mask_at_frame(reference.info, reference.infer(small[np.newaxis])[0], picture.height, picture.width)


def test_a_lost_context_in_mid_run_costs_no_frame(
    build: Callable[..., Path], numbered_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = build()
    assert edgeseg(["run", str(engine), str(numbered_clip), "--masks", str(tmp_path / "whole")]) == 0
    monkeypatch.setenv("CUDADOUBLE_FAULTS", "kernel/edgeseg_mask:25=719")  # of each worker; two are enough for 40
    latency = tmp_path / "latency.json"
    words = ["run", str(engine), str(numbered_clip), "--masks", str(tmp_path / "torn"), "--latency", str(latency)]
    assert edgeseg(words) == 0
    for file in (tmp_path / "whole").iterdir():
        assert file.read_bytes() == (tmp_path / "torn" / file.name).read_bytes()
    report = json.loads(latency.read_text())
    assert report["restarts"] == 1 and 1 <= report["retries"] <= 4 and report["frames"] == 40


def test_edgeseg_run_at_live_pace_hands_planes_over(
    build: Callable[..., Path],
    parent: Callable[[], int],
    small_onnx: Path,
    numbered_clip: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from edgeseg.runtime.live import shared_engine
    from edgeseg.runtime.opener import use

    engine, initialised, given = build(), parent(), []
    monkeypatch.setattr(use, "LIVE_DEADLINE_S", 60.0)  # the double is no GPU
    monkeypatch.setattr(shared_engine, "engine_input", lambda *words: given.append(engine_input(*words)) or given[-1])
    masks = tmp_path / "masks"
    words = ["live", str(engine), str(numbered_clip), "--masks", str(masks), "--spares", "0"]
    words += ["--no-gate", "--json"]  # the gate has a say in masks
    assert edgeseg(words) == 0
    status = _document(capsys)
    assert status["inferences"] >= 1 and status["lost"] == status["restarts"] == 0
    assert given and all(isinstance(frame, PlanarFrame) for frame in given)
    reference, found = open_engine(small_onnx, Use(1)), {path.name for path in masks.glob("*.png")}
    with open_source(numbered_clip) as source:
        for frame in source.frames():
            if (name := f"frame_{frame.index:06d}.png") in found:
                mask = cv2.imread(str(masks / name), cv2.IMREAD_UNCHANGED)
                np.testing.assert_array_equal(mask, _mask(reference, frame.picture), name)
    assert found, "no mask was young enough to be shown"
    assert parent() == initialised, "the parent has initialised CUDA"


def test_an_engine_that_gives_nan_fails_the_verdict(
    build: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, small_onnx: Path, tmp_path: Path, capsys: Any
) -> None:
    engine, data = build(), _photographs(tmp_path / "photographs", small_onnx)
    monkeypatch.setenv("EDGESEG_STANDIN_FAULT", "nan")
    assert edgeseg(["verify", str(engine), "--reference", str(small_onnx), "--data", str(data), "--json"]) == 3
    assert _document(capsys)["passed"] is False


def test_auto_takes_tensorrt_beside_a_gpu(library: Path, small_onnx: Path, tmp_path: Path, capsys: Any) -> None:
    out = tmp_path / "auto.engine"
    assert edgeseg(["build-engine", str(small_onnx), "--precision", "fp32", "--out", str(out), "--json"]) == 0
    document = _document(capsys)
    assert document["backend"] == "tensorrt"
    assert f"TensorRT 10.3.0+standin and {DEVICE} are here" in document["backend_reason"]
