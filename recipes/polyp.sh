#!/usr/bin/env bash
# Train polyp-best, polyp-small and polyp-ultra from nothing: recipes/polyp.sh KVASIR BOTH MUCOSA CLIP OUT [--set ...]
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

step() { # NAME DATA RECIPE NEGATIVES [flags]: one training; goes on with one that was stopped
  local name=$1 data=$2 recipe=$3 empty=$4
  shift 4
  echo "== $name" >&2
  if [ -f "$out/$name/recipe.toml" ]; then
    local flags=(--negatives "$out/$empty")
    while [ $# -gt 0 ]; do # the RUN holds its settings
      [ "$1" = --set ] || flags+=("$1" "$2")
      shift 2
    done
    edgeseg train "$data" --out "$out/$name" "${flags[@]}" --resume
  else
    local flags=(--recipe "$recipes/$recipe.toml" --negatives "$out/$empty" "$@" ${extra[@]+"${extra[@]}"})
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

# best twice further on both sources: taught, as near as before; and closer, without a teacher
near=(--set augmentation.zoom_in=0 --set augmentation.translation=0.15)
taught=(--set training.epochs=10 --set training.teacher_share=0.5 --teacher "$out/kvasir-best" --teacher "$out/teacher")
step best-taught "$both" polyp-best negatives-both --start "$out/kvasir-best" "${near[@]}" "${taught[@]}" \
  --set 'training.sizes=[256,288,320,352,384]' --set model.height=352 --set model.width=352
step best-closer "$both" polyp-best negatives-both --start "$out/kvasir-best"

# the mean of the three, which one epoch hardly moves; small, with itself for a teacher; ultra, taught by best
step polyp-best "$both" polyp-best negatives-both --start "$out/kvasir-best" --start "$out/best-closer" \
  --start "$out/best-taught" --set training.epochs=1 --set training.learning_rate=5e-5
step polyp-small "$both" polyp-small negatives-both --start "$out/kvasir-small" --teacher "$out/kvasir-small"
step polyp-ultra "$both" polyp-ultra negatives-both --start "$out/kvasir-ultra" --teacher "$out/best-taught"
