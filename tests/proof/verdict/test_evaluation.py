import cv2
import numpy as np
import pytest

from edgeseg.errors import BadInputError
from edgeseg.frames import resize_to_network
from edgeseg.images import write_png
from edgeseg.proof.verdict.evaluation import Evaluation, NotFiniteError, evaluate


def test_scores_are_those_of_torchmetrics(make_pairs, threshold_session) -> None:
    torch = pytest.importorskip("torch", reason="the oracle is torchmetrics (extra `train`)")
    oracle = pytest.importorskip("torchmetrics.functional")
    segmentation = pytest.importorskip("torchmetrics.functional.segmentation")
    pairs = make_pairs(4, dim_rows=[0, 5, 10, 20])
    evaluation = evaluate(threshold_session(150), pairs)
    for pair, score in zip(pairs, evaluation.per_image, strict=True):
        frame, truth = pair.read()
        predicted, target = torch.tensor(frame[..., 1] >= 150), torch.tensor(truth > 0)
        onehot = [torch.stack([~mask, mask])[None].long() for mask in (predicted, target)]
        dice = segmentation.dice_score(*onehot, num_classes=2, include_background=False, input_format="one-hot")
        assert score.name == pair.name
        assert score.dice == pytest.approx(float(dice.squeeze()), abs=1e-6)
        assert score.iou == pytest.approx(
            float(oracle.jaccard_index(predicted.long(), target.long(), "binary")), abs=1e-6
        )


def test_means_are_over_images_not_pixels(make_pairs, threshold_session) -> None:
    # 20 of 20 rows found, and 20 of 40: Dice 1 and 2*20/60, IoU 1 and 1/2.
    evaluation = evaluate(threshold_session(150), make_pairs(2, dim_rows=[0, 20]))
    assert evaluation.mean_dice == pytest.approx((1 + 2 / 3) / 2)
    assert evaluation.mean_iou == pytest.approx((1 + 1 / 2) / 2)
    assert evaluation.image_count == 2


def test_the_mask_is_compared_at_the_size_of_the_frame(make_pairs, threshold_session) -> None:
    torch = pytest.importorskip("torch", reason="the oracle is torch (extra `train`)")
    pair, session = make_pairs(1)[0], threshold_session(150)
    frame, mask = pair.read()
    write_png(pair.image, np.asarray(cv2.resize(frame, (71, 61)), np.uint8))
    write_png(pair.mask, np.roll(np.asarray(cv2.resize(mask, (71, 61)), np.uint8), 2, axis=0))
    probability = torch.tensor(session.infer(resize_to_network(pair.read()[0], 48, 48)[None]))
    scaled = torch.nn.functional.interpolate(probability, (61, 71), mode="bilinear", align_corners=False)
    predicted, truth = scaled[0, 0].numpy() >= 0.5, pair.read()[1] > 0
    by_hand = 2 * (predicted & truth).sum() / (predicted.sum() + truth.sum())
    assert by_hand < 1
    assert evaluate(session, [pair]).per_image[0].dice == pytest.approx(by_hand)


def test_nan_is_refused_and_names_the_image(make_pairs, threshold_session) -> None:
    with pytest.raises(NotFiniteError, match="image_00") as caught:
        evaluate(threshold_session(150, nan_below=60), make_pairs(1))
    assert caught.value.exit_code == 5


def test_nan_is_refused_even_where_an_empty_mask_would_score_one(make_pairs, threshold_session) -> None:
    with pytest.raises(NotFiniteError):
        evaluate(threshold_session(150, nan_below=60), make_pairs(1, polyp_rows=0))


def test_nothing_to_evaluate(threshold_session) -> None:
    with pytest.raises(BadInputError, match="nothing"):
        evaluate(threshold_session(150), [])


def test_the_value_survives_its_json(make_pairs, threshold_session) -> None:
    evaluation = evaluate(threshold_session(150), make_pairs(3))
    assert Evaluation.from_json(evaluation.to_json()) == evaluation


def test_data_hash_changes_with_a_mask(make_pairs, threshold_session) -> None:
    pairs = make_pairs(2)
    before = evaluate(threshold_session(150), pairs).data_sha256
    write_png(pairs[1].mask, np.zeros((48, 48), np.uint8))
    assert evaluate(threshold_session(150), pairs).data_sha256 != before
