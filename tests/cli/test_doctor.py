"""`edgeseg doctor`, as a user types it."""

import json

import pytest

from edgeseg.cli import run
from edgeseg.machine.doctor.checks import DoctorReport


def test_the_report_for_a_person(capsys) -> None:
    assert run(["doctor"]) == 0
    text = capsys.readouterr().out
    for words in ("base", "onnxruntime", "auto takes", "the base path works", "/dev/shm"):
        assert words in text
    assert max(map(len, text.splitlines())) < 400


def test_the_report_as_json(capsys) -> None:
    assert run(["doctor", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document.pop("works"), document.pop("base_works")) == (True, True)
    assert (document.pop("demanded"), document.pop("lacking")) == ([], [])
    report = DoctorReport.from_json(json.dumps(document))
    assert report.backend("onnxruntime").runs
    assert all(check.next_command for check in report.checks if check.broken)


def test_a_backend_that_is_demanded(capsys) -> None:
    assert run(["doctor", "--backend", "onnxruntime"]) == 0
    if DoctorReport.from_json(plain_report(capsys)).backend("tensorrt").runs:
        pytest.skip("TensorRT runs here")
    assert run(["doctor", "--backend", "tensorrt", "--json"]) == 4
    captured = capsys.readouterr()
    assert json.loads(captured.out)["lacking"] == ["tensorrt"]
    assert "tensorrt was asked for: " in captured.err
    assert "next: " in captured.err and "next: None" not in captured.err


def plain_report(capsys) -> str:
    capsys.readouterr()
    run(["doctor", "--json"])
    document = json.loads(capsys.readouterr().out)
    return json.dumps({key: value for key, value in document.items() if key in DoctorReport.model_fields})


def test_a_base_that_does_not_work_is_4(capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgeseg.machine.doctor import machine_view as view

    installed = view.installed_version
    monkeypatch.setattr(view, "installed_version", lambda name: None if name == "onnx" else installed(name))
    assert run(["doctor"]) == 4
    assert "the base path does not work: onnx" in capsys.readouterr().out
    assert run(["doctor", "--qualify", "--json"]) == 4
    assert json.loads(capsys.readouterr().out)["found"] == "onnx: not installed"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--backend", "no-such"], "--backend no-such is not one of onnxruntime, openvino, tensorrt, tensorrt-rtx"),
        (["--qualify", "--precision", "int4"], "--precision int4 is not one of fp32, fp16, int8"),
        (["--data", "x", "--out", "y"], "--data, --out: use with --qualify only"),
        (["model.onnx"], "MODEL: use with --qualify only"),
    ],
)
def test_usage(arguments: list[str], words: str, capsys) -> None:
    assert run(["doctor", *arguments]) == 2
    assert words in capsys.readouterr().err
