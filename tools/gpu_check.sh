#!/usr/bin/env bash
# tools/gpu_check.sh [-b FOLDER] [-o FOLDER] [-t FOLDER] [-s SECONDS]
# What can be said of a GPU in a few minutes, most telling first: the CUDA kernels against the CPU, whole networks
# against the CPU, memory errors, training and prediction, speed. Every step is bounded in time, writes a log of its
# own and prints one line (PASS, FAIL or TIME, seconds, name); the exit code is 1 when one did not pass. Without a GPU
# the steps that need one are skipped and counted.
#   -b  programs of a build with CUDA (build/torch2/bin)
#   -o  logs and results (gpu_check)
#   -t  ch2bet.nii.gz and aal.nii.gz for the demo (/usr/share/mricron/templates)
#   -s  no step begins after so many seconds (600)
set -uo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
bin=$root/build/torch2/bin out=gpu_check templates=/usr/share/mricron/templates seconds=600
while getopts b:o:t:s: option; do
  case $option in
    b) bin=$OPTARG ;;
    o) out=$OPTARG ;;
    t) templates=$OPTARG ;;
    s) seconds=$OPTARG ;;
    *) sed -n '2,11s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
  esac
done
mkdir -p "$out"
bin=$(cd "$bin" && pwd) && out=$(cd "$out" && pwd) && templates=$(realpath -m "$templates") || exit 2
summary=$out/summary.txt
: > "$summary"
begun=$SECONDS passed=0 failed=0 skipped=0

say() { echo "$*" | tee -a "$summary"; }

gpu=no
if nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader > "$out/gpu.txt" 2>&1; then
  gpu=yes
  say "$(cat "$out/gpu.txt")"
fi

# step LIMIT gpu|cpu NAME COMMAND...
step() {
  local limit=$1 needs=$2 name=$3 started=$SECONDS status=0 word
  shift 3
  if [ "$needs" = gpu ] && [ $gpu = no ]; then
    skipped=$((skipped + 1))
    say "SKIP      $name"
    return
  fi
  if [ ! -x "$1" ] && ! command -v "$1" > /dev/null; then
    skipped=$((skipped + 1))
    say "SKIP      $name: no $(basename "$1")"
    return
  fi
  if [ $((SECONDS - begun)) -ge "$seconds" ]; then
    skipped=$((skipped + 1))
    say "SKIP      $name: no time left"
    return
  fi
  (cd "$out" && timeout --kill-after=5 "$limit" "$@") > "$out/$name.log" 2>&1 || status=$?
  # A test that finds no GPU where one is needed has shown nothing.
  if [ "$needs" = gpu ] && grep -q 'SKIPPED' "$out/$name.log"; then status=1; fi
  case $status in
    0) word=PASS passed=$((passed + 1)) ;;
    124 | 137) word=TIME failed=$((failed + 1)) ;;
    *) word=FAIL failed=$((failed + 1)) ;;
  esac
  say "$(printf '%s %4d s  %s' $word $((SECONDS - started)) "$name")"
  if [ $word = FAIL ]; then
    grep -E 'Failure|FAILED|differs|what\(\)|rror:' "$out/$name.log" | head -5 | sed 's/^/          /' | tee -a "$summary"
  fi
}

tests() { echo --gtest_filter="$1" --gtest_brief=1; }

# Are the numbers right?
step 120 gpu kernels_on_gpu "$bin/test_ops" $(tests '*OnTheGpu*')
step 90 gpu networks_on_gpu "$bin/test_nets" $(tests '*OnTheGpu*Scores*')
step 90 gpu gradients_on_gpu "$bin/test_nets" $(tests '*OnTheGpuATrainingStep*')
step 60 gpu training_on_gpu "$bin/test_train" $(tests '*OnTheGpu*')
step 60 cpu operators_on_cpu "$bin/test_ops" $(tests '*')

# Does a whole run work, and how fast is it?
step 150 gpu demo_on_gpu "$bin/mambaseg" demo -o demo --templates "$templates" --device cuda
step 60 gpu predict_on_gpu "$bin/mambaseg" predict -m demo/run/best.safetensors -i demo/right_hemisphere.nii.gz \
  -o predicted_gpu.nii.gz --device cuda --precision fp32
step 60 gpu predict_on_cpu "$bin/mambaseg" predict -m demo/run/best.safetensors -i demo/right_hemisphere.nii.gz \
  -o predicted_cpu.nii.gz --device cpu --precision fp32
step 30 gpu same_labels bash -c '
  "$0/mambaseg" evaluate -r predicted_cpu.nii.gz -p predicted_gpu.nii.gz --metric Dice -o same_labels | tee /dev/stderr |
    awk "/mean over structures/ { same = \$4 >= 0.99 } END { exit !same }"' "$bin"

# Does a kernel touch memory that is not its own, or race? (Each tensor has memory of its own then.)
sanitizer=$(command -v compute-sanitizer || echo compute-sanitizer)
PYTORCH_NO_CUDA_MEMORY_CACHING=1 step 60 gpu memcheck "$sanitizer" --tool memcheck --error-exitcode 1 "$bin/test_ops" \
  $(tests '*OnTheGpuGives*')

# Speed and memory: whole networks (fp32, TF32, bf16; a prediction, then a training step), then kernels
speed() { step 90 gpu "$1" "$bin/bench_network" --device cuda --precision fp32,tf32,bf16 --runs 5 "${@:2}"; }
speed medsegmamba_patch
speed medsegmamba_step --training-step --settings '{"drop_path": 0}'
speed lbmnet_window --network lbmnet --patch 128
speed lbmnet_step --network lbmnet --patch 64 --training-step
speed hym_unet_pictures --network hym_unet --batch 16
speed hym_unet_step --network hym_unet --batch 16 --training-step --settings '{"drop_path": 0}'
step 60 gpu scan_speed "$bin/bench_selective_scan" --device cuda
step 60 gpu depthwise_speed "$bin/bench_depthwise_conv" --device cuda
step 150 gpu racecheck "$sanitizer" --tool racecheck --error-exitcode 1 "$bin/test_ops" $(tests '*OnTheGpuGives*')

say "$passed passed, $failed failed, $skipped skipped in $((SECONDS - begun)) s; logs in $out"
[ $failed = 0 ]
