"""A team's own tests of its engine: pytest test_engine.py --edgeseg-engine ENGINE --edgeseg-data DIR."""

import numpy as np

from edgeseg.testing import assert_dice_drop, assert_latency, assert_lost_polyps, assert_passed


def test_every_rule_of_the_verdict(edgeseg_verdict):
    assert_passed(edgeseg_verdict)


def test_accuracy_has_room_to_spare(edgeseg_verdict):
    assert_dice_drop(edgeseg_verdict, at_most=0.002)
    assert_lost_polyps(edgeseg_verdict, at_most=0)


def test_it_keeps_up_with_30_frames_a_second(edgeseg_verdict, edgeseg_latency):
    assert_latency(edgeseg_verdict, p99_ms=33)
    assert edgeseg_latency.inferences >= 100


def test_a_black_picture_shows_nothing(edgeseg_engine):
    assert not edgeseg_engine.segment(np.zeros((576, 720, 3), np.uint8)).any()
