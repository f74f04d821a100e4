"""Networks of a few convolutions, advised end to end: engines, page, JSON, what is taken over, what is refused."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from PIL import Image

from edgeseg.artifacts import EngineArtifact
from edgeseg.cli import run
from edgeseg.errors import BadInputError, MismatchError, MissingComponentError, UsageError
from edgeseg.machine.advise.advice_values import Advice, AdviseOptions
from edgeseg.machine.advise.advising import advise
from edgeseg.machine.doctor.checks import DoctorReport
from edgeseg.runtime.passport.passports import passport_path, read_checked
from tests.export.mixing.conftest import CHAIN, Chain

Lay = Callable[..., Path]

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture
def options(tmp_path: Path, squares_data: Path) -> AdviseOptions:
    return AdviseOptions(squares_data, out=tmp_path / "advice", seconds=0.2)


def names(advice: Advice) -> dict[str, object]:
    return {one.name: one.holds for one in advice.candidates}


def test_every_precision_is_weighed_and_the_engine_named_is_there(
    chain: Chain, lay: Lay, options: AdviseOptions, machine: DoctorReport
) -> None:
    model = lay(chain)
    advice = advise(model, options, machine)
    assert names(advice) == {f"onnxruntime {kind}": True for kind in ("fp32", "fp16", "int8")}  # nothing had to go back
    assert advice == Advice.read(options.out / "advice.json")
    assert advice.engine is not None
    passport = read_checked(Path(advice.engine))[1]
    advised = advice.find(advice.advised)
    assert advised is not None and passport.engine_sha256 == advised.engine_sha256
    assert len(advice.searches[0].record.tried_alone) == len(CHAIN)
    assert [one.backend for one in advice.absent] == ["tensorrt-rtx"]
    assert any("Not executed here, so no time is told: tensorrt-rtx" in line for line in advice.sentences)
    assert advice.timing is not None and advice.timing.rounds >= 15
    page = (options.out / "advice.html").read_text()
    assert advice.headline in page and "http" not in page.replace("http://www.w3.org", "")
    of_engine = [command for command in advice.next_commands if not command.startswith("edgeseg advise ")]
    assert [command.split()[1] for command in of_engine] == ["verify", "bench", "run", "live"]
    assert all(shlex.quote(advice.engine) in command for command in of_engine)


def test_the_mix_that_holds_leaves_the_harmful_layer_float(
    chain: Chain, lay: Lay, options: AdviseOptions, machine: DoctorReport
) -> None:
    chain.spread_weights("c")
    advice = advise(lay(chain), options, machine)
    assert names(advice) == {
        "onnxruntime fp32": True,
        "onnxruntime fp16": True,
        "onnxruntime mixed": True,
        "onnxruntime int8": False,
    }
    [search] = advice.searches
    assert [sent.layer for sent in search.record.sent_back] == ["c"]
    assert search.record.tried_alone[0].layer == "c"
    mixed = advice.find("onnxruntime mixed")
    assert mixed is not None and mixed.int8_convolutions == len(CHAIN) - 1
    assert masks_are_right(options.out / str(mixed.file), options.data / "test")
    assert "went back to fp32" in (options.out / "advice.html").read_text()


def masks_are_right(engine: Path, folder: Path) -> bool:
    """By ONNX Runtime and Pillow alone."""
    session = onnxruntime.InferenceSession(engine.read_bytes(), providers=["CPUExecutionProvider"])
    for path in sorted((folder / "images").iterdir()):
        found = session.run(None, {"frame": np.asarray(Image.open(path))[np.newaxis]})[0][0, 0] >= 0.5
        if not np.array_equal(found, np.asarray(Image.open(folder / "masks" / path.name)) > 0):
            return False
    return True


def test_no_mix_holds_and_the_search_is_told_all_the_same(
    chain: Chain, lay: Lay, options: AdviseOptions, machine: DoctorReport
) -> None:
    for layer in CHAIN:
        chain.spread_weights(layer)
    advice = advise(lay(chain), options, machine)
    mixed = advice.find("onnxruntime mixed")
    assert mixed is not None and (mixed.file, mixed.holds) == (None, None)
    assert "no mix of INT8 and fp32 that was tried holds the limits" in mixed.reasons[0]
    assert [search.holds for search in advice.searches] == [False]
    assert advice.int8_worth in (False, None)  # None where this machine is too noisy to tell float32 and FP16 apart
    assert "No mix that was tried holds the limits" in (options.out / "advice.html").read_text()


def test_a_second_run_takes_over_the_engines(
    chain: Chain, lay: Lay, options: AdviseOptions, machine: DoctorReport
) -> None:
    model = lay(chain, with_table=False)  # so that one is made of the train split
    advise(model, options, machine)
    written = {path.name: path.stat().st_mtime_ns for path in options.out.iterdir()}
    assert "net.calibration.json" in written
    said: list[str] = []
    advise(model, options, machine, say=said.append)
    again = {path.name: path.stat().st_mtime_ns for path in options.out.iterdir()}
    changed = {name for name in again if again[name] != written[name]}
    assert changed == {"advice.html", "advice.json"}
    assert sum("taken over" in line for line in said) == 4
    chain.biases["last"] = np.array([-9], np.float32)  # other weights: nothing fits any more
    chain.spread_weights("a")
    advise(lay(chain, with_table=False), options, machine, say=said.append)
    assert sum("taken over" in line for line in said) == 4


def test_what_is_stopped_leaves_whole_engines_and_no_advice(
    chain: Chain, lay: Lay, options: AdviseOptions, machine: DoctorReport
) -> None:
    model = lay(chain)

    def stop(at: str) -> Callable[[str], None]:
        def say(line: str) -> None:
            if at in line:
                raise KeyboardInterrupt

        return say

    with pytest.raises(KeyboardInterrupt):
        advise(model, options, machine, say=stop("fp32: building"))
    assert not options.out.exists()
    with pytest.raises(KeyboardInterrupt):
        advise(model, options, machine, say=stop("timing"))
    left = sorted(path.name for path in options.out.iterdir())
    engines = [name for name in left if name.endswith(".engine")]
    assert left == sorted([*engines, *(f"{name}.json" for name in engines)]) and len(engines) == 4
    for name in engines:
        assert isinstance(read_checked(options.out / name)[1], EngineArtifact)


def test_without_a_table_and_a_train_split_int8_is_left_out(
    chain: Chain, lay: Lay, options: AdviseOptions, machine: DoctorReport
) -> None:
    whole = AdviseOptions(options.data / "test", out=options.out, seconds=0.2)
    advice = advise(lay(chain, with_table=False), whole, machine)
    assert names(advice)["onnxruntime int8"] is None
    assert any("edgeseg calibrate" in line for line in advice.sentences)
    assert advice.int8_worth is None


def test_pictures_that_chose_and_judge_are_told(
    chain: Chain, lay: Lay, options: AdviseOptions, machine: DoctorReport
) -> None:
    chain.spread_weights("c")
    whole = AdviseOptions(options.data / "test", out=options.out, seconds=0.2)
    advice = advise(lay(chain), whole, machine)
    assert any("the very pictures that judge it" in line for line in advice.sentences)


def test_what_cannot_be_used_is_refused_and_leaves_nothing(
    chain: Chain, lay: Lay, options: AdviseOptions, machine: DoctorReport, tmp_path: Path
) -> None:
    model, data, out = lay(chain), options.data, options.out
    engine_only = tmp_path / "x.engine"
    engine_only.write_bytes(b"x")
    stranger = Chain()
    stranger.spread_weights("a")
    other = stranger.save(tmp_path / "other" / "other.onnx")
    table = tmp_path / "net.calibration.json"
    for error, named, wanted in (
        (BadInputError, tmp_path / "nothing.onnx", AdviseOptions(data, out=out)),
        (BadInputError, engine_only, AdviseOptions(data, out=out)),
        (BadInputError, model, AdviseOptions(tmp_path / "nothing", out=out)),
        (BadInputError, model, AdviseOptions(data, split="trial", out=out)),
        (BadInputError, model, AdviseOptions(data, out=engine_only)),
        (MismatchError, other, AdviseOptions(data, out=out, calibration=table)),
        (MissingComponentError, model, AdviseOptions(data, out=out, backends=("tensorrt-rtx",))),
        (UsageError, model, AdviseOptions(data, out=out, max_dice_drop=float("nan"))),
        (UsageError, model, AdviseOptions(data, out=out, max_lost_polyps=-1)),
    ):
        with pytest.raises(error):
            advise(named, wanted, machine)
        assert not out.exists()


def test_the_command(
    chain: Chain, lay: Lay, options: AdviseOptions, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["advise", str(lay(chain)), "--data", str(options.data), "--out", str(options.out), "--seconds", "0.2"]
    only = ["--backend", "onnxruntime"]
    code = run([*words, *only, "--json"])
    printed = capsys.readouterr()
    advice = json.loads(printed.out)
    assert code == (0 if advice["answer"] == "ship" else 3)
    assert "wrote" in printed.err and advice["candidates"][0]["over_float32"] is None
    assert run([*words, *only, "--max-dice-drop", "-0.5"]) == 3  # a gain that nothing brings
    printed = capsys.readouterr()
    assert printed.out.startswith("Nothing holds the limits")
    assert "edgeseg evaluate" in printed.out
    assert run([*words, "--backend", "abacus"]) == 2
    assert run([*words[:2], "--out", str(options.out)]) == 2


def test_verify_agrees_with_the_advice_and_names_advise_where_int8_fails(
    chain: Chain, lay: Lay, options: AdviseOptions, machine: DoctorReport, capsys: pytest.CaptureFixture[str]
) -> None:
    chain.spread_weights("c")
    model = lay(chain)
    advice = advise(model, options, machine)
    for one in advice.candidates:
        engine = options.out / str(one.file)
        words = ["verify", str(engine), "--reference", str(model), "--data", str(options.data)]
        assert run([*words, "--json"]) == (0 if one.holds else 3)
        verdict = json.loads(capsys.readouterr().out)
        assert verdict["mean_dice_drop"] == one.mean_dice_drop
        assert verdict["polyps"]["lost"]["count"] == (one.lost.count if one.lost else None)
        expected = (
            None if one.holds else f"edgeseg advise {shlex.quote(str(model))} --data {shlex.quote(str(options.data))}"
        )
        assert verdict["next_command"] == expected
        assert EngineArtifact.read(passport_path(engine)).engine_sha256 == verdict["engine_sha256"]


def test_a_reference_of_nan_is_refused_and_taken_for_no_engines_fault(
    chain: Chain, lay: Lay, options: AdviseOptions, machine: DoctorReport
) -> None:
    chain.biases["e"][0] = np.nan
    model, whole = lay(chain, with_table=False), AdviseOptions(options.data / "test", out=options.out, seconds=0.2)
    with pytest.raises(BadInputError, match="not finite"):
        advise(model, whole, machine)
    assert not (options.out / "advice.json").exists()
