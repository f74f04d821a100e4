import datetime
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgeseg.artifacts import EngineArtifact
from edgeseg.calibration.ranges import calibrate
from edgeseg.cli import run
from edgeseg.errors import BadInputError
from edgeseg.export.build import BuildOptions, build_engine
from edgeseg.export.builders.tensorrt_options import TensorRtOptions
from edgeseg.export.rebuild import rebuild_engine
from edgeseg.graph.onnx_files import load_onnx
from edgeseg.images import list_images
from edgeseg.runtime.passport.passports import passport_path
from tests.export.tensorrt_targets import ORIN, TENSORRT_VERSIONS

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture
def engine(small_onnx: Path, small_images: Path, tmp_path: Path) -> Path:
    """An INT8 engine with its table, built for ONNX Runtime."""
    table, out = tmp_path / "table.json", tmp_path / "built" / "small.engine"
    calibrate(load_onnx(small_onnx), list_images(small_images)).write(table)
    build_engine(small_onnx, BuildOptions("int8", "onnxruntime", table, out=out))
    return out


def typed(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, dict[str, Any]]:
    code = run([*map(str, arguments), "--json"])
    return code, json.loads(capsys.readouterr().out or "{}")


def test_a_repeated_build_gives_the_same_engine(engine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, passport = engine.read_bytes(), EngineArtifact.read(passport_path(engine))
    engine.unlink()
    code, document = typed(capsys, "build-engine", "--from-passport", passport_path(engine))
    assert (code, document["identical"], document["differences"]) == (0, True, [])
    assert (document["engine"], document["precision"]) == (str(engine), "int8")
    assert engine.read_bytes() == data
    assert EngineArtifact.read(passport_path(engine)) == passport


def test_the_date_is_that_of_the_first_build_with_these_bytes(engine: Path) -> None:
    path, now = passport_path(engine), datetime.datetime.now(datetime.timezone.utc)
    passport = EngineArtifact.read(path)
    assert passport.built is not None and abs(now - passport.built) < datetime.timedelta(minutes=5)
    first = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)
    passport.model_copy(update={"built": first}).write(path)
    assert rebuild_engine(path).result.passport.built == first
    passport.model_copy(update={"built": first, "engine_sha256": "0" * 64}).write(path)
    assert rebuild_engine(path).result.passport.built != first


def test_bytes_that_differ_are_told(engine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = passport_path(engine)
    changed = {"engine_sha256": "0" * 64, "backend_version": "0.1"}
    EngineArtifact.read(path).model_copy(update=changed).write(path)
    out = tmp_path / "again.engine"
    code, document = typed(capsys, "build-engine", "--from-passport", path, "--out", out)
    assert (code, document["identical"]) == (0, False)
    assert document["differences"][0].startswith("backend version 0.1 -> ")
    assert out.is_file()
    assert run(["build-engine", "--from-passport", str(path), "--out", str(out)]) == 0
    assert "the bytes differ from the former engine's" in capsys.readouterr().out


@pytest.mark.parametrize("changed", ["network", "table"])
def test_another_network_or_calibration_is_a_mismatch(
    changed: str, engine: Path, small_onnx: Path, small_images: Path, tmp_path: Path, capsys
) -> None:
    if changed == "network":
        artifact = load_onnx(small_onnx)
        artifact.proto.graph.doc_string = "changed"
        small_onnx.write_bytes(artifact.proto.SerializeToString())
    else:
        calibrate(load_onnx(small_onnx), list_images(small_images)[:3]).write(tmp_path / "table.json")
    data = engine.read_bytes()
    code, document = typed(capsys, "build-engine", "--from-passport", passport_path(engine))
    assert (code, document["exit_code"]) == (6, 6)
    assert ("network" if changed == "network" else "calibration") in document["what"]
    assert engine.read_bytes() == data


def test_calibration_images_are_held_to_the_former_ones(
    small_onnx: Path, small_images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "x.engine"
    build_engine(small_onnx, BuildOptions("int8", "onnxruntime", calibration_data=small_images, out=out))
    code, document = typed(capsys, "build-engine", "--from-passport", passport_path(out))
    assert (code, document["identical"]) == (0, True)
    list_images(small_images)[0].unlink()
    code, document = typed(capsys, "build-engine", "--from-passport", passport_path(out))
    assert code == 6
    assert document["what"].endswith("is not the one that the engine was built from: it has other data")


@pytest.mark.parametrize(
    ("method", "images", "ranges", "which"),
    [
        ("mse", 12, 1.0, "it has another method"),
        ("max", 5, 1.0, "it has other data"),
        ("mse", 5, 1.0, "it has another method and other data"),
        ("max", 12, 2.0, "it has other ranges, with the same method and the same data"),
    ],
)
def test_a_table_that_is_not_the_former_one_is_told_apart(
    method: str,
    images: int,
    ranges: float,
    which: str,
    engine: Path,
    small_onnx: Path,
    small_images: Path,
    tmp_path,
    capsys,
) -> None:
    table = calibrate(load_onnx(small_onnx), list_images(small_images)[:images], method=method)
    wider = {name: entry.model_copy(update={"amax": entry.amax * ranges}) for name, entry in table.ranges.items()}
    table.model_copy(update={"ranges": wider}).write(tmp_path / "table.json")
    code, document = typed(capsys, "build-engine", "--from-passport", passport_path(engine))
    assert (code, document["what"].rsplit(": ", 1)[1]) == (6, which)


def test_usage_is_a_model_or_a_passport(engine: Path, small_onnx: Path, capsys: pytest.CaptureFixture[str]) -> None:
    passport = str(passport_path(engine))
    for words in (
        [],
        [str(small_onnx), "--from-passport", passport],
        ["--from-passport", passport, "--precision", "int8"],
        ["--from-passport", passport, "--backend", "auto"],
        ["--from-passport", passport, "--calibration", "table.json"],
    ):
        assert run(["build-engine", *words]) == 2
        assert "Usage" in capsys.readouterr().err


def test_a_passport_that_is_none_or_too_old(engine: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInputError):
        rebuild_engine(tmp_path / "nothing.engine.json")
    path = passport_path(engine)
    old = EngineArtifact.read(path).model_copy(update={"build": None})
    old.write(path)
    with pytest.raises(BadInputError) as caught:
        rebuild_engine(path)
    assert caught.value.next_command == old.rebuild


def test_builder_options_are_repeated(small_onnx: Path, tmp_path: Path, install: Callable[..., Any]) -> None:
    module, out = install("tensorrt 10.3.0"), tmp_path / "x.engine"
    options = TensorRtOptions(batch=(1, 2, 4), workspace_bytes=1 << 20, version_compatible=True)
    first = build_engine(small_onnx, BuildOptions("fp16", "tensorrt", out=out, builder=options))
    module.calls.clear()
    again = rebuild_engine(passport_path(out))
    assert again.identical
    assert again.result.passport == first.passport
    assert ("IBuilderConfig.set_memory_pool_limit", "MemoryPoolType.WORKSPACE", 1 << 20) in module.calls


def test_another_tensorrt_is_told(small_onnx: Path, tmp_path: Path, install: Callable[..., Any]) -> None:
    install("tensorrt 10.3.0")
    build_engine(small_onnx, BuildOptions("fp16", "tensorrt", out=tmp_path / "x.engine"))
    install("tensorrt 11.4.0.106", plan=b"another plan")
    again = rebuild_engine(passport_path(tmp_path / "x.engine"))
    assert not again.identical
    assert again.differences == ["backend version 10.3.0 -> 11.4.0.106"]


PINNED = ("IBuilderConfig.set_flag", "BuilderFlag.ERROR_ON_TIMING_CACHE_MISS")
TIMINGS = "tensorrt-10.3.0-nvidia-rtx-a2000-sm86.cache"


@pytest.fixture
def built(small_onnx: Path, tmp_path: Path, install: Callable[..., Any]) -> Path:
    """The passport of an engine that a double of TensorRT 10.3 built."""
    module, out = install("tensorrt 10.3.0"), tmp_path / "x.engine"
    build_engine(small_onnx, BuildOptions("fp16", "tensorrt", out=out))
    assert PINNED not in module.calls
    return passport_path(out)


@pytest.mark.parametrize("key", TENSORRT_VERSIONS)
def test_tactics_are_held_to_the_timings_of_the_passport(
    key: str, small_onnx: Path, tmp_path: Path, install: Callable[..., Any], own_cache: Path
) -> None:
    module, said = install(key), []
    build_engine(small_onnx, BuildOptions("fp16", "tensorrt", out=tmp_path / "x.engine"))
    timings = EngineArtifact.read(tmp_path / "x.engine.json").timings
    assert timings is not None
    kept = own_cache / "timing" / timings.file
    assert timings.sha256 == hashlib.sha256(kept.read_bytes()).hexdigest()
    module.calls.clear()
    assert rebuild_engine(tmp_path / "x.engine.json", say=said.append).identical
    calls = [call for call in module.calls if call[0].startswith(("IBuilderConfig.set_", "Builder.build_ser"))]
    assert [call[0] for call in calls[-3:]] == [
        "IBuilderConfig.set_timing_cache",
        "IBuilderConfig.set_flag",
        "Builder.build_serialized_network",
    ]
    assert calls[-2] == PINNED
    assert said[0] == f"tactics are taken from the kept timings {kept}"


def test_timings_that_others_have_written_to_are_used_and_told(
    built: Path, install: Callable[..., Any], own_cache: Path
) -> None:
    module, said = install("tensorrt 10.3.0"), []
    (own_cache / "timing" / TIMINGS).write_bytes(b"timings of more networks")
    rebuild_engine(built, say=said.append)
    assert ("IBuilderConfig.create_timing_cache", b"timings of more networks") in module.calls
    assert PINNED in module.calls
    assert said[0].endswith("which other builds have written to since")


@pytest.mark.parametrize("case", ["older passport", "deleted", "other TensorRT", "other GPU", "no flag"])
def test_without_the_timings_tactics_are_chosen_anew_and_it_is_said(
    case: str, built: Path, install: Callable[..., Any], own_cache: Path
) -> None:
    other_gpu = {"gpu": ORIN} if case == "other GPU" else {}
    module, said = install("tensorrt 11.4.0.106" if case == "other TensorRT" else "tensorrt 10.3.0", **other_gpu), []
    if case == "older passport":
        EngineArtifact.read(built).model_copy(update={"timings": None}).write(built)
    elif case == "deleted":
        (own_cache / "timing" / TIMINGS).unlink()
    elif case == "no flag":
        module.api["BuilderFlag"].remove("ERROR_ON_TIMING_CACHE_MISS")
    rebuild_engine(built, say=said.append)
    assert PINNED not in module.calls
    why = {
        "older passport": "the passport records no kernel timings",
        "deleted": f"no longer at {own_cache / 'timing' / TIMINGS}",
        "no flag": "TensorRT 10.3.0 cannot be held to kept timings",
    }
    assert "tactics are chosen anew" in said[0]
    assert said[0].endswith(why.get(case, f"the passport's timings, {TIMINGS}, are of another TensorRT or GPU"))


def test_a_kernel_that_the_timings_lack_is_told_and_all_are_chosen_anew(
    built: Path, install: Callable[..., Any], capsys: pytest.CaptureFixture[str], small_onnx: Path
) -> None:
    module = install("tensorrt 10.3.0", plan=b"other bytes")
    module.lacks_timings = True
    assert run(["build-engine", "--from-passport", str(built)]) == 0
    out, err = (" ".join(text.split()) for text in capsys.readouterr())
    assert "a tactic is not in the timing cache" in err
    assert "tactics are chosen anew" in err
    new = hashlib.sha256(b"other bytes").hexdigest()
    assert f"{new[:12]} needs a new one next: edgeseg verify {built.with_suffix('')} --reference {small_onnx}" in out


def test_a_build_that_fails_for_another_reason_says_that_reason(built: Path, install: Callable[..., Any]) -> None:
    install("tensorrt 10.3.0", plan=None)
    with pytest.raises(BadInputError, match="cannot build an engine") as caught:
        rebuild_engine(built)
    assert caught.value.found == "out of memory"


def test_equal_bytes_keep_their_verdict_and_others_need_a_new_one(
    built: Path, install: Callable[..., Any], small_onnx: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert typed(capsys, "build-engine", "--from-passport", built)[1]["next_command"] is None
    assert run(["build-engine", "--from-passport", str(built)]) == 0
    said = capsys.readouterr().out
    assert f"(sha256 {hashlib.sha256(b'plan').hexdigest()[:12]}), so its verdict holds" in " ".join(said.split())
    install("tensorrt 10.3.0", plan=b"other bytes")
    document = typed(capsys, "build-engine", "--from-passport", built)[1]
    command = f"edgeseg verify {built.with_suffix('')} --reference {small_onnx} --data DIR"
    assert (document["identical"], document["next_command"]) == (False, command)
