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
if [ ${#limits[@]} -gt 0 ]; then limits+=("LD_PRELOAD=$PWD/$build/bin/libsimd_limit.so"); fi

results=$PWD/$build/test_results/$isa
rm -rf "$results"
mkdir -p "$results"
status=0
env "${limits[@]}" GTEST_OUTPUT="xml:$results/" ctest --test-dir "$build" --output-on-failure "$@" || status=$?

# The first line of GoogleTest's XML counts the tests of a program.
count() { cat "$results"/*.xml | grep '<testsuites ' | grep -o " $1=\"[0-9]*\"" | tr -dc '0-9\n' | awk '{n += $1} END {print n + 0}'; }
skipped=$(cat "$results"/*.xml | grep -c 'result="skipped"' || true)
echo "$isa: $(count tests) tests, $(count failures) failed, $((skipped + $(count disabled))) did not run"
cat "$results"/*.xml | grep 'result="skipped"' | sed 's/.*name="\([^"]*\)".*classname="\([^"]*\)".*/  did not run: \2.\1/' || true
exit "$status"
