"""Everything that a signature binds, changed byte by byte; and signatures that belong elsewhere."""

import base64
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies as st

from edgeseg.artifacts import EngineArtifact
from edgeseg.errors import BadInputError, EdgesegError, MismatchError
from edgeseg.signing.envelopes import SignatureError, envelope_path
from edgeseg.signing.key_files import PublicKey, read_public_key
from edgeseg.signing.signatures import check_files
from tests.signing.hand_made import KeyByHand, open_by_hand

Sign = Callable[..., None]
flips = hypothesis.given(place=st.integers(0, 1 << 20), bit=st.integers(0, 7))
of_one_file = hypothesis.settings(
    max_examples=40, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture]
)


def flipped(data: bytes, place: int, bit: int) -> bytes:
    changed = bytearray(data)
    changed[place % len(data)] ^= 1 << bit
    return bytes(changed)


class Restored:
    """Holds a file that is changed inside a `with` block and is itself again after it."""

    def __init__(self, path: Path) -> None:
        self.path, self.data = path, path.read_bytes()

    def __enter__(self) -> "Restored":
        return self

    def __exit__(self, *error: object) -> None:
        self.path.write_bytes(self.data)


@flips
@of_one_file
def test_a_bit_of_the_engine(passport: Path, key: PublicKey, place: int, bit: int) -> None:
    with Restored(passport.with_suffix("")) as engine:
        engine.path.write_bytes(flipped(engine.data, place, bit))
        with pytest.raises(SignatureError, match=r"\.engine was changed after it was signed"):
            check_files([passport], key)


@flips
@of_one_file
def test_a_bit_of_the_passport(passport: Path, key: PublicKey, place: int, bit: int) -> None:
    with Restored(passport) as described:
        described.path.write_bytes(flipped(described.data, place, bit))
        with pytest.raises(SignatureError, match=r"\.json was changed after it was signed"):
            check_files([passport], key)


@pytest.mark.parametrize("field", ["payload", "sig"])
@flips
@of_one_file
def test_a_bit_of_what_is_signed_or_of_the_signature(
    passport: Path, envelope: Path, key: PublicKey, rewrite: Callable[..., None], field: str, place: int, bit: int
) -> None:
    with Restored(envelope):
        document = json.loads(envelope.read_text())
        data = base64.b64decode(document["payload"] if field == "payload" else document["signatures"][0]["sig"])
        rewrite(**{field: base64.b64encode(flipped(data, place, bit)).decode()})
        with pytest.raises(SignatureError, match="is not valid"):
            check_files([passport], key)


@flips
@hypothesis.settings(max_examples=120, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture])
def test_a_bit_of_the_envelopes_file(passport: Path, envelope: Path, key: PublicKey, place: int, bit: int) -> None:
    """A blank of the JSON may become another blank; nothing else may change."""
    with Restored(envelope) as signed:
        envelope.write_bytes(flipped(signed.data, place, bit))
        try:
            check_files([passport], key)
        except EdgesegError as error:
            assert error.exit_code in (5, 6)
        else:
            assert json.loads(envelope.read_text()) == json.loads(signed.data)


def test_nothing_changed_is_accepted_wherever_it_lies(passport: Path, key: PublicKey, tmp_path: Path) -> None:
    elsewhere = Path(shutil.copytree(passport.parent, tmp_path / "box"))
    (signed,) = check_files([elsewhere / passport.name], key)
    assert signed.document.engine_sha256 == EngineArtifact.read(passport).engine_sha256


def test_another_key(passport: Path, key: PublicKey, key_files: Path) -> None:
    with pytest.raises(SignatureError, match="is signed by another key") as error:
        check_files([passport], read_public_key(key_files / "other.pub"))
    assert error.value.found == f"key {key.key_id}"


def test_signed_again_by_somebody_else(passport: Path, key: PublicKey, sign: Sign) -> None:
    sign(passport, "other")
    with pytest.raises(SignatureError, match="is signed by another key"):
        check_files([passport], key)


def test_signed_by_somebody_else_in_the_name_of_the_key(
    passport: Path, key: PublicKey, sign: Sign, rewrite: Callable[..., None]
) -> None:
    sign(passport, "other")
    rewrite(keyid=key.key_id)
    with pytest.raises(SignatureError, match="is not valid"):
        check_files([passport], key)


def test_no_envelope(passport: Path, envelope: Path, key: PublicKey) -> None:
    envelope.unlink()
    with pytest.raises(SignatureError, match="is not signed") as error:
        check_files([passport], key)
    assert error.value.next_command == f"edgeseg sign {passport} --key FILE.key"


def test_the_envelope_of_another_file(passport: Path, envelope: Path, key: PublicKey, sign: Sign) -> None:
    other = passport.with_name("other.engine.json")
    shutil.copy(passport.with_suffix(""), other.with_suffix(""))
    EngineArtifact.read(passport).model_copy(update={"rebuild": "edgeseg build-engine another.onnx"}).write(other)
    sign(other)
    shutil.copy(envelope_path(other), envelope)
    with pytest.raises(SignatureError, match="is the envelope of another file") as error:
        check_files([passport], key)
    assert str(error.value.expected).startswith("other.engine.json ")


def test_a_passport_that_was_signed_as_a_verdict(
    passport: Path, envelope: Path, key: PublicKey, key_by_hand: KeyByHand, key_files: Path
) -> None:
    statement = open_by_hand(envelope, key_files / "release.pub")
    statement["predicateType"] = "urn:edgeseg:verdict:1"
    envelope.write_text(key_by_hand.envelope(json.dumps(statement).encode()))
    with pytest.raises(SignatureError, match="was signed as something else") as error:
        check_files([passport], key)
    assert (error.value.found, error.value.expected) == ("verdict", "engine passport")


def test_a_link_to_another_engine(passport: Path, key: PublicKey, tmp_path: Path) -> None:
    engine = passport.with_suffix("")
    engine.rename(tmp_path / "kept.engine")
    engine.symlink_to(tmp_path / "kept.engine")
    assert check_files([passport], key)
    (tmp_path / "kept.engine").write_bytes(b"another")
    with pytest.raises(SignatureError, match="was changed"):
        check_files([passport], key)


def test_signing_writes_through_no_link(tiny_engine: Path, sign: Sign, tmp_path: Path) -> None:
    passport = tiny_engine.with_name(f"{tiny_engine.name}.json")
    (tmp_path / "precious").write_text("kept")
    envelope_path(passport).symlink_to(tmp_path / "precious")
    sign(passport)
    assert (tmp_path / "precious").read_text() == "kept"
    assert not envelope_path(passport).is_symlink()


def test_an_engine_that_its_passport_does_not_describe_is_not_signed(tiny_engine: Path, sign: Sign) -> None:
    passport = tiny_engine.with_name(f"{tiny_engine.name}.json")
    tiny_engine.write_bytes(tiny_engine.read_bytes() + b" ")
    with pytest.raises(MismatchError, match="so it is not signed"):
        sign(passport)
    tiny_engine.unlink()
    with pytest.raises(BadInputError, match="cannot read the engine"):
        sign(passport)
    assert not envelope_path(passport).exists()


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (lambda text: text.replace('"precision":', '"precision": "int8", "precision":', 1), "occurs twice"),
        (lambda text: text.replace('"convolutions": 1', '"convolutions": NaN'), "NaN"),
        (lambda text: re.sub('"engine_sha256": "[0-9a-f]', '"engine_sha256": "', text), "engine_sha256"),
        (lambda text: "{}", "neither a passport nor a verdict"),
        (lambda text: "\x00", "Expecting value"),
    ],
)
def test_what_everybody_does_not_read_alike_is_not_signed(
    tiny_engine: Path, sign: Sign, spoil: Callable[[str], str], found: str
) -> None:
    passport = tiny_engine.with_name(f"{tiny_engine.name}.json")
    changed = spoil(passport.read_text())
    assert changed != passport.read_text()
    passport.write_text(changed)
    with pytest.raises(BadInputError) as error:
        sign(passport)
    assert found in str(error.value.found)
    assert not envelope_path(passport).exists()
