"""Sound documents that people write by hand or that need a training, and what lies beside a file while it is read."""

from __future__ import annotations

import functools
import json
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.fuzz import corpus
from edgeseg.files import sha256_bytes

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
SEALED = b"""set_by = "A"
set_at = 2026-01-02T03:04:05+00:00

[clips]
clips = 2
sha256 = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

"""
CONFIG = b'engine = "a.engine"\nsource = "b"\nmax-mask-age-ms = 1.5\nsync = true\nevent = ["a", "b"]\n'
PLAN = b'schema_version = 1\ndefault = "int8"\n[layers]\n"stem" = "fp16"\n"decoder.*" = "fp32"\n'
TABLE = b"image,mask,split\nimages/a.png,masks/a.png,train\nimages/b.png,masks/b.png,test\n"
HISTORY = (
    b"epoch,learning_rate,train_loss,validation_dice,validation_iou,seconds,data_wait_share\n1,0.1,0.5,0.5,0.4,1.5,\n"
)
COLOURS = b"name,r,g,b\npolyp,255,0,0\nwater,0,0,255\n"
YOLO = b"0 0.1 0.1 0.9 0.1 0.5 0.9\n0 0.2 0.2 0.4 0.2 0.3 0.4\n"


@functools.cache
def _recipe() -> tuple[str, dict[str, Any]]:
    """The recipe of a small network, and random weights for it."""
    from edgeseg.train.architectures.registry import network_from_recipe
    from edgeseg.train.model_recipe import ModelRecipe
    from edgeseg.train.recipe import Recipe, recipe_to_toml

    model = ModelRecipe(height=corpus.SIDE, width=corpus.SIDE, base_width=1, depth=1)
    state = dict(network_from_recipe(model, pretrained=False).state_dict())
    return recipe_to_toml(Recipe(model=model)), state


def protocols() -> list[bytes]:
    """A protocol for clips, sealed."""
    return [SEALED + f'[seal]\nsha256 = "{sha256_bytes(SEALED)}"\n'.encode()]


@functools.cache
def _signed_verdict() -> tuple[bytes, bytes, dict[str, bytes]]:
    """A verdict, its envelope, and the files of the key that signed it."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from edgeseg.signing.envelopes import envelope_path
    from edgeseg.signing.key_files import read_signer
    from edgeseg.signing.signatures import sign_files

    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    plain = serialization.NoEncryption()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    with tempfile.TemporaryDirectory() as folder:
        verdict, keys = Path(folder) / "verdict.json", Path(folder) / "release.key"
        verdict.write_bytes(verdicts_of_an_engine()[0])
        keys.write_bytes(private)
        sign_files([verdict], read_signer(keys, bytes))
        return verdict.read_bytes(), envelope_path(verdict).read_bytes(), {"key": private, "pub": public}


def verdicts_of_an_engine() -> list[bytes]:
    """Verdicts that name their engine by a whole hash."""
    from edgeseg.artifacts import ClipVerdict, Verdict

    documents = [json.loads(corpus.value_json(kind)) for kind in (Verdict, ClipVerdict)]
    return [json.dumps(document | {"engine_sha256": "a" * 64}).encode() for document in documents]


def envelopes() -> list[bytes]:
    """The envelope of a signed verdict."""
    return [_signed_verdict()[1]]


def verdict_and_key(path: Path, data: bytes) -> None:
    """The verdict that the envelope is of, and the public key that signed it."""
    verdict, _, keys = _signed_verdict()
    (path.parent / "verdict.json").write_bytes(verdict)
    (path.parent / "release.pub").write_bytes(keys["pub"])


def key_pair(path: Path, data: bytes) -> None:
    """Both keys."""
    for suffix, key in _signed_verdict()[2].items():
        (path.parent / f"release.{suffix}").write_bytes(key)


def public_keys() -> list[bytes]:
    """The key by which signatures are checked."""
    return [_signed_verdict()[2]["pub"]]


def private_keys() -> list[bytes]:
    """The key that signs."""
    return [_signed_verdict()[2]["key"]]


def recipes() -> list[bytes]:
    """The recipe of the small network."""
    return [_recipe()[0].encode()]


def run_records() -> list[bytes]:
    """The record of a RUN."""
    from edgeseg.train.record import RunRecord

    return [corpus.value_json(RunRecord)]


def passports() -> list[bytes]:
    """The passport of the sound engine, as text."""
    return [corpus.passport(corpus.network()).to_json().encode()]


def weights_around(path: Path, data: bytes) -> None:
    """The file that holds the weights of the second foreign network."""
    (path.parent / "weights.bin").write_bytes(bytes(range(256)))


def signed_again(path: Path, data: bytes) -> None:
    """A passport whose hash is right: only the content lies."""
    corpus.passport(data).write(path.with_name(path.name + ".json"))


def own_passport(path: Path, data: bytes) -> None:
    """The passport of the sound engine."""
    corpus.passport(corpus.network()).write(path.with_name(path.name + ".json"))


def own_engine(path: Path, data: bytes) -> None:
    """The sound engine beside its passport."""
    path.with_suffix("").write_bytes(corpus.network())


def pairs_around(path: Path, data: bytes) -> None:
    """The rest of a data set: two whole pairs, and the other half of the third."""
    if path.parent.name in ("images", "masks"):
        corpus.write_pairs(path.parent.parent, "bc")
        for folder in ("images", "masks"):
            if folder != path.parent.name:
                (path.parent.parent / folder / "a.png").write_bytes(corpus.masks()[0])
    else:
        corpus.write_pairs(path.parent)


def pictures_around(path: Path, data: bytes) -> None:
    """The pictures that annotations are of."""
    for name in ("a", "b", "c") if path.name == "coco.json" else ("a",):
        (path.parent / f"{name}.png").write_bytes(corpus.images((".png",))[0])


def run_checkpoints() -> list[bytes]:
    """Checkpoints of the small network."""
    from edgeseg.train.recipe import ModelRecipe, Recipe

    recipe = Recipe(model=ModelRecipe(height=corpus.SIDE, width=corpus.SIDE, base_width=1, depth=1))
    return corpus.checkpoints(recipe.sha256, _recipe()[1])


def recipe_around(path: Path, data: bytes) -> None:
    """The recipe of the small network."""
    (path.parent / "recipe.toml").write_text(_recipe()[0])


def studies() -> list[bytes]:
    """The studies of this project."""
    return [path.read_bytes() for path in sorted(Path("recipes/studies").glob("*.toml"))]


@functools.cache
def journals() -> list[bytes]:
    """A journal of two trials."""
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


def evaluation_documents() -> list[bytes]:
    """An evaluation with everything that can stand in it."""
    from edgeseg.proof.evaluation.document import EvaluationDocument

    document = json.loads(corpus.value_json(EvaluationDocument))
    return [json.dumps({**document.pop("evaluation"), **document}).encode()]


def live_reports() -> list[bytes]:
    """The end of `edgeseg live --json`, as far as it is read."""
    ages = {"p50": 1.5, "p99": 2.5}
    report = {"engine": "0" * 64, "picture_age_ms": ages, "mask_age_ms": ages, "frames": 9, "source": "x"}
    return [json.dumps(report).encode()]


def clips_around(path: Path, data: bytes) -> None:
    """Something in the place of the clips; only their hash is taken."""
    for name in ("clip.mp4", "other.mp4"):
        (path.parent / name).write_bytes(b"x")
