#!/usr/bin/env bash
# The tests of the kernels on processors that this machine is not, emulated by qemu:
#   Nehalem   plain C++: Highway's SSE4 wants the AES instructions as well
#   Westmere  SSE4
#   aarch64   NEON, built by Debian's cross compiler
# The first two run what `make build` made. (AVX2 needs no emulation: tests/run.sh avx2.)
# Needs the Debian packages qemu-user, g++-aarch64-linux-gnu, googletest (see packages-ci.txt).
set -euo pipefail
cd "$(dirname "$0")/../.."
processors=${*:-Nehalem Westmere aarch64}

# Debian's Highway for arm64 in a folder of our own, so that the system need not know a second architecture.
arm64_packages() {
  local folder=$PWD/build/aarch64/debian
  [ -e "$folder/usr/include/hwy/highway.h" ] && return
  mkdir -p "$folder"/apt/{state/lists/partial,cache/archives/partial}
  : > "$folder/apt/status"
  local apt=(apt-get -qq -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o APT::Sandbox::User=
    -o "Dir::State=$folder/apt/state" -o "Dir::State::status=$folder/apt/status" -o "Dir::Cache=$folder/apt/cache")
  "${apt[@]}" update
  (cd "$folder/apt" && "${apt[@]}" download libhwy1 libhwy-dev)
  for package in "$folder"/apt/*.deb; do dpkg -x "$package" "$folder"; done
}

# emulated PROCESSOR TARGET: the tests of the kernels, and the scan and its mixers with LibTorch around them, that `make build` made; TARGET is the SIMD target that they must find.
# OpenBLAS asks the emulated processor, whatever core the environment names for the real one.
emulated() {
  unset OPENBLAS_CORETYPE
  for program in test_core test_kernels; do
    MAMBASEG_SIMD=$2 qemu-x86_64 -cpu "$1" "build/release/bin/$program" --gtest_brief=1
  done
  qemu-x86_64 -cpu "$1" build/release/bin/golden_check tests/golden --filter scan_ mamba_
}

for processor in $processors; do
  echo "== $processor"
  case $processor in
    aarch64)
      arm64_packages
      cmake -S tests/elsewhere -B build/aarch64 -G Ninja --toolchain "$PWD/tests/elsewhere/aarch64.cmake" > /dev/null
      cmake --build build/aarch64
      MAMBASEG_SIMD=NEON ctest --test-dir build/aarch64 --output-on-failure ;;
    Nehalem) emulated Nehalem SCALAR ;;
    Westmere) emulated Westmere SSE4 ;;
    *) echo "$0: expected Nehalem, Westmere or aarch64, got $processor" >&2; exit 2 ;;
  esac
done
