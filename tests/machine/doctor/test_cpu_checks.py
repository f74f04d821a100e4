import json
import subprocess
import sys
from typing import Any

import onnx
import pytest

from edgeseg.graph.onnx_files import serialize
from edgeseg.machine.doctor.cpu_checks import check_int8
from edgeseg.machine.doctor.int8_worth import typical_network

SERVER = {"flags": ["avx2", "avx512f", "avx512_vnni"], "wrong": [], "saturates": False, "ratio": 0.55}
CASES: list[tuple[dict[str, Any], str, str]] = [
    (SERVER, "ok", "AVX2, AVX-512, AVX-512 VNNI; sums are exact; INT8 takes 0.55 of float32's time"),
    ({"flags": ["avx2"], "wrong": [], "saturates": True, "ratio": 0.8}, "ok", "AVX2; sums of two products saturate"),
    ({"flags": ["avx2"], "wrong": [], "saturates": True, "ratio": 1.1}, "advice", "INT8 takes 1.10"),
    ({"flags": [], "wrong": [], "saturates": False, "ratio": 0.9}, "ok", "no instruction set that is known"),
    (
        {"flags": ["amx_int8"], "wrong": ["tiles: off"], "saturates": False, "ratio": None},
        "wrong version",
        "tiles: off",
    ),
    ({"missing": "not installed"}, "unknown", "not installed"),
]


@pytest.mark.parametrize(("answer", "status", "words"), CASES)
def test_what_the_doctor_says_of_int8(answer: dict[str, Any], status: str, words: str) -> None:
    check = check_int8(answer)
    assert (check.status, check.part) == (status, "base")
    assert words in check.found
    assert (check.next_command is not None) == (status in ("advice", "wrong version"))


def test_the_probe_answers_on_this_machine() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "edgeseg.machine.doctor.loading_probes", "int8"],
        capture_output=True,
        text=True,
        check=True,
    )
    answer = json.loads(done.stdout)
    assert answer["wrong"] == []
    assert 0.05 < answer["ratio"] < 20


def test_the_typical_network_is_a_contract_graph() -> None:
    artifact = typical_network()
    onnx.checker.check_model(artifact.proto, full_check=True)
    assert len(serialize(artifact.proto)) > 10_000
