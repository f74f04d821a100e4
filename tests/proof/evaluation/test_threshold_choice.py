import dataclasses

import numpy as np
import pytest

from edgeseg.dataset import load_pairs
from edgeseg.errors import BadInputError, UsageError
from edgeseg.graph.onnx_files import load_onnx, serialize
from edgeseg.graph.threshold_shift import with_threshold
from edgeseg.images import write_png
from edgeseg.proof.evaluation.false_alarms import false_alarms
from edgeseg.proof.evaluation.frame_masks import UnlabelledSource, measure_frames
from edgeseg.proof.evaluation.shifted_engine import ShiftedEngine
from edgeseg.proof.evaluation.threshold_choice import choose_threshold
from edgeseg.proof.verdict.evaluation import evaluate
from edgeseg.runtime.opener.engine_from_file import open_engine
from edgeseg.specs import ModelSpec


@pytest.fixture
def wavy(tmp_path):
    """Smooth pictures larger than the network, so that masks depend on the threshold and on interpolation."""
    generator = np.random.default_rng(8)
    rows, columns = np.mgrid[:50, :70]
    for index in range(4):
        phase = generator.uniform(0, 6, 2)
        wave = 128 + 40 * np.sin(rows / 9 + phase[0]) * np.cos(columns / 11 + phase[1])
        write_png(tmp_path / "wavy" / "images" / f"{index}.png", np.repeat(wave[..., None], 3, 2).astype(np.uint8))
        write_png(tmp_path / "wavy" / "masks" / f"{index}.png", np.where(wave > 136, 255, 0).astype(np.uint8))
    return tmp_path / "wavy"


def test_every_point_is_what_the_exported_network_reaches(bright_session, tiny_onnx, wavy, tmp_path) -> None:
    pairs, negatives = load_pairs(wavy), UnlabelledSource(wavy / "images", false_mask_share=0.3)
    choice = choose_threshold(bright_session, pairs, negatives)
    assert len({point.mean_dice for point in choice.points}) > 10
    artifact = load_onnx(tiny_onnx)
    for point in choice.points[::3]:
        (tmp_path / "moved.onnx").write_bytes(serialize(with_threshold(artifact.proto, point.threshold)))
        for session in (open_engine(tmp_path / "moved.onnx"), ShiftedEngine(bright_session, point.threshold)):
            assert evaluate(session, pairs).mean_dice == pytest.approx(point.mean_dice, abs=1e-4)
            alarms = false_alarms(measure_frames(session, negatives), negatives)
            assert alarms.alarm_share == point.false_alarm_share


def test_the_better_threshold_is_found(bright_session, wavy) -> None:
    # Truth starts at grey 136, where the probability is sigmoid(1) = 0.73.
    choice = choose_threshold(bright_session, load_pairs(wavy))
    assert choice.threshold == 0.7
    assert choice.chosen.mean_dice == max(point.mean_dice for point in choice.points)
    assert (choice.false_mask_share, choice.negatives_sha256) == (None, None)


def test_a_limit_that_no_threshold_keeps(bright_session, pairs_of, folder_of) -> None:
    choice = choose_threshold(bright_session, pairs_of([8], [8]), UnlabelledSource(folder_of([500])), 0.0)
    assert choice.meets_limit is False
    assert choice.max_false_alarms == 0


def test_what_cannot_mean_anything(bright_session, pairs_of, threshold_session_of) -> None:
    with pytest.raises(BadInputError, match="nothing"):
        choose_threshold(bright_session, [])
    with pytest.raises(UsageError, match="without a polyp"):
        choose_threshold(bright_session, pairs_of([8], [8]), None, 0.1)
    with pytest.raises(UsageError, match="several classes"):
        choose_threshold(threshold_session_of("softmax"), pairs_of([8], [8]))
    with pytest.raises(UsageError, match="several classes"):
        ShiftedEngine(threshold_session_of("softmax"), 0.7)


@pytest.fixture
def threshold_session_of(bright_session, monkeypatch):
    def make(output: str):
        model = ModelSpec(architecture="two", classes=("background", "polyp"), height=32, width=32, output=output)
        info = dataclasses.replace(bright_session.info, model=model)
        monkeypatch.setattr(type(bright_session), "info", property(lambda self: info))
        return bright_session

    return make
