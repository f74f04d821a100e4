import base64
import hashlib
import os
import stat
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edgeseg.errors import BadInputError, UsageError
from edgeseg.files import UnwritableError
from edgeseg.signing.key_files import make_keys, read_public_key, read_signer, readable_by_others
from tests.signing.conftest import no_password

PEM = serialization.Encoding.PEM
SPKI = serialization.PublicFormat.SubjectPublicKeyInfo
PKCS8 = serialization.PrivateFormat.PKCS8
PLAIN = serialization.NoEncryption()


@pytest.fixture
def open_umask() -> object:
    """The umask of somebody who lets everybody read everything."""
    former = os.umask(0)
    yield
    os.umask(former)


@pytest.mark.usefixtures("open_umask")
def test_only_the_owner_can_read_a_private_key(tmp_path: Path) -> None:
    made = make_keys(tmp_path / "new" / "folder", "release")
    assert stat.S_IMODE(made.private.stat().st_mode) == 0o600
    assert not readable_by_others(made.private)
    made.private.chmod(0o640)
    assert readable_by_others(made.private)


def test_the_two_files_are_one_pair(tmp_path: Path) -> None:
    made = make_keys(tmp_path, "release")
    private = serialization.load_pem_private_key(made.private.read_bytes(), None)
    assert isinstance(private, Ed25519PrivateKey)
    assert private.public_key().public_bytes(PEM, SPKI) == made.public.read_bytes()


def test_the_key_id_is_the_hash_that_openssl_gives(tmp_path: Path) -> None:
    made = make_keys(tmp_path, "release")
    command = ["openssl", "pkey", "-pubin", "-in", str(made.public), "-outform", "DER"]
    der = subprocess.run(command, capture_output=True, check=True).stdout
    assert made.key_id == hashlib.sha256(der).hexdigest() == read_public_key(made.public).key_id
    assert read_signer(made.private, no_password).public_key.keyid == made.key_id


def test_a_key_of_openssl_is_taken(tmp_path: Path) -> None:
    private, public = tmp_path / "a.pem", tmp_path / "b.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(private)], check=True)
    subprocess.run(["openssl", "pkey", "-in", str(private), "-pubout", "-out", str(public)], check=True)
    assert read_signer(private, no_password).public_key.keyid == read_public_key(public).key_id


@pytest.mark.parametrize("taken", ["release.key", "release.pub"])
@pytest.mark.parametrize("as_link", [True, False])
def test_nothing_is_replaced(tmp_path: Path, taken: str, as_link: bool) -> None:
    """A link that leads nowhere would be written through by a careless program."""
    if as_link:
        (tmp_path / taken).symlink_to(tmp_path / "elsewhere")
    else:
        (tmp_path / taken).write_text("kept")
    with pytest.raises(UnwritableError, match="a key is never replaced"):
        make_keys(tmp_path, "release")
    assert [path.name for path in tmp_path.iterdir()] == [taken]
    assert as_link or (tmp_path / taken).read_text() == "kept"


@pytest.mark.parametrize("name", ["../release", "a/b", ".hidden", ".."])
def test_a_name_stays_in_its_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError):
        make_keys(tmp_path / "keys", name)
    assert not list(tmp_path.iterdir())


def test_a_password_locks_a_key(tmp_path: Path) -> None:
    made = make_keys(tmp_path, "release", b"secret")
    assert b"ENCRYPTED" in made.private.read_bytes()
    assert read_signer(made.private, lambda: b"secret").public_key.keyid == made.key_id
    with pytest.raises(BadInputError, match=r"the password of .* is wrong"):
        read_signer(made.private, lambda: b"guess")


@pytest.fixture(scope="module")
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def test_keys_of_another_kind_are_refused(tmp_path: Path, rsa_key: rsa.RSAPrivateKey) -> None:
    private, public = tmp_path / "rsa.key", tmp_path / "rsa.pub"
    private.write_bytes(rsa_key.private_bytes(PEM, PKCS8, PLAIN))
    public.write_bytes(rsa_key.public_key().public_bytes(PEM, SPKI))
    with pytest.raises(BadInputError) as error:
        read_public_key(public)
    assert "RSAPublicKey" in str(error.value.found)
    with pytest.raises(BadInputError) as error:
        read_signer(private, no_password)
    assert "RSAPrivateKey" in str(error.value.found)


def test_a_kind_of_key_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    """Both halves with the last byte of Ed25519's object identifier, 1.3.101.112, changed."""
    made, ed25519 = make_keys(tmp_path, "release"), b"\x06\x03\x2b\x65\x70"
    for path, read in ((made.public, read_public_key), (made.private, lambda path: read_signer(path, no_password))):
        first, *body, last = path.read_text().splitlines()
        der = base64.b64decode("".join(body))
        assert ed25519 in der
        body = [base64.b64encode(der.replace(ed25519, ed25519[:-1] + b"\x7f")).decode()]
        path.write_text("\n".join([first, *body, last, ""]))
        with pytest.raises(BadInputError, match="cannot be read as a key"):
            read(path)


def test_the_wrong_half_of_a_pair_is_named(tmp_path: Path) -> None:
    made = make_keys(tmp_path, "release")
    with pytest.raises(BadInputError, match="is a private key"):
        read_public_key(made.private)
    with pytest.raises(BadInputError, match="is a public key"):
        read_signer(made.public, no_password)


@pytest.mark.parametrize("data", [b"", b"\xff\xfe", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"])
def test_what_is_no_key_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.pub").write_bytes(data)
    with pytest.raises(BadInputError, match="cannot be read as a key"):
        read_public_key(tmp_path / "x.pub")


def test_a_file_without_an_end_is_refused() -> None:
    with pytest.raises(BadInputError) as error:
        read_public_key(Path("/dev/zero"))
    assert error.value.found == "no regular file"
