"""Every reader of files that edgeseg has, and the sound files that are mutated for it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.fuzz import corpus, readings, surroundings
from benchmarks.fuzz.hostile_binaries import mutated_onnx, mutated_package, mutated_png, mutated_zip
from benchmarks.fuzz.hostile_bytes import Mutation, mutated_bytes
from benchmarks.fuzz.hostile_text import mutated_json, mutated_table, mutated_toml
from edgeseg.artifact_text import JSON_KINDS, describe
from edgeseg.artifacts import ClipVerdict, Verdict
from edgeseg.calibration.plan_files import read_plan
from edgeseg.dataset.pair_table import layout_of_table
from edgeseg.images import read_mask_values
from edgeseg.images.class_colours import read_class_colours
from edgeseg.proof.clips.clip_file import read_clips
from edgeseg.proof.evaluation.polyp_clip import read_ranges
from edgeseg.proof.history.verdict_history import read_history
from edgeseg.splitting import read_sequences
from edgeseg.values import Value


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


def _of_value(kind: type[Value]) -> Parser:
    seeds, check = functools.partial(_documents, (kind,)), functools.partial(readings.check_value, kind)
    return Parser(f"value {kind.__name__}", "document.json", seeds, mutated_json, check)


def _documents(kinds: Sequence[type[Value]]) -> list[bytes]:
    return [corpus.value_json(kind) for kind in kinds]


def _verdicts() -> list[bytes]:
    return _documents((Verdict, ClipVerdict))


def _png() -> list[bytes]:
    return corpus.images((".png",))


def _other_images() -> list[bytes]:
    return [*corpus.images((".gif", ".webp", ".bmp", ".ppm")), *map(corpus.moving, (".gif", ".webp", ".png", ".tif"))]


def _only(data: bytes) -> Callable[[], list[bytes]]:
    return lambda: [data]


DOCUMENTS = (
    *map(_of_value, JSON_KINDS),
    Parser("inspect NAME.json", "a.json", functools.partial(_documents, JSON_KINDS), mutated_json, describe),
    Parser("evaluation.json", "a.json", surroundings.evaluation_documents, mutated_json, describe),
    Parser("live report", "a.json", surroundings.live_reports, mutated_json, readings.check_live_report),
    Parser("run.json", "run.json", surroundings.run_records, mutated_json, readings.check_run_record),
    Parser("recipe", "recipe.toml", surroundings.recipes, mutated_toml, readings.check_recipe_file, 2.0),
    Parser("study", "study.toml", surroundings.studies, mutated_toml, readings.check_study, 2.0),
    Parser("precision plan", "plan.toml", _only(surroundings.PLAN), mutated_toml, read_plan, 2.0),
    Parser(
        *(
            "clips.toml",
            "clips.toml",
            _only(surroundings.CLIPS),
            mutated_toml,
            read_clips,
            2.0,
            surroundings.clips_around,
        )
    ),
    Parser("protocol", "protocol.toml", surroundings.protocols, mutated_toml, readings.check_protocol, 2.0),
    Parser("verdict history", "verdict.json", _verdicts, mutated_json, lambda path: read_history([path])),
    Parser("--config", "live.toml", _only(surroundings.CONFIG), mutated_toml, readings.check_config, 2.0),
    Parser("frame ranges", "a.csv", _only(b"first,last\n0,4\n9,20\n"), mutated_table, read_ranges),
    Parser("sequences", "a.csv", _only(b"sequence,first,last\na,0,4\nb,5,9\n"), mutated_table, read_sequences),
    Parser("class colours", "class_dict.csv", _only(surroundings.COLOURS), mutated_table, read_class_colours),
    Parser("history.csv", "history.csv", _only(surroundings.HISTORY), mutated_table, readings.check_history),
    Parser("study journal", "journal", surroundings.journals, mutated_table, readings.check_journal, 0.1),
)
_converted = functools.partial(Parser, parse=readings.check_converted, around=surroundings.pictures_around)
_data_set = functools.partial(Parser, parse=readings.check_data_set, around=surroundings.pairs_around)
DATA = (
    Parser("table of pairs", "pairs.csv", _only(surroundings.TABLE), mutated_table, layout_of_table),
    _converted("COCO", "source/coco.json", lambda: [corpus.coco()], mutated_json),
    _converted("LabelMe", "source/a.json", lambda: [corpus.labelme()], mutated_json),
    _converted("YOLO", "source/a.txt", _only(surroundings.YOLO), mutated_table),
    Parser("PNG", "a.png", _png, mutated_png, readings.check_picture, 2.0),
    Parser("PNG mask", "a.png", corpus.masks, mutated_png, read_mask_values, 2.0),
    Parser("JPEG", "a.jpg", lambda: corpus.images((".jpg",)), mutated_bytes, readings.check_picture, 2.0),
    Parser("TIFF", "a.tif", lambda: corpus.images((".tif",)), mutated_bytes, readings.check_picture, 2.0),
    Parser("GIF, WebP, BMP, PNM", "a.gif", _other_images, mutated_bytes, readings.check_picture, 2.0),
    _data_set("data set", "set/images/a.png", _png, mutated_png, share=0.5),
    _data_set("data set by table", "set/pairs.csv", _only(surroundings.TABLE), mutated_table, share=0.5),
    Parser("DICOM", "a.dcm", corpus.dicom, mutated_bytes, readings.check_video),
    Parser("video", "a.mp4", corpus.videos, mutated_bytes, readings.check_video, 0.5),
)
MODELS = (
    Parser("ONNX", "model.onnx", lambda: [corpus.network()], mutated_onnx, readings.check_contract, 3.0),
    Parser(
        *("foreign ONNX", "model.onnx", corpus.foreign_networks, mutated_onnx, readings.check_foreign),
        around=surroundings.weights_around,
    ),
    Parser(
        *("passport", "a.engine.json", surroundings.passports, mutated_json, readings.check_passport, 2.0),
        around=surroundings.own_engine,
    ),
    Parser(
        *("engine", "a.engine", lambda: [corpus.network()], mutated_bytes, readings.check_engine, 2.0),
        around=surroundings.own_passport,
    ),
    Parser(
        *("engine, signed again", "a.engine", lambda: [corpus.network()], mutated_onnx, readings.check_opened_engine),
        around=surroundings.signed_again,
    ),
    Parser("model package", "a.edgeseg", lambda: [corpus.package()], mutated_package, readings.check_package, 2.0),
    Parser(
        *("checkpoint", "best.pt", surroundings.run_checkpoints, mutated_zip, readings.check_run),
        around=surroundings.recipe_around,
    ),
)
SIGNATURES = (
    Parser(
        *("signable", "verdict.json", surroundings.verdicts_of_an_engine, mutated_json, readings.check_signable),
        around=surroundings.key_pair,
    ),
    Parser(
        *("envelope", "verdict.json.dsse.json", surroundings.envelopes, mutated_json, readings.check_envelope),
        around=surroundings.verdict_and_key,
    ),
    Parser("public key", "release.pub", surroundings.public_keys, mutated_bytes, readings.check_public_key),
    Parser("private key", "release.key", surroundings.private_keys, mutated_bytes, readings.check_private_key),
)
PARSERS = (*DOCUMENTS, *DATA, *MODELS, *SIGNATURES)
