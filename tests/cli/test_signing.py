"""`edgeseg keys`, `sign`, `verify-signature` and `--require-signature`, as they are typed."""

import json
import shutil
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("securesystemslib", reason="pip install 'edgeseg[sign]'")

from edgeseg.artifacts import EngineArtifact, Verdict
from edgeseg.cli import run
from edgeseg.cli.signing_key import PASSWORD_VARIABLE
from edgeseg.images import write_png
from edgeseg.runtime.passport.passports import passport_path

Output = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def no_password_of_the_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PASSWORD_VARIABLE, raising=False)


@pytest.fixture
def keys(tmp_path: Path, capsys: Output) -> Path:
    """A folder with the key pairs signing and other."""
    for words in ([], ["--name", "other"]):
        assert run(["keys", "new", "--out", str(tmp_path / "keys"), *words]) == 0
    capsys.readouterr()
    return tmp_path / "keys"


@pytest.fixture
def passport(tiny_engine: Path, keys: Path, capsys: Output) -> Path:
    """A signed passport."""
    path = passport_path(tiny_engine)
    assert run(["sign", str(path), "--key", str(keys / "signing.key")]) == 0
    capsys.readouterr()
    return path


@pytest.fixture
def verdict(tiny_engine: Path, tiny_onnx: Path, tmp_path: Path, capsys: Output) -> Path:
    """The verdict of `verify` on the engine."""
    for index in range(8):
        frame, mask = np.full((32, 32, 3), 20 + index, np.uint8), np.zeros((32, 32), np.uint8)
        frame[:8], mask[:8] = 230, 255
        write_png(tmp_path / "data" / "test" / "images" / f"{index}.png", frame)
        write_png(tmp_path / "data" / "test" / "masks" / f"{index}.png", mask)
    words = ["--reference", str(tiny_onnx), "--data", str(tmp_path / "data"), "--report", str(tmp_path / "proof")]
    assert run(["verify", str(tiny_engine), *words]) == 0
    capsys.readouterr()
    return tmp_path / "proof" / "verdict.json"


def refused(words: list[object], capsys: Output) -> dict[str, Any]:
    """The error that a command prints with --json."""
    code = run([*map(str, words), "--json"])
    printed = capsys.readouterr()
    error: dict[str, Any] = json.loads(printed.out)
    assert error["exit_code"] == code
    assert f"error: {error['what']}" in printed.err
    return error


def test_a_new_key_says_what_comes_next(tmp_path: Path, capsys: Output) -> None:
    assert run(["keys", "new", "--out", str(tmp_path), "--name", "release"]) == 0
    text = capsys.readouterr().out
    assert f"next: edgeseg sign NAME.engine.json --key {tmp_path / 'release.key'}" in text
    assert stat.S_IMODE((tmp_path / "release.key").stat().st_mode) == 0o600
    error = refused(["keys", "new", "--out", tmp_path, "--name", "release"], capsys)
    assert (error["exit_code"], error["what"]) == (5, f"{tmp_path / 'release.key'} exists, and a key is never replaced")


def test_keys_as_json(tmp_path: Path, capsys: Output) -> None:
    assert run(["keys", "new", "--out", str(tmp_path), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["public_key"] == str(tmp_path / "signing.pub")
    assert len(document["key_id"]) == 64
    assert document["encrypted"] is False


def test_a_passport_from_key_to_check(tiny_engine: Path, keys: Path, capsys: Output) -> None:
    passport = passport_path(tiny_engine)
    assert run(["sign", str(passport), "--key", str(keys / "signing.key")]) == 0
    text = capsys.readouterr().out
    next_words = next(line for line in text.splitlines() if line.startswith("next: ")).removeprefix("next: edgeseg ")
    assert run(next_words.split()) == 0
    text = capsys.readouterr().out
    assert f"{passport}: engine passport, of the engine with sha256" in text


def test_signing_and_checking_as_json(passport: Path, keys: Path, capsys: Output) -> None:
    assert run(["sign", str(passport), "--key", str(keys / "signing.key"), "--json"]) == 0
    (signed,) = json.loads(capsys.readouterr().out)["signed"]
    assert run(["verify-signature", str(passport), "--public-key", str(keys / "signing.pub"), "--json"]) == 0
    (checked,) = json.loads(capsys.readouterr().out)["verified"]
    assert checked == signed
    assert checked["envelope"] == f"{passport}.dsse.json"
    assert checked["statement"]["subject"][1]["digest"]["sha256"] == EngineArtifact.read(passport).engine_sha256


def test_a_verdict_and_its_engine(passport: Path, verdict: Path, keys: Path, capsys: Output) -> None:
    files, public = [str(passport), str(verdict)], ["--public-key", str(keys / "signing.pub")]
    assert run(["sign", *files, "--key", str(keys / "signing.key")]) == 0
    assert run(["verify-signature", *files, *public]) == 0
    assert f"{verdict}: verdict, PASSED, of the engine" in capsys.readouterr().out
    verdict.write_text(verdict.read_text().replace('"mean_dice_drop": 0.0', '"mean_dice_drop": 0.1'))
    error = refused(["verify-signature", verdict, *public], capsys)
    assert (error["exit_code"], error["what"]) == (6, f"{verdict} was changed after it was signed")


def test_a_verdict_on_another_engine(passport: Path, verdict: Path, keys: Path, capsys: Output) -> None:
    Verdict.read(verdict).model_copy(update={"engine_sha256": "0" * 64}).write(verdict)
    assert run(["sign", str(verdict), "--key", str(keys / "signing.key")]) == 0
    capsys.readouterr()
    words = ["verify-signature", passport, verdict, "--public-key", keys / "signing.pub"]
    error = refused(words, capsys)
    assert (error["exit_code"], error["what"]) == (6, f"{verdict} is a verdict on another engine")


def test_nothing_is_signed_if_one_file_cannot_be(tiny_engine: Path, keys: Path, tmp_path: Path, capsys: Output) -> None:
    (tmp_path / "verdict.json").write_text("{}")
    words = ["sign", passport_path(tiny_engine), tmp_path / "verdict.json", "--key", keys / "signing.key"]
    assert refused(words, capsys)["exit_code"] == 5
    assert not list(tiny_engine.parent.glob("*.dsse.json"))


def test_the_engine_in_place_of_its_passport(tiny_engine: Path, keys: Path, capsys: Output) -> None:
    error = refused(["sign", tiny_engine, "--key", keys / "signing.key"], capsys)
    assert error["exit_code"] == 5
    assert error["next"] == f"name {passport_path(tiny_engine)} in place of {tiny_engine}"


def test_a_file_that_is_not_there(tmp_path: Path, keys: Path, capsys: Output) -> None:
    error = refused(["verify-signature", tmp_path / "x.json", "--public-key", keys / "signing.pub"], capsys)
    assert (error["exit_code"], error["found"]) == (5, "No such file or directory")


def test_a_password(tiny_engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output) -> None:
    passport = passport_path(tiny_engine)
    monkeypatch.setenv(PASSWORD_VARIABLE, "secret")
    assert run(["keys", "new", "--out", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["encrypted"] is True
    words = ["sign", str(passport), "--key", str(tmp_path / "signing.key")]
    assert run(words) == 0
    capsys.readouterr()
    monkeypatch.setenv(PASSWORD_VARIABLE, "guess")
    error = refused(list(words), capsys)
    assert (error["exit_code"], error["what"]) == (5, f"the password of {tmp_path / 'signing.key'} is wrong")
    monkeypatch.delenv(PASSWORD_VARIABLE)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    error = refused(list(words), capsys)
    assert error["exit_code"] == 2
    assert PASSWORD_VARIABLE in error["expected"]


def test_a_password_that_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output) -> None:
    asked = []

    def prompt(words: str, **options: Any) -> str:
        asked.append((words, options["hide_input"], options["confirmation_prompt"]))
        return "secret"

    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("typer.prompt", prompt)
    assert run(["keys", "new", "--out", str(tmp_path), "--password"]) == 0
    assert asked == [("Password for the new key", True, True)]
    assert "secret" not in "".join(capsys.readouterr())
    assert b"ENCRYPTED" in (tmp_path / "signing.key").read_bytes()


def test_a_private_key_that_others_can_read(passport: Path, keys: Path, capsys: Output) -> None:
    (keys / "signing.key").chmod(0o644)
    assert run(["sign", str(passport), "--key", str(keys / "signing.key"), "--json"]) == 0
    printed = capsys.readouterr()
    assert f"chmod 600 {keys / 'signing.key'}" in printed.err
    json.loads(printed.out)


@pytest.mark.parametrize("package", ["securesystemslib.dsse", "cryptography.hazmat.primitives.serialization"])
def test_without_the_extra(
    passport: Path, keys: Path, package: str, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    error = refused(["verify-signature", passport, "--public-key", keys / "signing.pub"], capsys)
    assert (error["exit_code"], error["next"]) == (4, "pip install 'edgeseg[sign]'")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder with one picture."""
    write_png(tmp_path / "pictures" / "a.png", np.full((32, 32, 3), 200, np.uint8))
    return tmp_path / "pictures"


Spoil = Callable[[Path], object]
REFUSED: dict[str, tuple[Spoil, str]] = {
    "unsigned": (lambda passport: Path(f"{passport}.dsse.json").unlink(), "is not signed"),
    "engine": (lambda passport: passport.with_suffix("").write_bytes(b"not even ONNX"), "was changed after"),
    "passport": (lambda passport: passport.write_text(passport.read_text() + " "), "was changed after"),
}


@pytest.mark.parametrize("name", [*REFUSED, "other key"])
@pytest.mark.parametrize("command", ["run", "live"])
def test_an_engine_that_is_not_signed_by_the_key_is_refused(
    command: str, name: str, passport: Path, keys: Path, pictures: Path, tmp_path: Path, capsys: Output
) -> None:
    spoil, what = REFUSED.get(name, (lambda passport: None, "is signed by another key"))
    spoil(passport)
    public = keys / ("other.pub" if name == "other key" else "signing.pub")
    source, masks = pictures if command == "run" else "synthetic:64x48@25", tmp_path / "masks"
    words = [command, passport.with_suffix(""), source, "--masks", masks, "--require-signature", public]
    error = refused(words, capsys)
    assert error["exit_code"] == 6
    assert what in error["what"]
    assert not masks.exists()


def test_a_signed_engine_runs(passport: Path, keys: Path, pictures: Path, tmp_path: Path, capsys: Output) -> None:
    words = [passport.with_suffix(""), pictures, "--masks", tmp_path / "masks"]
    assert run(["run", *map(str, words), "--require-signature", str(keys / "signing.pub")]) == 0
    assert [path.name for path in (tmp_path / "masks").iterdir()] == ["a.png"]


def test_the_key_may_stand_in_the_configuration(
    passport: Path, keys: Path, pictures: Path, tmp_path: Path, capsys: Output
) -> None:
    (tmp_path / "run.toml").write_text(f'require-signature = "{keys / "other.pub"}"')
    words = ["run", passport.with_suffix(""), pictures, "--config", tmp_path / "run.toml"]
    assert "is signed by another key" in refused(words, capsys)["what"]


def test_a_model_that_carries_no_signature(
    tiny_onnx: Path, passport: Path, keys: Path, pictures: Path, capsys: Output
) -> None:
    shutil.copy(f"{passport}.dsse.json", f"{tiny_onnx}.json.dsse.json")
    error = refused(["run", tiny_onnx, pictures, "--require-signature", keys / "signing.pub"], capsys)
    assert (error["exit_code"], error["found"]) == (6, "an ONNX file")


def test_an_envelope_is_shown_as_unchecked(passport: Path, keys: Path, capsys: Output) -> None:
    envelope = Path(f"{passport}.dsse.json")
    assert run(["inspect", str(envelope)]) == 0
    text = capsys.readouterr().out
    assert f"{passport.name}" in text
    assert "nothing was checked here" in text
    assert run(["inspect", str(envelope), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["predicateType"] == "urn:edgeseg:engine-passport:1"
