"""The bytes whose signature was checked are the bytes that are opened, here and in every process."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("securesystemslib", reason="pip install 'edgeseg[sign]'")

from edgeseg.artifacts import EngineArtifact
from edgeseg.files import sha256_bytes
from edgeseg.runtime.engine.engine_layout import SessionLayout
from edgeseg.runtime.engine.inputs import NetworkInput
from edgeseg.runtime.engine.one_frame import probability_of
from edgeseg.runtime.live import takeover
from edgeseg.runtime.live.drift import drift_opening
from edgeseg.runtime.live.drift.drift_opening import open_drift_monitor
from edgeseg.runtime.live.rollout import roll_out_opening
from edgeseg.runtime.live.rollout.roll_out_opening import open_shadow
from edgeseg.runtime.live.settings import LiveSettings, RollOutSettings, WatchSettings
from edgeseg.runtime.opener import use
from edgeseg.runtime.opener.engine_from_file import open_engine, open_in_worker
from edgeseg.runtime.passport import passports
from edgeseg.runtime.passport.passports import passport_path, read_checked, session_info
from edgeseg.signing.envelopes import SignatureError
from edgeseg.signing.key_files import PublicKey, make_keys, read_public_key, read_signer
from edgeseg.signing.signatures import check_signed_engine, sign_files

GREY = NetworkInput(np.full((32, 32, 3), 200, np.uint8))
LAYOUT = SessionLayout(threads=1)


@pytest.fixture
def key(tiny_engine: Path, tmp_path: Path) -> PublicKey:
    """The key that has signed the engine."""
    made = make_keys(tmp_path / "keys", "release")
    sign_files([passport_path(tiny_engine)], read_signer(made.private, lambda: b""))
    return read_public_key(made.public)


def exchange(engine: Path) -> None:
    """Put another engine with a fitting passport in the place of one, as somebody with access to the box would."""
    data = engine.read_bytes().replace(b"bright-pixels", b"other-network")
    passport = EngineArtifact.read(passport_path(engine))
    engine.write_bytes(data)
    passport.model_copy(update={"engine_sha256": sha256_bytes(data)}).write(passport_path(engine))


def test_an_exchanged_engine_with_a_fitting_passport(tiny_engine: Path, key: PublicKey) -> None:
    exchange(tiny_engine)
    open_engine(tiny_engine).close()
    with pytest.raises(SignatureError, match="was changed after it was signed"):
        open_engine(tiny_engine, use.Use(signed_by=key))


def test_files_exchanged_right_after_the_check_are_not_opened(
    tiny_engine: Path, key: PublicKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, passport = read_checked(tiny_engine)

    def check_and_exchange(*arguments: Any) -> None:
        check_signed_engine(*arguments)
        exchange(tiny_engine)

    monkeypatch.setattr(passports, "check_signed_engine", check_and_exchange)
    assert read_checked(tiny_engine, key) == (data, passport)
    assert tiny_engine.read_bytes() != data


def test_a_worker_checks_the_file_that_it_reads(tiny_engine: Path, key: PublicKey) -> None:
    """A process that is started anew, hours later, reads the file again."""
    handed_over: PublicKey = pickle.loads(pickle.dumps(key))
    open_in_worker(tiny_engine, LAYOUT, True, 0, signed_by=handed_over).close()
    exchange(tiny_engine)
    with pytest.raises(SignatureError):
        open_in_worker(tiny_engine, LAYOUT, True, 0, signed_by=handed_over)


def test_processes_open_a_signed_engine(tiny_engine: Path, key: PublicKey) -> None:
    engine = open_engine(tiny_engine, replace(use.FILE, apart=True, signed_by=key))
    try:
        assert (probability_of(engine, GREY) > 0.99).all()
    finally:
        engine.close()


def test_a_reference_must_be_signed_as_well(tiny_engine: Path, tiny_onnx: Path, key: PublicKey) -> None:
    live = session_info(EngineArtifact.read(passport_path(tiny_engine)))
    settings = LiveSettings(tiny_engine, "synthetic", signed_by=key, watch=WatchSettings(tiny_onnx))
    with pytest.raises(SignatureError, match="carries no signature"):
        open_drift_monitor(settings, live, None, lambda line: None)


def test_the_engine_that_is_fallen_back_to_is_checked_again(
    tiny_engine: Path, key: PublicKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    demanded = []

    def start(path: Path, wanted: use.Use) -> Any:
        demanded.append((path, wanted.signed_by))
        return SimpleNamespace(info=replace(live, precision="fp16"), wait_ready=lambda timeout_s: None)

    live = session_info(EngineArtifact.read(passport_path(tiny_engine)))
    for module in (drift_opening, takeover):
        monkeypatch.setattr(module, "start_workers", start)
    watch = WatchSettings(tiny_engine, fall_back=True)
    settings = LiveSettings(tiny_engine, "synthetic", signed_by=key, watch=watch)
    monkeypatch.setattr(drift_opening, "DriftMonitor", lambda *arguments: arguments[-1])
    options: Any = open_drift_monitor(settings, live, None, lambda line: None)
    options.fall_back()
    assert demanded == [(tiny_engine, key)] * 2


def test_a_new_engine_must_be_signed_as_well_unseen_and_shown(
    tiny_engine: Path, tiny_onnx: Path, key: PublicKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = session_info(EngineArtifact.read(passport_path(tiny_engine)))
    settings = LiveSettings(tiny_engine, "synthetic", signed_by=key, roll_out=RollOutSettings(tiny_onnx))
    with pytest.raises(SignatureError, match="carries no signature"):
        open_shadow(settings, live, lambda line: None)
    demanded: list[Any] = []

    def start(path: Path, wanted: use.Use) -> Any:
        demanded.append((path, wanted.signed_by))
        return SimpleNamespace(info=live)

    monkeypatch.setattr(roll_out_opening, "start_workers", start)
    monkeypatch.setattr(roll_out_opening, "RollOut", lambda *arguments: arguments[2])
    as_shown: Any = roll_out_opening.open_roll_out(settings, None, SimpleNamespace(info=live), [])  # type: ignore[arg-type]
    as_shown()
    assert demanded == [(tiny_onnx, key)]
