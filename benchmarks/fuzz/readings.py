"""How each reader is called, and what must hold of whatever it takes."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.fuzz import corpus, surroundings
from edgeseg.archive_members import archive_bytes
from edgeseg.artifact_text import describe
from edgeseg.conversion.convert import convert_dataset
from edgeseg.dataset import load_pairs
from edgeseg.graph.onnx_files import load_onnx
from edgeseg.images import picture_count, pictures_in, read_rgb
from edgeseg.inspection import inspect_dataset
from edgeseg.package_archive import read_archive
from edgeseg.packages import find_model, onnx_of
from edgeseg.proof.clips.live_delays import read_live_delays
from edgeseg.proof.protocol.protocol_file import read_protocol
from edgeseg.runtime.passport.passports import read_checked
from edgeseg.values import Value

FRAMES = 40
"""Frames of a video that are read at most."""
LARGEST_PIXELS = 100_000_000


def check_value(kind: type[Value], path: Path) -> None:
    """A value is finite, its document has each key once, and it is the same when it is written and read again."""
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


def check_picture(path: Path) -> None:
    """Every picture of a file has pixels, and no more than are ever read."""
    for index, frame in zip(range(FRAMES), pictures_in(path), strict=False):
        assert frame.dtype == np.uint8 and frame.ndim == 3 and 0 < frame.size <= 3 * LARGEST_PIXELS, index
    if picture_count(path) == 1:
        read_rgb(path)


def check_contract(path: Path) -> None:
    """A contract graph whose weights have a name."""
    artifact = load_onnx(path)
    assert artifact.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert len(artifact.weights_sha256) == 64


def check_package(path: Path) -> None:
    """A package in one file holds what its manifest names, and its network is read out of it."""
    files = find_model(path)
    if files.kind == "package":
        archive = read_archive(path)
        assert archive_bytes(archive.members) == path.read_bytes(), "other bytes when it is written again"
        assert load_onnx(onnx_of(files)).sha256 == archive.manifest.onnx_sha256
    describe(path)


def check_foreign(path: Path) -> None:
    """A network of others is imported into a contract graph."""
    from edgeseg.export.foreign.importing import ImportOptions, import_onnx

    import_onnx(path, path.with_name("imported.onnx"), ImportOptions())
    load_onnx(path.with_name("imported.onnx"))


def check_engine(path: Path) -> None:
    """An engine is the one that its passport names."""
    data, passport = read_checked(path)
    assert hashlib.sha256(data).hexdigest() == passport.engine_sha256


def check_passport(path: Path) -> None:
    """An engine is the one that this passport names."""
    check_engine(path.with_suffix(""))


def check_live_report(path: Path) -> None:
    """The delays of a report are finite."""
    assert all(map(math.isfinite, _numbers(read_live_delays(path, "0" * 64).model_dump())))


def check_protocol(path: Path) -> None:
    """A protocol that counts as sealed says what was sealed."""
    assert read_protocol(path).edited or path.read_bytes().startswith(surroundings.SEALED)


def check_envelope(path: Path) -> None:
    """A signature that is taken is over the payload that was signed."""
    from edgeseg.signing.key_files import read_public_key
    from edgeseg.signing.signatures import check_files

    (signed,) = check_files([path.parent / "verdict.json"], read_public_key(path.parent / "release.pub"))
    (sound,) = surroundings.envelopes()
    assert json.loads(path.read_bytes())["payload"] == json.loads(sound)["payload"], "another payload was taken"
    assert signed.document.path.name == "verdict.json"


def check_signable(path: Path) -> None:
    """A document that is signed has a signature that holds."""
    from edgeseg.signing.key_files import read_public_key, read_signer
    from edgeseg.signing.signatures import check_files, sign_files

    sign_files([path], read_signer(path.parent / "release.key", bytes))
    check_files([path], read_public_key(path.parent / "release.pub"))


def check_public_key(path: Path) -> None:
    """A key that is read has an id."""
    from edgeseg.signing.key_files import read_public_key

    assert len(read_public_key(path).key_id) == 64


def check_private_key(path: Path) -> None:
    """A key that is read signs."""
    from edgeseg.signing.key_files import read_signer

    assert read_signer(path, bytes).sign(b"").signature


def check_opened_engine(path: Path) -> None:
    """An engine opens and computes a frame."""
    from edgeseg.runtime.engine.inputs import PackedFrame
    from edgeseg.runtime.engine.one_frame import probability_of
    from edgeseg.runtime.opener.engine_from_file import open_engine

    with contextlib.closing(open_engine(path)) as engine:
        probability_of(engine, PackedFrame(corpus.picture(), "rgb"))


def check_video(path: Path) -> None:
    """The first frames of a video, folder or DICOM object have a size."""
    from edgeseg.runtime.video.video_files import open_source

    with open_source(path) as source:
        for frame in itertools.islice(source.frames(), FRAMES):
            assert frame.picture.height > 0


def check_data_set(path: Path) -> None:
    """A data set is loaded where nothing is wrong with it, and refused where something is."""
    root = path.parent.parent if path.parent.name in ("images", "masks") else path
    report = inspect_dataset(root)
    if not report.problems:
        assert len(load_pairs(root, classes=None)) == sum(split.pairs for split in report.splits)
    else:
        load_pairs(root, classes=None)
        raise AssertionError("a data set with problems was loaded")


def check_converted(path: Path) -> None:
    """Polygons are converted into images and masks, and nothing else is written."""
    out = path.parent.parent / "converted"
    convert_dataset(path.parent, out)
    assert {entry.name for entry in out.iterdir()} == {"images", "masks"}


def check_run(path: Path) -> None:
    """A RUN opens and computes a picture."""
    from edgeseg.train.predictor import open_run

    session = open_run(path.parent)
    probability = session.infer(corpus.picture()[np.newaxis])
    assert probability.shape == (1, 1, corpus.SIDE, corpus.SIDE)


def check_recipe_file(path: Path) -> None:
    """A recipe is finite, and the same when it is written and read again."""
    from edgeseg.train.recipe import Recipe, read_recipe, recipe_to_toml

    recipe = read_recipe(path)
    assert all(math.isfinite(number) for number in _numbers(recipe.to_dict())), "a number that is not finite"
    again = path.with_name("again.toml")
    again.write_text(recipe_to_toml(recipe))
    assert read_recipe(again) == recipe, "another recipe when it is read back"
    assert isinstance(recipe, Recipe)


def check_study(path: Path) -> None:
    """A study's base is a recipe."""
    from edgeseg.train.studies.study_file import read_study, recipe_of

    recipe_of(read_study(str(path)), {})


def check_config(path: Path) -> None:
    """A configuration has values for the flags of a command."""
    from edgeseg.cli.config_file import read_config

    kinds = {"engine": Path, "source": str, "max_mask_age_ms": float, "sync": bool, "event": list[str]}
    read_config(path, kinds, "live")


def check_history(path: Path) -> None:
    """A history of a training."""
    from edgeseg.train.record import read_history

    read_history(path.parent)


def check_run_record(path: Path) -> None:
    """A RUN is described by its record."""
    (path.parent / "recipe.toml").write_text("")
    describe(path.parent)


def check_journal(path: Path) -> None:
    """A journal opens, and all its trials are there."""
    from edgeseg.train.studies.journal import open_journal

    open_journal(path, None).get_trials(deepcopy=False)
