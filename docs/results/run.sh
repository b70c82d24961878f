#!/usr/bin/env bash
# Makes the runs behind docs/results.md. Usage: docs/results/run.sh DATA [NAME...]
# DATA holds acdc/, chd_cta/, cta_unlabelled/ and brain_mni/ as data folders. Each run takes 4 to 20
# minutes on two cores; a finished one is not repeated, an interrupted one goes on. The small files
# of each run are copied beside this script.
set -euo pipefail
data="$1"; shift
here="$(cd "$(dirname "$0")" && pwd)"
fit() { # NAME CONFIG OPTION...
  local name="$1" config="$here/../../examples/$2" run="runs/results/$1"; shift 2
  [ ${#wanted[@]} -eq 0 ] || [[ " ${wanted[*]} " == *" $name "* ]] || return 0
  [ -s "$here/$name/metrics.json" ] && return 0
  local mode=--overwrite; [ -z "$(ls "$run/checkpoints" 2>/dev/null | grep -v writing)" ] || mode=--resume
  tfadvseg fit "$config" --out "$run" $mode "$@"
  mkdir -p "$here/$name"
  cp "$run"/{config.yaml,split.json,history.csv,metrics.json,environment.json} "$here/$name"
}
wanted=("$@")
for norm in batch instance; do
  for seed in 0 1; do
    for recipe in supervised adversarial paper; do
      fit "acdc_${norm}_${recipe}_seed$seed" acdc_small.yaml \
        --data "$data/acdc" --recipe $recipe --set norm=$norm --set seed=$seed
    done
  done
done
fit chd_cta_supervised chd_cta.yaml --data "$data/chd_cta" --recipe supervised
fit chd_cta_paper chd_cta.yaml --data "$data/chd_cta" --unlabelled "$data/cta_unlabelled"
for recipe in supervised paper; do
  fit "brain_mni_$recipe" brain_mni.yaml --data "$data/brain_mni" --recipe $recipe
done
