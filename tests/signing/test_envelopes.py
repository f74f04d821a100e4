"""Envelopes of `edgeseg sign` against DSSE written out by hand, and hostile envelopes."""

import base64
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from edgeseg.errors import BadInputError, EdgesegError
from edgeseg.files import sha256_file
from edgeseg.signing.envelopes import ENVELOPE_BYTES_MAX, SignatureError, verified_payload
from edgeseg.signing.key_files import PublicKey
from edgeseg.signing.signatures import check_files
from tests.signing.hand_made import IN_TOTO, KeyByHand, encoded, open_by_hand

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
SIGNATURES = st.lists(st.fixed_dictionaries({"keyid": ANYTHING, "sig": ANYTHING}) | ANYTHING, max_size=2) | ANYTHING
ENVELOPES = st.fixed_dictionaries({"payload": ANYTHING, "payloadType": ANYTHING, "signatures": SIGNATURES}) | ANYTHING


def test_the_encoding_by_hand_is_that_of_the_specification() -> None:
    """The example of DSSE's protocol.md."""
    expected = b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    assert encoded("http://example.com/HelloWorld", b"hello world") == expected


def test_cryptography_alone_verifies_an_envelope(passport: Path, envelope: Path, key_files: Path) -> None:
    statement = open_by_hand(envelope, key_files / "release.pub")
    engine = passport.with_suffix("")
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["subject"] == [
        {"name": passport.name, "digest": {"sha256": sha256_file(passport)}},
        {"name": engine.name, "digest": {"sha256": sha256_file(engine)}},
    ]
    stated = json.loads(passport.read_text())
    bound = {name: value for name, value in statement["predicate"].items() if name != "signed_at"}
    assert bound == {name: stated[name] for name in bound}
    assert {"onnx_sha256", "weights_sha256", "backend", "precision"} <= set(bound)


def test_an_envelope_by_hand_is_taken(
    passport: Path, envelope: Path, key: PublicKey, key_by_hand: KeyByHand, key_files: Path
) -> None:
    payload = json.dumps(open_by_hand(envelope, key_files / "release.pub"), separators=(",", ":")).encode()
    envelope.write_text(key_by_hand.envelope(payload))
    assert check_files([passport], key)[0].key_id == key_by_hand.key_id


MALFORMED, RESPELT = "missing or malformed", "more ways than one"


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"payload": "!"}, MALFORMED),
        ({"payload": None}, MALFORMED),
        ({"signatures": None}, MALFORMED),
        ({"signatures": 1}, MALFORMED),
        ({"signatures": [1]}, MALFORMED),
        ({"signatures": [{}]}, MALFORMED),
        ({"keyid": 1}, "keyid"),
        ({"keyid": "\x1b[2J"}, "keyid"),
        ({"note": "one field more"}, RESPELT),
        ({"sig": "a_-_"}, RESPELT),
    ],
)
def test_what_is_no_envelope_is_refused(
    passport: Path, key: PublicKey, rewrite: Callable[..., None], fields: dict[str, Any], found: str
) -> None:
    rewrite(**fields)
    with pytest.raises(BadInputError, match="is no DSSE envelope") as error:
        check_files([passport], key)
    assert found in str(error.value.found)


@pytest.mark.parametrize("kind", ["text/plain", "", None])
def test_an_unknown_payload_type_is_refused(
    passport: Path, key: PublicKey, rewrite: Callable[..., None], kind: str | None
) -> None:
    rewrite(payloadType=kind)
    with pytest.raises(BadInputError, match="holds something else than a statement") as error:
        check_files([passport], key)
    assert error.value.expected == IN_TOTO


def test_bits_that_base64_does_not_use_are_part_of_the_envelope(
    passport: Path, envelope: Path, key: PublicKey, rewrite: Callable[..., None]
) -> None:
    """The last character before == has four bits that decode to nothing: a second spelling of one signature."""
    former = json.loads(envelope.read_text())["signatures"][0]["sig"]
    respelt = former[:-3] + chr(ord(former[-3]) + 1) + "=="
    assert base64.b64decode(respelt) == base64.b64decode(former)
    rewrite(sig=respelt)
    with pytest.raises(BadInputError, match="no DSSE envelope"):
        check_files([passport], key)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"payload": "", "payload": "", "payloadType": "", "signatures": []}', "'payload' occurs twice"),
        ('{"payload": NaN}', "NaN is no JSON number"),
        ('{"payload": -Infinity}', "-Infinity is no JSON number"),
        ("[" * 100_000, "too deeply nested"),
        ('{"payload": ' + "1" * 10_000 + "}", "integer"),
        ("", "Expecting value"),
        ("\ufeff{}", "BOM"),
    ],
)
def test_json_with_two_meanings_or_none_is_refused(
    passport: Path, envelope: Path, key: PublicKey, text: str, found: str
) -> None:
    envelope.write_text(text)
    with pytest.raises(BadInputError) as error:
        check_files([passport], key)
    assert found in str(error.value.found)


def test_an_envelope_without_signatures_proves_nothing(
    passport: Path, key: PublicKey, rewrite: Callable[..., None]
) -> None:
    rewrite(signatures=[])
    with pytest.raises(SignatureError) as error:
        check_files([passport], key)
    assert error.value.found == "nobody"


def test_a_huge_envelope_is_not_read(passport: Path, envelope: Path, key: PublicKey) -> None:
    os.truncate(envelope, 1 << 40)  # a sparse file: a terabyte that takes no room
    with pytest.raises(BadInputError) as error:
        check_files([passport], key)
    assert error.value.found == f"more than {ENVELOPE_BYTES_MAX} bytes"


@pytest.mark.parametrize("target", ["/dev/zero", ".", "loop"])
def test_a_link_to_what_is_no_file_is_refused(passport: Path, envelope: Path, key: PublicKey, target: str) -> None:
    envelope.unlink()
    envelope.symlink_to(envelope.name if target == "loop" else target)
    with pytest.raises((BadInputError, SignatureError)):
        check_files([passport], key)


def test_a_pipe_is_refused_without_waiting(passport: Path, envelope: Path, key: PublicKey) -> None:
    envelope.unlink()
    os.mkfifo(envelope)
    with pytest.raises(BadInputError) as error:
        check_files([passport], key)
    assert error.value.found == "no regular file"


def test_a_signed_payload_that_is_no_statement_of_ours_is_refused(
    passport: Path, envelope: Path, key: PublicKey, key_by_hand: KeyByHand, key_files: Path
) -> None:
    statement = open_by_hand(envelope, key_files / "release.pub")
    for spoilt in (
        {**statement, "_type": "https://in-toto.io/Statement/v0.1"},
        {**statement, "subject": statement["subject"][:1]},
        {**statement, "subject": [{"name": "x", "digest": {"sha256": "0"}}] * 2},
        [],
    ):
        envelope.write_text(key_by_hand.envelope(json.dumps(spoilt).encode()))
        with pytest.raises(BadInputError, match="no statement"):
            check_files([passport], key)
    envelope.write_text(key_by_hand.envelope(json.dumps(statement).encode(), "text/plain"))
    with pytest.raises(BadInputError) as error:
        check_files([passport], key)
    assert error.value.expected == IN_TOTO


@hypothesis.given(envelope=ENVELOPES)
@hypothesis.settings(max_examples=60)
def test_any_json_ends_in_an_error_of_ours(envelope: Any, key: PublicKey) -> None:
    with pytest.raises(EdgesegError):
        verified_payload(json.dumps(envelope).encode(), key, Path("x.engine.json"))


@hypothesis.given(data=st.binary(max_size=64))
def test_any_bytes_end_in_an_error_of_ours(data: bytes, key: PublicKey) -> None:
    with pytest.raises(BadInputError):
        verified_payload(data, key, Path("x.engine.json"))
