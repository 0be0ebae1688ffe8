#!/usr/bin/env bash
# tests/fuzz/run.sh SECONDS [TARGET ...]
# Builds the fuzzers (build/fuzz) and gives each target, or those named, that many seconds. dicom runs only when it is
# named: Debian's GDCM has its assertions on and ends the program on more kinds of damage than are kept from it. The inputs that a finding
# needs lie in build/fuzz/findings afterwards, with what the fuzzer said beside them; then the exit code is 1.
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=${1:?usage: tests/fuzz/run.sh SECONDS [TARGET ...]}
shift

if ! command -v clang++ >/dev/null || ! ls "$(clang++ -print-resource-dir)"/lib/linux/libclang_rt.fuzzer-* >/dev/null 2>&1; then
  sudo=$([ "$(id -u)" = 0 ] || echo sudo)
  $sudo apt-get update -qq
  sed 's/#.*//' packages-ci.txt | xargs $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends
fi
cmake --preset fuzz >/dev/null
cmake --build --preset fuzz

export build=$PWD/build/fuzz findings=$PWD/build/fuzz/findings seconds
export kept=$PWD/tests/fuzz/findings
export ASAN_OPTIONS=detect_leaks=0  # libraries keep what they made once
rm -rf "$findings" "$build/seeds"
mkdir -p "$findings"
"$build/bin/fuzz_seeds" recipes "$build/seeds"

one() {
  target=$1
  export TMPDIR=$(mktemp -d "$([ -w /dev/shm ] && echo /dev/shm || echo /tmp)/mambaseg_fuzz_XXXXXX")
  mkdir "$TMPDIR/corpus"
  inputs=("$TMPDIR/corpus" "$build/seeds/$target")
  [ -d "$kept/$target" ] && inputs+=("$kept/$target")
  log=$findings/$target.txt
  failed=0
  "$build/bin/fuzz_$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -malloc_limit_mb=2048 -max_len=4096 \
    -print_final_stats=1 -artifact_prefix="$findings/$target-" "${inputs[@]}" >"$log" 2>&1 || failed=1
  rm -rf "$TMPDIR"
  echo "$target: $(sed -n 's/stat::number_of_executed_units: *//p' "$log") executions$([ $failed = 0 ] || echo ', a finding')"
  if [ $failed = 0 ]; then rm "$log"; else tail -n 40 "$log"; fi
  return $failed
}
export -f one
[ $# -gt 0 ] || set -- $(ls "$build/seeds" | grep -vx dicom)
printf '%s\n' "$@" | xargs -P "$(nproc)" -I{} bash -c 'one {}' || { echo "findings: $findings"; exit 1; }
