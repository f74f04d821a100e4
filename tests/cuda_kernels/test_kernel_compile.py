"""The kernels under nvcc (no GPU needed): every architecture compiles without spills; the cache; what is refused."""

from __future__ import annotations

import re
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeseg.errors import BadInputError, MissingComponentError
from edgeseg.runtime.cuda.kernels import compile as compilation
from edgeseg.runtime.cuda.kernels.parameters import MAP_KERNEL, MASK_KERNEL, PREPROCESS_KERNELS

KERNELS = {*PREPROCESS_KERNELS.values(), MASK_KERNEL, MAP_KERNEL}
MAX_REGISTERS = 64
"""Four blocks of 256 threads share the 65536 registers of a multiprocessor."""
MAX_SHARED_BYTES = 32 * 1024
"""Two blocks on a multiprocessor with 64 KB (compute capability 7.5)."""


@pytest.fixture
def nvcc() -> Path:
    try:
        return compilation.find_nvcc()
    except MissingComponentError as error:
        pytest.skip(str(error))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    compilation.nvcc_version.cache_clear()
    yield tmp_path / "cache" / "edgeseg"
    compilation.nvcc_version.cache_clear()


def false_nvcc(folder: Path, script: str) -> Path:
    """A CUDA_HOME whose nvcc is a shell script."""
    nvcc = folder / "toolkit" / "bin" / "nvcc"
    nvcc.parent.mkdir(parents=True)
    nvcc.write_text(f"#!/bin/sh\n{script}\n")
    nvcc.chmod(nvcc.stat().st_mode | stat.S_IXUSR)
    return nvcc.parents[1]


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_every_architecture_without_spills(nvcc: Path, tmp_path: Path) -> None:
    architectures = compilation.architectures_for(compilation.nvcc_version(nvcc))
    command = [str(nvcc), *compilation.FLAGS, *compilation.code_arguments(architectures), "-Xptxas=-v", "--threads=0"]
    command += ["-Werror=all-warnings", "-o", str(tmp_path / "kernels.fatbin"), str(compilation.SOURCE)]
    report = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    heads = list(re.finditer(r"Compiling entry function '(\w+)' for 'sm_(\d+)'", report))
    assert {(head[1], int(head[2])) for head in heads} == {(name, sm) for name in KERNELS for sm in architectures}
    for head, end in zip(heads, [*(head.start() for head in heads[1:]), len(report)], strict=True):
        check_resources(head[0], report[head.end() : end])


def check_resources(name: str, report: str) -> None:
    usage = {unit: int(number) for number, unit in re.findall(r"(\d+) (bytes \w+ ?\w*|registers)", report)}
    assert usage["bytes stack frame"] == 0, name
    assert usage["bytes spill stores"] == usage["bytes spill loads"] == 0, name
    assert "bytes lmem" not in usage, name
    assert usage["registers"] <= MAX_REGISTERS, name
    assert usage.get("bytes smem", 0) <= MAX_SHARED_BYTES, name


def test_fatbin_holds_every_kernel_and_is_compiled_once(
    nvcc: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = compilation.compiled_kernels([87])
    assert all(name.encode() in image for name in KERNELS)
    assert [path.read_bytes() for path in cache.iterdir()] == [image]
    monkeypatch.setattr(compilation, "_compile", lambda *_: pytest.fail("compiled again"))
    assert compilation.compiled_kernels((87, 87)) == image


def test_cache_key_follows_source_flags_and_compiler(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = tmp_path / "copy"
    copied.mkdir()
    for path in compilation.sources():
        (copied / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(compilation, "SOURCE", copied / "kernels.cu")
    monkeypatch.setattr(compilation, "_compile", lambda *_: b"image")
    versions = ["12.6", "13.0"]
    for version in versions:
        home = false_nvcc(tmp_path / version, f"echo 'Cuda compilation tools, release {version}, V{version}.0'")
        monkeypatch.setenv("CUDA_HOME", str(home))
        assert compilation.compiled_kernels([87]) == compilation.compiled_kernels([80]) == b"image"
    assert len(list(cache.iterdir())) == 4
    (copied / "mask.h").write_text("changed")
    compilation.compiled_kernels([80])
    assert len(list(cache.iterdir())) == 5


def test_cache_that_cannot_be_written_is_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    cache.parent.write_text("a file where the folder should be")
    monkeypatch.setenv("CUDA_HOME", str(false_nvcc(tmp_path, "echo 'release 13.0, V13.0.88'")))
    monkeypatch.setattr(compilation, "_compile", lambda *_: b"image")
    assert compilation.compiled_kernels([87]) == b"image"


def test_nvcc_of_cuda_home_comes_before_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = false_nvcc(tmp_path / "home", "true"), false_nvcc(tmp_path / "path", "true")
    monkeypatch.setenv("PATH", str(second / "bin"))
    monkeypatch.setenv("CUDA_HOME", str(first))
    assert compilation.find_nvcc() == first / "bin" / "nvcc"
    monkeypatch.setenv("CUDA_HOME", str(tmp_path))
    assert compilation.find_nvcc() == second / "bin" / "nvcc"
    monkeypatch.delenv("CUDA_HOME")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(compilation, "DEFAULT_NVCC", tmp_path / "nowhere")
    with pytest.raises(MissingComponentError, match="CUDA_HOME"):
        compilation.find_nvcc()


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo 'release 11.8, V11.8.89'", "too old"),
        ("echo 'something else'", "no CUDA compiler"),
        ("echo 'Cannot find compiler' >&2; exit 1", "Cannot find compiler"),
        ("case $1 in --version) echo 'release 13.0';; *) echo 'no g++' >&2; exit 1;; esac", "no g"),
    ],
)
def test_compiler_that_does_not_do_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, words: str
) -> None:
    monkeypatch.setenv("CUDA_HOME", str(false_nvcc(tmp_path, script)))
    with pytest.raises(MissingComponentError, match=words):
        compilation.compiled_kernels()


def test_no_architecture_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_HOME", str(false_nvcc(tmp_path, "echo 'release 13.0'")))
    with pytest.raises(BadInputError, match="architecture"):
        compilation.compiled_kernels([])


def test_architectures_of_each_cuda() -> None:
    assert compilation.architectures_for((12, 6)) == (75, 80, 86, 87, 89, 90)
    assert compilation.architectures_for((13, 0)) == (75, 80, 86, 87, 89, 90, 100, 110, 120)
    assert compilation.code_arguments((87, 120))[-1] == "-gencode=arch=compute_120,code=compute_120"
