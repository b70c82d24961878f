#!/usr/bin/env bash
# Makes the sweeps and runs behind docs/results.md. Usage: docs/results/run.sh DATA [NAME...]
# DATA holds acdc/, chd_cta/, cta_unlabelled/ and brain_mni/ as data folders. A run takes 1 to 20
# minutes on two cores; a finished one is not repeated, an interrupted one goes on. The small files
# of each are copied beside this script.
set -euo pipefail
data="$1"; shift
here="$(cd "$(dirname "$0")" && pwd)"
is_wanted() { [ ${#wanted[@]} -eq 0 ] || [[ " ${wanted[*]} " == *" $1 "* ]]; } # NAME
fit() { # NAME CONFIG OPTION...
  local name="$1" config="$here/../../examples/$2" run="runs/results/$1"; shift 2
  is_wanted "$name" || return 0
  [ -s "$here/$name/metrics.json" ] && return 0
  local mode=--overwrite; [ -z "$(ls "$run/checkpoints" 2>/dev/null | grep -v writing)" ] || mode=--resume
  tfadvseg fit "$config" --out "$run" $mode "$@"
  mkdir -p "$here/$name"
  cp "$run"/{config.yaml,split.json,history.csv,metrics.json,environment.json} "$here/$name"
}
crossval() { # NAME CONFIG OPTION...
  local name="$1" config="$here/../../examples/$2" sweep="runs/results/sweeps/$1"; shift 2
  is_wanted "$name" || return 0
  tfadvseg crossval "$config" --out "$sweep" "$@" || true # what failed is in failures.json
  python "$here/keep.py" "$sweep" "$name"
}
compare() { # NAME DATA CONFIG LABELLED METHODS OPTION...: the comparison of methods, see its README
  local name="$1" folder="$2" config="$here/../../examples/$3" labelled="$4" methods="$5"; shift 5
  is_wanted "$name" || return 0
  python "$here/../../benchmarks/semi_supervised/run.py" --data "$folder" --config "$config" \
    --labelled "$labelled" --methods "$methods" --seeds 0,1,2 --out runs/results/semi "$@"
}
draw() { # FOLDER PATIENTS
  [ -d "$1" ] || tfadvseg data phantom "$1" --patients "$2" --size 64
}
wanted=("$@")
crossval acdc acdc_small.yaml --data "$data/acdc" --set averaging=0 \
  --folds 1 --label-fractions 1,1/2,1/7,1/14 --seeds 3
if is_wanted phantom; then draw runs/results/phantom 20; fi
crossval phantom phantom.yaml --data runs/results/phantom \
  --folds 3 --label-fractions 1,1/2,1/4,1/8 --set image_size=64 --set steps=600 \
  --set batch_size=4 --set unlabelled_batch_size=4 --set averaging=0 --set norm=instance
crossval chd_cta chd_cta.yaml --data "$data/chd_cta" --unlabelled "$data/cta_unlabelled" \
  --folds 7 --label-fractions 1 --set image_size=128 --set val_patients=1 \
  --set test_patients=null --set steps=1500 --set averaging=0
crossval chd_cta_strong chd_cta.yaml --data "$data/chd_cta" --unlabelled "$data/cta_unlabelled" \
  --folds 7 --label-fractions 1 --recipes supervised,strong --set image_size=128 \
  --set val_patients=1 --set test_patients=null --set steps=1500 --set discriminator_filters=null
for norm in batch instance; do
  for seed in 0 1; do
    for recipe in supervised adversarial paper; do
      fit "acdc_${norm}_${recipe}_seed$seed" acdc_small.yaml \
        --data "$data/acdc" --recipe $recipe --set norm=$norm --set seed=$seed --set averaging=0
    done
  done
done
fit chd_cta_supervised chd_cta.yaml --data "$data/chd_cta" --recipe supervised \
  --set averaging=0
fit chd_cta_paper chd_cta.yaml --data "$data/chd_cta" --unlabelled "$data/cta_unlabelled" \
  --set averaging=0
for recipe in supervised paper; do
  fit "brain_mni_$recipe" brain_mni.yaml --data "$data/brain_mni" --recipe $recipe
done
best=supervised_batch,supervised_instance,strong
others=adversarial,paper,mean_teacher,mean_teacher+lambda_semi=1,mean_teacher+lambda_semi=10
others=$others,fixmatch,unimatch,fixmatch_own_intensities,unimatch_own_intensities
parts=strong_without_d,strong_without_d_in_trust,strong_without_boxes,strong_without_intensities
parts=$parts,strong_without_dice,strong_without_quotas,strong_without_waiting
parts=$parts,strong_fixed_threshold,strong_own_teacher,strong_moved_teacher
parts=$parts,strong_harder_intensities,strong_noisy_maps,strong_spectral_norm
small=runs/results/phantom60
if is_wanted semi_phantom; then draw $small 60; fi
compare semi_acdc "$data/acdc" acdc_small.yaml 5,10,35 $best --set precision=bfloat16
compare semi_acdc "$data/acdc" acdc_small.yaml 10 supervised_batch,strong --seeds 3,4 # in float32
compare semi_acdc "$data/acdc" acdc_small.yaml 5 $others,$parts --set precision=bfloat16
compare semi_acdc "$data/acdc" acdc_small.yaml 10 strong_without_boxes --set precision=bfloat16
compare semi_phantom $small phantom.yaml 3 $best,strong+lambda_semi=2,$others,$parts \
  --set image_size=64 batch_size=4 unlabelled_batch_size=4
if is_wanted rank; then
  ranking="$here/../../benchmarks/ranking" folders=(--data "$data/acdc" --work runs/results/rank)
  python "$ranking/many_pairs.py" "${folders[@]}"
  python "$ranking/run.py" "${folders[@]}"
fi
if is_wanted outliers; then
  python "$here/../../benchmarks/outliers.py" --data "$data" --out "$here/outliers.json"
fi
if is_wanted train_step; then
  python "$here/../../benchmarks/train_step.py" --out "$here/train_step.json"
fi
