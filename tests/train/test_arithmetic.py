import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from edgeseg.errors import MissingComponentError
from edgeseg.train import arithmetic
from edgeseg.train.arithmetic import Machine, settle, settled, step_timer, this_machine
from edgeseg.train.recipe import ConcretePrecision, Recipe, read_recipe
from edgeseg.train.record import RunRecord
from edgeseg.train.training import train

ROOT = Path(__file__).parents[2]
OLDER = ROOT / ".cache" / "older-processor"


def cpu(processor: str, *features: str) -> Machine:
    return Machine("cpu", processor, frozenset(features))  # type: ignore[arg-type]


AVX2 = cpu("x86", "avx2", "fma3")
BF16_CPU = cpu("x86", "avx2", "avx512_f", "avx512_bf16")
FAST_GPU, OLD_GPU = Machine("cuda", gpu_bf16=True), Machine("cuda")


def never(precision: ConcretePrecision) -> float:
    raise AssertionError(f"nothing is in doubt, yet {precision} was timed")


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        (FAST_GPU, "bf16-mixed"),
        (OLD_GPU, "32-true"),
        (Machine("mps"), "32-true"),
        (BF16_CPU, "bf16-mixed"),
        (cpu("x86", "avx512_f", "amx_bf16"), "bf16-mixed"),
        (AVX2, "32-true"),
        (cpu("x86", "avx512_f", "avx512_vnni"), "32-true"),  # oneDNN takes bf16 there, and emulates it
        (cpu("arm64", "neon", "fp16_arith"), "32-true"),
    ],
)
def test_a_machine_that_says_what_it_has_is_taken_at_its_word(machine: Machine, expected: str) -> None:
    chosen = settle("auto", machine, never)
    assert chosen.precision == expected
    assert chosen.worth_saying
    assert ("has BF16 instructions" in chosen.reason) == (expected == "bf16-mixed")
    assert str(chosen) == f"precision {expected}: {chosen.reason}"


@pytest.mark.parametrize(
    "machine",
    [
        cpu("arm64", "neon", "bf16"),
        cpu("x86", "avx2", "avx_ne_convert"),
        cpu("other"),
        Machine("cpu", "x86", None),
    ],
)
@pytest.mark.parametrize(("bf16_s", "expected"), [(0.5, "bf16-mixed"), (1.0, "32-true"), (9.0, "32-true")])
def test_where_it_is_in_doubt_steps_are_timed(machine: Machine, bf16_s: float, expected: str) -> None:
    chosen = settle("auto", machine, lambda precision: {"32-true": 1.0, "bf16-mixed": bf16_s}[precision])
    assert chosen.precision == expected
    assert f"{bf16_s:.2g} s in bf16 and 1 s in float32" in chosen.reason


def test_several_processes_time_nothing_and_take_what_all_can_compute() -> None:
    assert settle("auto", cpu("arm64", "bf16"), None).precision == "32-true"
    assert settle("auto", BF16_CPU, None).precision == "bf16-mixed"


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_resumed_training_keeps_its_precision(precision: ConcretePrecision) -> None:
    for machine in (AVX2, BF16_CPU, FAST_GPU, cpu("arm64", "bf16")):
        for asked in ("auto", precision):
            assert settle(asked, machine, never, kept=precision).precision == precision


def test_emulated_bf16_is_done_where_it_was_asked_for_and_said_to_be_slow() -> None:
    for kept, words in ((None, "the recipe asks for it"), ("bf16-mixed", "the training began in it")):
        chosen = settle("bf16-mixed", AVX2, never, kept)  # type: ignore[arg-type]
        assert chosen.precision == "bf16-mixed"
        assert chosen.worth_saying
        assert chosen.reason.startswith(words)
        assert "ten times" in chosen.reason
    assert not settle("bf16-mixed", BF16_CPU, never).worth_saying
    assert not settle("32-true", BF16_CPU, never).worth_saying


@pytest.mark.parametrize("machine", [AVX2, BF16_CPU, Machine("mps")])
def test_fp16_needs_a_gpu(machine: Machine) -> None:
    assert settle("16-mixed", OLD_GPU, never).precision == "16-mixed"
    with pytest.raises(MissingComponentError, match="16-mixed needs a GPU") as caught:
        settle("16-mixed", machine, never)
    assert "training.precision=auto" in (caught.value.next_command or "")
    with pytest.raises(MissingComponentError, match="16-mixed needs a GPU") as caught:
        settle("auto", machine, never, kept="16-mixed")
    assert "--start RUN" in (caught.value.next_command or "")


def test_the_run_keeps_the_choice_and_the_reason(
    blobs: Path, tmp_path: Path, tiny_recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = tiny_recipe.training.model_copy(update={"precision": "auto", "epochs": 1})
    recipe, run, lines = tiny_recipe.model_copy(update={"training": training}), tmp_path / "run", list[str]()
    monkeypatch.setattr(arithmetic, "this_machine", lambda: BF16_CPU)
    train(blobs, run, recipe, say=lines.append)
    assert [line for line in lines if "precision" in line] == [
        "precision bf16-mixed: this processor has BF16 instructions"
    ]
    assert read_recipe(run / "recipe.toml").training.precision == "bf16-mixed"
    record = RunRecord.read(run / "run.json")
    assert record.precision_reason == "this processor has BF16 instructions"

    monkeypatch.setattr(arithmetic, "this_machine", lambda: AVX2)
    lines.clear()
    assert train(blobs, run, recipe, resume=True, say=lines.append) == record  # the recipe may still say auto
    assert [line for line in lines if "precision bf16-mixed: the training began in it" in line] == lines


def test_the_timer_times_a_step_of_the_recipes_network(tiny_recipe: Recipe) -> None:
    seconds = step_timer(tiny_recipe)
    assert 0 < seconds("32-true") < 60
    assert 0 < seconds("bf16-mixed") < 60


@pytest.mark.parametrize(("capability", "expected"), [((7, 5), False), ((8, 0), True), ((12, 0), True)])
def test_a_gpu_is_asked_for_its_compute_capability(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], expected: bool
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: not including_emulation)
    assert this_machine() == Machine("cuda", gpu_bf16=expected)


@pytest.mark.parametrize(
    ("name", "capabilities", "expected"),
    [
        ("x86_64", {"avx2": True, "avx512_bf16": False, "cpu_name": "X"}, cpu("x86", "avx2")),
        ("aarch64", {"neon": True, "bf16": True, "sve_max_length": 16}, cpu("arm64", "neon", "bf16")),
        ("riscv64", {}, cpu("other")),
        ("x86_64", None, Machine("cpu", "x86", None)),
    ],
)
def test_a_processor_is_asked_for_its_instruction_sets(
    monkeypatch: pytest.MonkeyPatch, name: str, capabilities: dict[str, object] | None, expected: Machine
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(arithmetic.platform, "machine", lambda: name)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    if capabilities is None:  # an older torch
        monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert this_machine() == expected


def test_this_machine_says_something_that_settles() -> None:
    recipe, chosen = settled(Recipe())
    assert recipe.training.precision == chosen.precision != "auto"
    machine = this_machine()
    if machine.bf16 is not None:
        assert chosen.precision == ("bf16-mixed" if machine.bf16 else "32-true")


def test_a_processor_with_avx2_alone_trains_in_float32() -> None:
    """On copies of torch that behave as on such a processor (tests/older_processor)."""
    if not (OLDER / "cpuid_mask.so").is_file():
        pytest.skip(f"nothing in {OLDER}: make older-processor")
    code = "from edgeseg.train.arithmetic import settled; from edgeseg.train.recipe import Recipe; import torch"
    code += "; print(torch.backends.cpu.get_cpu_capability(), settled(Recipe())[1])"
    as_avx2 = str(ROOT / "tests" / "older_processor" / "as_avx2")
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    result = subprocess.run(
        [as_avx2, sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert result.stdout == "AVX2 precision 32-true: this processor has no BF16 instructions\n"
