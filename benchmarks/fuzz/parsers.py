"""Every reader of files that edgeseg has, with the sound files that it is given mutated, and what it must give."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import itertools
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.fuzz import corpus
from benchmarks.fuzz.hostile_bytes import (
    Mutation,
    mutated_bytes,
    mutated_json,
    mutated_onnx,
    mutated_png,
    mutated_table,
    mutated_toml,
    mutated_zip,
)
from edgeseg.artifact_text import JSON_KINDS, describe
from edgeseg.calibration.plan_files import read_plan
from edgeseg.conversion.convert import convert_dataset
from edgeseg.dataset import load_pairs
from edgeseg.dataset.pair_table import layout_of_table
from edgeseg.graph.onnx_files import load_onnx
from edgeseg.images import picture_count, pictures_in, read_mask_values, read_rgb
from edgeseg.images.class_colours import read_class_colours
from edgeseg.inspection import inspect_dataset
from edgeseg.proof.clips.clip_file import read_clips
from edgeseg.proof.clips.live_delays import read_live_delays
from edgeseg.proof.evaluation.polyp_clip import read_ranges
from edgeseg.runtime.passport.passports import read_checked
from edgeseg.splitting import read_sequences
from edgeseg.values import Value

FRAMES = 40
"""Frames of a video that are read at most."""
LARGEST_PIXELS = 100_000_000


@dataclass(frozen=True)
class Parser:
    """A reader, and what it is tried on."""

    name: str
    file: str
    """The name of the file in the case's folder."""
    seeds: Callable[[], Sequence[bytes]]
    """Sound files."""
    mutate: Mutation
    parse: Callable[[Path], object]
    """Reads the file; raises AssertionError where it takes what it must not take, or gives what is wrong."""
    share: float = 1.0
    """Its part of all cases."""
    around: Callable[[Path, bytes], None] | None = None
    """Puts into the folder what lies beside the file, which has this content; for each case."""


def _value(kind: type[Value], path: Path) -> None:
    value = kind.read(path)
    json.loads(path.read_bytes(), parse_constant=_no_number, object_pairs_hook=_each_key_once)
    assert all(math.isfinite(number) for number in _numbers(value.to_dict())), "a number that is not finite"
    assert kind.from_json(value.to_json()) == value, "another value when it is read back"


def _no_number(text: str) -> None:
    raise AssertionError(f"{text} was taken")


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len({key for key, _ in pairs}) == len(pairs), "a key that stands there twice was taken"
    return dict(pairs)


def _numbers(value: Any) -> list[float]:
    if isinstance(value, dict | list):
        return [number for part in (value.values() if isinstance(value, dict) else value) for number in _numbers(part)]
    return [value] if isinstance(value, float) else []


def _picture(path: Path) -> None:
    for index, frame in zip(range(FRAMES), pictures_in(path), strict=False):
        assert frame.dtype == np.uint8 and frame.ndim == 3 and 0 < frame.size <= 3 * LARGEST_PIXELS, index
    if picture_count(path) == 1:
        read_rgb(path)


def _contract(path: Path) -> None:
    artifact = load_onnx(path)
    assert artifact.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert len(artifact.weights_sha256) == 64


def _foreign(path: Path) -> None:
    from edgeseg.export.foreign.importing import ImportOptions, import_onnx

    import_onnx(path, path.with_name("imported.onnx"), ImportOptions())
    load_onnx(path.with_name("imported.onnx"))


def _weights_around(path: Path, data: bytes) -> None:
    (path.parent / "weights.bin").write_bytes(bytes(range(256)))


def _engine(path: Path) -> None:
    data, passport = read_checked(path)
    assert hashlib.sha256(data).hexdigest() == passport.engine_sha256


def _opened_engine(path: Path) -> None:
    from edgeseg.runtime.engine.inputs import PackedFrame
    from edgeseg.runtime.engine.one_frame import probability_of
    from edgeseg.runtime.opener.engine_from_file import open_engine

    with contextlib.closing(open_engine(path)) as engine:
        probability_of(engine, PackedFrame(corpus.picture(), "rgb"))


def _signed_again(path: Path, data: bytes) -> None:
    """Write a passport whose hash is right: only the content lies."""
    corpus.passport(data).write(path.with_name(path.name + ".json"))


def _own_passport(path: Path, data: bytes) -> None:
    corpus.passport(corpus.network()).write(path.with_name(path.name + ".json"))


def _own_engine(path: Path, data: bytes) -> None:
    path.with_suffix("").write_bytes(corpus.network())


def _video(path: Path) -> None:
    from edgeseg.runtime.video.video_files import open_source

    with open_source(path) as source:
        for frame in itertools.islice(source.frames(), FRAMES):
            assert frame.picture.height > 0


def _data_set(path: Path) -> None:
    root = path.parent.parent if path.parent.name in ("images", "masks") else path
    report = inspect_dataset(root)
    if not report.problems:
        assert len(load_pairs(root, classes=None)) == sum(split.pairs for split in report.splits)
    else:
        load_pairs(root, classes=None)
        raise AssertionError("a data set with problems was loaded")


def _converted(path: Path) -> None:
    out = path.parent.parent / "converted"
    convert_dataset(path.parent, out)
    assert {entry.name for entry in out.iterdir()} == {"images", "masks"}


def _pairs_around(path: Path, data: bytes) -> None:
    if path.parent.name in ("images", "masks"):
        corpus.write_pairs(path.parent.parent, "bc")
        for folder in ("images", "masks"):
            if folder != path.parent.name:
                (path.parent.parent / folder / "a.png").write_bytes(corpus.masks()[0])
    else:
        corpus.write_pairs(path.parent)


def _pictures_around(path: Path, data: bytes) -> None:
    for name in ("a", "b", "c") if path.name == "coco.json" else ("a",):
        (path.parent / f"{name}.png").write_bytes(corpus.images((".png",))[0])


@functools.cache
def _recipe() -> tuple[str, dict[str, Any]]:
    """The recipe of a small network, and random weights for it."""
    from edgeseg.train.architectures.registry import network_from_recipe
    from edgeseg.train.recipe import ModelRecipe, Recipe, recipe_to_toml

    model = ModelRecipe(height=corpus.SIDE, width=corpus.SIDE, base_width=1, depth=1)
    state = dict(network_from_recipe(model, pretrained=False).state_dict())
    return recipe_to_toml(Recipe(model=model)), state


def _checkpoints() -> list[bytes]:
    from edgeseg.train.recipe import ModelRecipe, Recipe

    recipe = Recipe(model=ModelRecipe(height=corpus.SIDE, width=corpus.SIDE, base_width=1, depth=1))
    return corpus.checkpoints(recipe.sha256, _recipe()[1])


def _recipe_around(path: Path, data: bytes) -> None:
    (path.parent / "recipe.toml").write_text(_recipe()[0])


def _run(path: Path) -> None:
    from edgeseg.train.predictor import open_run

    session = open_run(path.parent)
    probability = session.infer(corpus.picture()[np.newaxis])
    assert probability.shape == (1, 1, corpus.SIDE, corpus.SIDE)


def _recipe_file(path: Path) -> None:
    from edgeseg.train.recipe import Recipe, read_recipe, recipe_to_toml

    recipe = read_recipe(path)
    assert all(math.isfinite(number) for number in _numbers(recipe.to_dict())), "a number that is not finite"
    path.write_text(recipe_to_toml(recipe))
    assert read_recipe(path) == recipe, "another recipe when it is read back"
    assert isinstance(recipe, Recipe)


def _study(path: Path) -> None:
    from edgeseg.train.studies.study_file import read_study, recipe_of

    recipe_of(read_study(str(path)), {})


def _studies() -> list[bytes]:
    return [path.read_bytes() for path in sorted(Path("recipes/studies").glob("*.toml"))]


def _config(path: Path) -> None:
    from edgeseg.cli.config_file import read_config

    kinds = {"engine": Path, "source": str, "max_mask_age_ms": float, "sync": bool, "event": list[str]}
    read_config(path, kinds, "live")


def _history(path: Path) -> None:
    from edgeseg.train.record import read_history

    read_history(path.parent)


def _run_record(path: Path) -> None:
    (path.parent / "recipe.toml").write_text("")
    describe(path.parent)


def _journal(path: Path) -> None:
    from edgeseg.train.studies.journal import open_journal

    open_journal(path, None).get_trials(deepcopy=False)


@functools.cache
def _journals() -> list[bytes]:
    import tempfile

    from edgeseg.train.studies.journal import open_journal

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal"
        path.touch()
        study = open_journal(path, None)
        for dice in (0.5, 0.25):
            trial = study.ask()
            trial.set_user_attr("point", "a")
            study.tell(trial, dice)
        return [path.read_bytes()]


def _evaluation_documents() -> list[bytes]:
    from edgeseg.proof.evaluation.document import EvaluationDocument

    document = json.loads(corpus.value_json(EvaluationDocument))
    return [json.dumps({**document.pop("evaluation"), **document}).encode()]


def _live_report() -> list[bytes]:
    ages = {"p50": 1.5, "p99": 2.5}
    report = {"engine": "0" * 64, "picture_age_ms": ages, "mask_age_ms": ages, "frames": 9, "source": "x"}
    return [json.dumps(report).encode()]


CLIPS = b"""[limits]
max_lost_lesions = 1
min_agreement = 0.5
[[clips]]
path = "clip.mp4"
[[clips.lesions]]
name = "a"
frames = [[0, 3], [5, 9]]
boxes = [[0, 1.0, 2.0, 3.5, 4.5]]
[[clips]]
path = "other.mp4"
polyp = false
"""
CONFIG = b'engine = "a.engine"\nsource = "b"\nmax-mask-age-ms = 1.5\nsync = true\nevent = ["a", "b"]\n'
PLAN = b'schema_version = 1\ndefault = "int8"\n[layers]\n"stem" = "fp16"\n"decoder.*" = "fp32"\n'
TABLE = b"image,mask,split\nimages/a.png,masks/a.png,train\nimages/b.png,masks/b.png,test\n"
HISTORY = (
    b"epoch,learning_rate,train_loss,validation_dice,validation_iou,seconds,data_wait_share\n1,0.1,0.5,0.5,0.4,1.5,\n"
)
COLOURS = b"name,r,g,b\npolyp,255,0,0\nwater,0,0,255\n"
YOLO = b"0 0.1 0.1 0.9 0.1 0.5 0.9\n0 0.2 0.2 0.4 0.2 0.3 0.4\n"


def _clips_around(path: Path, data: bytes) -> None:
    for name in ("clip.mp4", "other.mp4"):
        (path.parent / name).write_bytes(b"x")


def _of_values() -> list[Parser]:
    return [
        Parser(
            f"value {kind.__name__}",
            "document.json",
            functools.partial(lambda kind: [corpus.value_json(kind)], kind),
            mutated_json,
            functools.partial(_value, kind),
        )
        for kind in JSON_KINDS
    ]


def _other_images() -> list[bytes]:
    return [*corpus.images((".gif", ".webp", ".bmp", ".ppm")), *map(corpus.moving, (".gif", ".webp", ".png", ".tif"))]


def _run_records() -> list[bytes]:
    from edgeseg.train.record import RunRecord

    return [corpus.value_json(RunRecord)]


def _passport_json() -> bytes:
    return corpus.passport(corpus.network()).to_json().encode()


PARSERS: tuple[Parser, ...] = (
    *_of_values(),
    Parser("inspect NAME.json", "a.json", lambda: [corpus.value_json(k) for k in JSON_KINDS], mutated_json, describe),
    Parser("evaluation.json", "a.json", _evaluation_documents, mutated_json, describe),
    Parser("live report", "a.json", _live_report, mutated_json, lambda path: read_live_delays(path, "0" * 64)),
    Parser("run.json", "run.json", lambda: _run_records(), mutated_json, _run_record),
    Parser("recipe", "recipe.toml", lambda: [_recipe()[0].encode()], mutated_toml, _recipe_file, 2.0),
    Parser("study", "study.toml", _studies, mutated_toml, _study, 2.0),
    Parser("precision plan", "plan.toml", lambda: [PLAN], mutated_toml, read_plan, 2.0),
    Parser("clips.toml", "clips.toml", lambda: [CLIPS], mutated_toml, read_clips, 2.0, _clips_around),
    Parser("--config", "live.toml", lambda: [CONFIG], mutated_toml, _config, 2.0),
    Parser("table of pairs", "pairs.csv", lambda: [TABLE], mutated_table, layout_of_table),
    Parser("frame ranges", "a.csv", lambda: [b"first,last\n0,4\n9,20\n"], mutated_table, read_ranges),
    Parser("sequences", "a.csv", lambda: [b"sequence,first,last\na,0,4\nb,5,9\n"], mutated_table, read_sequences),
    Parser("class colours", "class_dict.csv", lambda: [COLOURS], mutated_table, read_class_colours),
    Parser("history.csv", "history.csv", lambda: [HISTORY], mutated_table, _history),
    Parser("COCO", "source/coco.json", lambda: [corpus.coco()], mutated_json, _converted, 1.5, _pictures_around),
    Parser("LabelMe", "source/a.json", lambda: [corpus.labelme()], mutated_json, _converted, 1.5, _pictures_around),
    Parser("YOLO", "source/a.txt", lambda: [YOLO], mutated_table, _converted, 1.0, _pictures_around),
    Parser("PNG", "a.png", lambda: corpus.images((".png",)), mutated_png, _picture, 2.0),
    Parser("PNG mask", "a.png", corpus.masks, mutated_png, read_mask_values, 2.0),
    Parser("JPEG", "a.jpg", lambda: corpus.images((".jpg",)), mutated_bytes, _picture, 2.0),
    Parser("TIFF", "a.tif", lambda: corpus.images((".tif",)), mutated_bytes, _picture, 2.0),
    Parser("GIF, WebP, BMP, PNM", "a.gif", lambda: _other_images(), mutated_bytes, _picture, 2.0),
    Parser(
        "data set", "set/images/a.png", lambda: corpus.images((".png",)), mutated_png, _data_set, 0.5, _pairs_around
    ),
    Parser("data set by table", "set/pairs.csv", lambda: [TABLE], mutated_table, _data_set, 0.5, _pairs_around),
    Parser("DICOM", "a.dcm", corpus.dicom, mutated_bytes, _video, 1.0),
    Parser("ONNX", "model.onnx", lambda: [corpus.network()], mutated_onnx, _contract, 3.0),
    Parser(
        "foreign ONNX", "model.onnx", lambda: [*corpus.foreign_networks()], mutated_onnx, _foreign, 1.0, _weights_around
    ),
    Parser("engine", "a.engine", lambda: [corpus.network()], mutated_bytes, _engine, 2.0, _own_passport),
    Parser(
        "passport",
        "a.engine.json",
        lambda: [_passport_json()],
        mutated_json,
        lambda p: _engine(p.with_suffix("")),
        2.0,
        _own_engine,
    ),
    Parser(
        "engine, signed again", "a.engine", lambda: [corpus.network()], mutated_onnx, _opened_engine, 1.0, _signed_again
    ),
    Parser("checkpoint", "best.pt", _checkpoints, mutated_zip, _run, 1.0, _recipe_around),
    Parser("study journal", "journal", _journals, mutated_table, _journal, 0.1),
    Parser("video", "a.mp4", corpus.videos, mutated_bytes, _video, 0.5),
)
