#!/usr/bin/env bash
# Train polyp-small, polyp-ultra and polyp-best from nothing: recipes/polyp.sh KVASIR BOTH MUCOSA CLIP OUT [--set ...]
#
# KVASIR: Kvasir-SEG with its splits. BOTH: Kvasir-SEG and CVC-ClinicDB as one data set (`edgeseg data split
# --sequences`, `edgeseg data join`). MUCOSA: a folder of pictures of normal mucosa. CLIP: a clip without a polyp.
# OUT: gets a RUN folder for each step. Called again, it goes on where it was stopped.
set -euo pipefail
if [ $# -lt 5 ]; then
  sed -n '2,6s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
kvasir=$1 both=$2 mucosa=$3 clip=$4 out=$5 recipes=$(cd "$(dirname "$0")" && pwd)
shift 5
extra=("$@")
mkdir -p "$out"

negatives() { # NAME SOURCE... DATA: pictures without a polyp, once
  local name=$1
  shift
  [ -d "$out/$name" ] || edgeseg data negatives "${@:1:$#-1}" --windows "${!#}" --out "$out/$name"
}

step() { # NAME DATA RECIPE NEGATIVES|none [flags]: one training; goes on with one that was stopped
  local name=$1 data=$2 recipe=$3 empty=()
  [ "$4" = none ] || empty=(--negatives "$out/$4")
  shift 4
  echo "== $name" >&2
  if [ -f "$out/$name/recipe.toml" ]; then
    edgeseg train "$data" --out "$out/$name" ${empty[@]+"${empty[@]}"} "$@" --resume
  else
    local flags=(--recipe "$recipes/$recipe.toml" ${empty[@]+"${empty[@]}"} "$@" ${extra[@]+"${extra[@]}"})
    edgeseg train "$data" --out "$out/$name" "${flags[@]}"
  fi
}

negatives negatives-kvasir "$mucosa@:1000:2" "$clip@:550:2" "$kvasir"
negatives negatives-teacher "$mucosa@:800:2" "$both"
negatives negatives-both "$mucosa@:800:2" "$clip@:300" "$both"

# networks of Kvasir-SEG alone, and a larger one of both sources that teaches
step kvasir-best "$kvasir" kvasir-best negatives-kvasir
step kvasir-small "$kvasir" kvasir-small negatives-kvasir --teacher "$out/kvasir-best"
step kvasir-ultra "$kvasir" kvasir-ultra negatives-kvasir --teacher "$out/kvasir-best"
step teacher "$both" polyp-teacher negatives-teacher

# small further on both, with itself for a teacher; a second seed for best
for seed in 0 2; do
  step polyp-small-$seed "$both" polyp-small negatives-both --start "$out/kvasir-small" \
    --teacher "$out/kvasir-small" --set training.seed=$seed
done

# ultra, from a teacher that two others taught
step best-taught "$both" polyp-ultra-teacher negatives-both --start "$out/kvasir-best" \
  --teacher "$out/kvasir-best" --teacher "$out/teacher"
step polyp-ultra "$both" polyp-ultra negatives-both --start "$out/kvasir-ultra" --teacher "$out/best-taught"

# best: the two together
step polyp-best "$both" polyp-best none --start "$out/polyp-small-2" --start "$out/polyp-ultra"
