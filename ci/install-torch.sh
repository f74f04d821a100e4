#!/usr/bin/env bash
# Install the pinned torch without pulling CUDA packages onto a machine that has no NVIDIA GPU.
# usage: ci/install-torch.sh PIP [INDEX]     INDEX: a wheel index to take torch from, see README
# CONSTRAINTS names another file of pins; torchvision comes along where that file pins it.
set -euo pipefail
pip=$1 index=${2:-}
read -ra torch <<<"$(grep -E '^torch(vision)?==' "${CONSTRAINTS:-constraints.txt}" | tr '\n' ' ')"
cpu_index=https://download.pytorch.org/whl/cpu

if [ -n "$index" ]; then
    exec "$pip" install --index-url "$index" "${torch[@]}"
fi
if ! command -v nvidia-smi >/dev/null && [ "$(uname -s)" = Linux ]; then
    # A dry run reads metadata only: does this torch bring CUDA along?
    if "$pip" install --dry-run --quiet --report - "${torch[@]}" 2>/dev/null | grep -q '"name": "nvidia-'; then
        echo "no NVIDIA GPU here: taking the CPU build of ${torch[*]}" >&2
        "$pip" install --index-url "$cpu_index" "${torch[@]}" && exit
        echo "$cpu_index does not give it: taking the build with CUDA" >&2
    fi
fi
exec "$pip" install "${torch[@]}"
