#!/bin/sh
# Fills the folder $1 with what `make gpu` needs on a machine without a network: wheels for Python $2 (3.12) on x86-64,
# pycuda's source, and, where that Python is here ($3) with nvcc, pycuda's wheel, which saves building it there.
# The rest (numpy, onnx, onnxruntime, opencv, pytest, torch, cuda-bindings, ...) is expected on that machine.
set -eu
out=$1 version=$2 python=$3 double=$4
mkdir -p "$out"
platforms=""
for glibc in 2_28 2_27 2_17 2014; do
    case $glibc in 2014) name=manylinux2014 ;; *) name=manylinux_$glibc ;; esac
    platforms="$platforms --platform ${name}_x86_64"
done
# shellcheck disable=SC2086
python3 -m pip download --quiet --only-binary=:all: --implementation cp --python-version "$version" $platforms \
    --dest "$out" annotated-types mako platformdirs pydantic pytools
pycuda=pycuda==2026.1
python3 -m pip download --quiet --no-deps --no-binary pycuda --dest "$out" $pycuda
if command -v "$python" >/dev/null && [ -f "$double/libcuda.so.1" ]; then
    environment=$(mktemp -d)
    trap 'rm -rf "$environment"' EXIT
    "$python" -m venv "$environment"
    "$(dirname "$0")/../tests/cuda_double/build_pycuda.sh" "$environment/bin/python" "$double" "$out"
else
    echo "no $python or no test double here: pycuda will be built on the machine with the GPU" >&2
fi
du -sh "$out"
