"""A shell completes commands, flags and values, through the scripts and the protocol that typer gives each shell."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from edgeseg.cli import commands
from edgeseg.cli.registry_options import NAMES

TYPED = [
    ("bu", {"build-engine"}),
    ("data sta", {"statistics"}),
    ("build-engine --precision-", {"--precision-plan"}),
    ("build-engine model.onnx --precision ", {"fp16", "fp32", "int8"}),
    ("build-engine model.onnx --backend o", {"onnxruntime", "openvino"}),
]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with `edgeseg` as a program, which starts this tree's."""
    program = tmp_path / "bin" / "edgeseg"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\nfrom edgeseg.cli import main\nmain()\n")
    program.chmod(0o755)
    return tmp_path


def told(home: Path, *command: str, **variables: str) -> str:
    """The standard output of a program that finds `edgeseg` first on its path."""
    path = f"{home / 'bin'}{os.pathsep}{os.environ['PATH']}"
    tree = str(Path(__file__).parents[2])
    return subprocess.run(
        command, capture_output=True, text=True, check=True,
        env={**os.environ, "PATH": path, "HOME": str(home), "PYTHONPATH": tree, **variables},
    ).stdout  # fmt: skip


@pytest.mark.slow
def test_bash_completes_what_is_typed(home: Path) -> None:
    lines = ['eval "$(_EDGESEG_COMPLETE=source_bash edgeseg)"']
    for typed, _ in TYPED:
        words = ["edgeseg", *typed.split(" ")]
        quoted = " ".join(f"'{word}'" for word in words)
        lines += [f"COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; COMPREPLY=()", "_edgeseg_completion edgeseg"]
        lines += ["printf '%s ' \"${COMPREPLY[@]}\"; echo"]
    lines += ["complete -p edgeseg"]
    *found, registered = told(home, shutil.which("bash") or "bash", "-c", "\n".join(lines)).splitlines()
    for (typed, expected), line in zip(TYPED, found, strict=True):
        assert set(line.split()) == expected, typed
    assert "-F _edgeseg_completion edgeseg" in registered


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shell", "variables"),
    [("zsh", {}), ("fish", {"_TYPER_COMPLETE_FISH_ACTION": "get-args"})],
)
def test_the_other_shells_are_answered_in_their_own_form(home: Path, shell: str, variables: dict[str, str]) -> None:
    line = "edgeseg build-engine model.onnx --backend o"
    variables = {"_EDGESEG_COMPLETE": f"complete_{shell}", "_TYPER_COMPLETE_ARGS": line, **variables}
    said = told(home, "edgeseg", **variables)
    assert "onnxruntime" in said and "openvino" in said and "tensorrt" not in said
    script = told(home, "edgeseg", _EDGESEG_COMPLETE=f"source_{shell}")
    assert f"_EDGESEG_COMPLETE=complete_{shell}" in script and ("#compdef edgeseg" in script) == (shell == "zsh")


def test_every_option_with_names_of_a_registry_completes_them() -> None:
    asked = 0
    for command in typer.main.get_command(commands.app).commands.values():
        for parameter in getattr(command, "params", ()):
            if parameter.name in NAMES and hasattr(command, "name_choices"):
                context = command.make_context(command.name, [], resilient_parsing=True)
                values = {item.value for item in parameter.shell_complete(context, "")}
                assert values == set(NAMES[parameter.name]()), (command.name, parameter.name)
                asked += 1
    assert asked >= 4
