#!/usr/bin/env bash
# tests/run.sh [native|avx2|sse41] [BUILD] [CTEST OPTIONS]
# Runs the tests of BUILD (build/release) as a processor of that instruction set would: oneDNN, LibTorch, OpenBLAS and
# our kernels are all held to it. Says at the end how many tests did not run.
set -euo pipefail
cd "$(dirname "$0")/.."
isa=${1:-native} build=${2:-build/release}
shift $(($# < 2 ? $# : 2))

case $isa in
  native) limits=() ;;
  avx2) limits=(DNNL_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 OPENBLAS_CORETYPE=Haswell MAMBASEG_SIMD=AVX2) ;;
  sse41) limits=(DNNL_MAX_CPU_ISA=SSE41 ATEN_CPU_CAPABILITY=default OPENBLAS_CORETYPE=Nehalem MAMBASEG_SIMD=SSE4) ;;
  *) echo "$0: expected native, avx2 or sse41, got $isa" >&2; exit 2 ;;
esac
others=()
if [ ${#limits[@]} -gt 0 ]; then
  limits+=("LD_PRELOAD=$PWD/$build/bin/libsimd_limit.so")
  others=(--exclude-regex '^(ranks|cohort|gpu_check|bench_rows|docs)$')  # which start programs and compute little: once is enough
fi

results=$PWD/$build/test_results/$isa
rm -rf "$results"
mkdir -p "$results"
status=0
env "${limits[@]}" GTEST_OUTPUT="xml:$results/" ctest --test-dir "$build" --output-on-failure \
  --output-junit "$results/ctest.xml" "${others[@]}" "$@" || status=$?

# GoogleTest's XML has one line a test, CTest's one line a program.
lines() { cat "$results"/*.xml | grep -E "<testcase .*($1)" || true; }
count() { lines "$1" | wc -l; }
not_run='result="skipped"|status="(notrun|disabled)"'
echo "$isa: $(count 'result="completed"') tests in $(count 'status="(run|fail)">') programs ran, $(count "$not_run") did not run"
lines "$not_run" | sed -E 's/.*<testcase name="([^"]*)".*classname="([^"]*)".*/  did not run: \2.\1/'
exit "$status"
