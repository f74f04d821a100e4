#!/bin/bash
# Builds the CUDA test double into the folder $1: libcuda.so.1, and our kernels and those of tests/gpu as g++ builds them.
# Half a minute on two cores; files that are newer than their sources are kept.
set -euo pipefail
sources=$(cd "$(dirname "$0")" && pwd)
kernels=$(cd "$sources/../../runtime/cuda/kernels" && pwd)
out=$(realpath -m "$1")
cuda=${CUDA_HOME:-/usr/local/cuda}
mkdir -p "$out"

objects=()
for source in "$sources"/*.cpp; do
    name=$(basename "$source" .cpp)
    [ "$name" = kernels_host ] && continue
    object=$out/$name.o
    objects+=("$object")
    if [ "$source" -nt "$object" ] || [ "$sources/double.h" -nt "$object" ]; then
        g++ -std=c++20 -O1 -g -fPIC -fvisibility=hidden -Wall -I"$cuda/include" -c "$source" -o "$object"
    fi
done
gcc -O1 -fPIC -c "$sources/refused_calls.c" -o "$out/refused_calls.o"
g++ -shared -Wl,-soname,libcuda.so.1 -Wl,-Bsymbolic "${objects[@]}" "$out/refused_calls.o" -o "$out/libcuda.so.1" -ldl -pthread
ln -sf libcuda.so.1 "$out/libcuda.so"
# -ffp-contract=off: the host must not fuse what the source does not fuse. -U_FORTIFY_SOURCE: its _longjmp refuses to
# change stacks.
for library in kernels_host:"$sources" standin_host:"$sources/../gpu"; do
    folder=${library#*:} name=${library%%:*}
    g++ -std=c++20 -O2 -U_FORTIFY_SOURCE -ffp-contract=off -fPIC -shared -I"$sources" -I"$kernels" -I"$folder" "$folder/$name.cpp" -o "$out/$name.so"
done
