"""Other packages' liberties are settled before they are imported, in every way that edgeseg is started."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from edgeseg.optional import require
from edgeseg.third_parties import ENFORCED, SCRATCH, settle_environment

ROOT = Path(__file__).parents[2]
SWITCH = "ORT_DISABLE_TELEMETRY"
FOLDERS = ("edgeseg", "train", "export", "calibration", "runtime", "benchmarks", "ci")


def children_environment(code: str, **environment: str) -> dict[str, str]:
    """Give what `code` finds in its environment after it has run; it prints nothing itself."""
    command = [sys.executable, "-c", f"{code}; import json, os; print(json.dumps(dict(os.environ)))"]
    plain = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": "/nowhere"}
    done = subprocess.run(command, env=plain | environment, capture_output=True, text=True, check=True)
    found: dict[str, str] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("chosen", [{}, {SWITCH: "0"}, {SWITCH: ""}])
def test_importing_the_package_switches_telemetry_off_whatever_was_set(chosen: dict[str, str]) -> None:
    assert children_environment("import edgeseg", **chosen)[SWITCH] == "1"


@pytest.mark.parametrize("chosen", [{}, {"RAY_USAGE_STATS_ENABLED": "1"}])
def test_importing_the_package_switches_the_reports_of_ray_off(chosen: dict[str, str]) -> None:
    """`ray` reads it by `usage_lib.usage_stats_enabledness`, where "0" alone means off."""
    assert children_environment("import edgeseg", **chosen)["RAY_USAGE_STATS_ENABLED"] == "0"


def test_a_folder_that_the_user_has_chosen_is_kept_to() -> None:
    found = children_environment("import edgeseg", MPLCONFIGDIR="/mine", CUDA_CACHE_PATH="/cuda", TMPDIR="/temporary")
    assert (found["MPLCONFIGDIR"], found["CUDA_CACHE_PATH"]) == ("/mine", "/cuda")
    assert re.fullmatch(r"/temporary/edgeseg-[0-9a-f]{24}/torchinductor", found["TORCHINDUCTOR_CACHE_DIR"])


def test_what_the_driver_compiles_is_kept_in_our_cache() -> None:
    assert children_environment("import edgeseg", XDG_CACHE_HOME="/c")["CUDA_CACHE_PATH"] == "/c/edgeseg/cuda"
    assert children_environment("import edgeseg")["CUDA_CACHE_PATH"] == "/nowhere/.cache/edgeseg/cuda"


def test_a_process_and_its_children_share_one_scratch_folder_and_another_has_another() -> None:
    first, second = {}, {}
    settle_environment(first)
    inherited = dict(first)
    settle_environment(inherited)
    settle_environment(second)
    assert inherited == first
    assert not {first[name] for name in SCRATCH} & {second[name] for name in SCRATCH}
    assert not Path(first["MPLCONFIGDIR"]).parent.exists(), "nothing is made before it is needed"


def test_the_scratch_folder_ends_with_the_process(tmp_path: Path) -> None:
    code = "import edgeseg, os; os.makedirs(os.environ['MPLCONFIGDIR'])"
    folder = Path(children_environment(code, TMPDIR=str(tmp_path))["MPLCONFIGDIR"])
    assert folder.is_relative_to(tmp_path) and list(tmp_path.iterdir()) == []


def test_a_fork_leaves_the_scratch_folder_to_its_parent(tmp_path: Path) -> None:
    code = "import edgeseg, os, sys; folder = os.environ['MPLCONFIGDIR']; os.makedirs(folder); "
    code += "child = os.fork(); child or sys.exit(); os.waitpid(child, 0); assert os.path.isdir(folder)"
    assert children_environment(code, TMPDIR=str(tmp_path))


def test_programs_are_found_again_after_matplotlib_was_imported() -> None:
    pytest.importorskip("matplotlib", reason="plots need the extra `bench`")
    path = os.environ["PATH"]
    require("matplotlib.figure")
    assert os.environ["PATH"] == path


def imports_of(path: Path, package: str) -> list[int]:
    """Lines at which a module imports a package by a statement or by importlib."""
    lines = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        elif isinstance(node, ast.Call) and re.search(r"import_module|__import__", ast.dump(node.func)):
            names = [word.value for word in node.args if isinstance(word, ast.Constant) and isinstance(word.value, str)]
        else:
            continue
        lines += [node.lineno for name in names if name.partition(".")[0] == package]
    return lines


def test_modules_come_to_onnxruntime_by_require_alone(tmp_path: Path) -> None:
    modules = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
    assert len(modules) > 200
    apart = ROOT / "benchmarks" / "int8_quantisers.py"  # runs where edgeseg is not installed
    assert f'os.environ["{SWITCH}"] = "1"' in apart.read_text().partition("def ")[0]
    assert [path for path in modules if imports_of(path, "onnxruntime")] == [apart]
    sample = tmp_path / "sample.py"
    sample.write_text(
        "import onnxruntime as ort\nfrom onnxruntime.quantization import x\nimport importlib\n"
        "importlib.import_module('onnxruntime.capi')\n__import__('onnxruntime')\nimport onnxruntime_extensions\n"
    )
    assert imports_of(sample, "onnxruntime") == [1, 2, 4, 5]


def test_no_module_imports_openvino_past_what_keeps_it_silent() -> None:
    modules = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
    assert {str(path): lines for path in modules if (lines := imports_of(path, "openvino"))} == {}


def test_edgeseg_is_there_before_a_test_imports_onnxruntime() -> None:
    """pytest loads tests/conftest.py before any test module."""
    conftest = ROOT / "tests" / "conftest.py"
    assert imports_of(conftest, "edgeseg") and not imports_of(conftest, "onnxruntime")
    assert os.environ[SWITCH] == "1"


def test_unit_images_container_makefile_and_gpu_run_say_so_as_well() -> None:
    assert ENFORCED == {SWITCH: "1"}
    unit = (ROOT / "deploy" / "edgeseg-live.service").read_text()
    assert re.search(rf"^Environment=.*\b{SWITCH}=1$", unit, re.MULTILINE)
    assert re.search(
        rf"environment:\n(?: +\w.*\n)*? +{SWITCH}: \"1\"\n", (ROOT / "deploy" / "compose.yaml").read_text()
    )
    for path in (ROOT / "docker").glob("Dockerfile.*"):
        final_stage = path.read_text().rpartition("\nFROM ")[2]
        assert f"    {SWITCH}=1 \\\n" in final_stage.partition("\nUSER ")[0], path.name
    assert f"\nexport {SWITCH} := 1\n" in (ROOT / "Makefile").read_text()
    assert f'"{SWITCH}": "1",\n' in (ROOT / "ci" / "gpu.py").read_text()
