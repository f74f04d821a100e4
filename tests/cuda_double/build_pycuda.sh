#!/bin/bash
# Builds pycuda's wheel (it has only a source distribution) into the folder $3 with the interpreter $1, linked against the
# double in $2. The wheel asks for the soname libcuda.so.1 alone, so the same file runs on the real driver. 80 s on two cores.
# A stub library would not do: --as-needed drops it silently.
set -euo pipefail
python=$1
double=$(realpath "$2")
wheels=$(realpath -m "$3")
version=2026.1
cuda=${CUDA_HOME:-/usr/local/cuda}
tag=$("$python" -c 'import sys; print("cp%d%d" % sys.version_info[:2])')
if ! compgen -G "$wheels/pycuda-$version-$tag-*.whl" >/dev/null; then
    cache=${PIP_CACHE_DIR:-$HOME/.cache/pip}
    home=$(mktemp -d)
    trap 'rm -rf "$home"' EXIT
    cat > "$home/.aksetup-defaults.py" <<END
USE_SHIPPED_BOOST = True
CUDA_ROOT = "$cuda"
CUDA_ENABLE_GL = False
CUDA_ENABLE_CURAND = False
CUDADRV_LIB_DIR = ["$double"]
CUDADRV_LIBNAME = ["cuda"]
CXXFLAGS = ["-O1", "-g0", "-w"]
END
    PATH="$cuda/bin:$PATH" HOME="$home" PIP_CACHE_DIR="$cache" \
        "$python" -m pip wheel --quiet --no-deps --no-binary pycuda --wheel-dir "$wheels" "pycuda==$version"
    unpacked=$home/unpacked
    "$python" -m zipfile -e "$wheels"/pycuda-$version-"$tag"-*.whl "$unpacked"
    readelf -d "$unpacked"/pycuda/_driver*.so | grep -q 'NEEDED.*libcuda.so.1' ||
        { echo "pycuda was built without asking for libcuda.so.1" >&2; exit 1; }
fi
"$python" -m pip install --quiet --no-deps "$wheels"/pycuda-$version-"$tag"-*.whl
