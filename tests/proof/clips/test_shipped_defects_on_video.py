"""A shipped model's engine with one defect each fails on a real clip, and the reasons name it; INT8 passes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from edgeseg.artifacts import ClipVerdict
from edgeseg.export.build import BuildOptions, build_engine
from edgeseg.proof.clips.clip_file import read_clips
from edgeseg.proof.clips.clip_verdict import ClipMaterial, prove_clips
from edgeseg.runtime.engine.engine import Engine
from edgeseg.runtime.opener.engine_from_file import open_engine
from tests.proof.clips.conftest import DroppingEngine, HeldEngine, LateEngine

ROOT = Path(__file__).parents[3]
CLIP = Path(os.environ.get("EDGESEG_DATA", ROOT.parent / "shared" / "data")) / "video" / "colon_polyp_560x480_25fps.mp4"
SHOWN = [[28, 52], [60, 92], [112, 175]]
"""Frames of the clip that show its polyp, judged by eye."""

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not CLIP.is_file(), reason="no clip of a polyp; EDGESEG_DATA names the data folder"),
]


@pytest.fixture(scope="module")
def small_int8(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("engine") / "small.int8.engine"
    options = BuildOptions("int8", "onnxruntime", out=out, keep_int8=True)
    return build_engine(ROOT / "models" / "kvasir-small", options).engine


@pytest.fixture
def proven(small_int8: Path, tmp_path: Path) -> Iterator[Callable[[Callable[[Engine], Engine]], ClipVerdict]]:
    file = tmp_path / "clips.toml"
    file.write_text(f'[[clips]]\npath = "{CLIP}"\nshown = {SHOWN}\n')
    with closing(open_engine(small_int8)) as engine, closing(open_engine(ROOT / "models" / "kvasir-small")) as float32:
        yield lambda spoilt: prove_clips(spoilt(engine), float32, ClipMaterial(read_clips(file))).verdict


def test_int8_passes(proven) -> None:
    verdict = proven(lambda engine: engine)
    assert verdict.passed is True, verdict.reasons


@pytest.mark.parametrize(
    ("spoilt", "cause"),
    [
        (lambda engine: HeldEngine(engine, 10), "are held: "),
        (lambda engine: DroppingEngine(engine, 5), "marks on lesions flicker"),
        (lambda engine: LateEngine(engine, 4), "of 4 frames (160 ms) before best: they come late"),
    ],
    ids=["held for ten frames", "every fifth dropped", "160 ms late"],
)
def test_a_defect_fails_and_is_named(proven, spoilt: Callable[[Engine], Engine], cause: str) -> None:
    verdict = proven(spoilt)
    assert verdict.passed is False
    assert cause in "\n".join(verdict.reasons)
