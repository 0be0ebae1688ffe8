#!/usr/bin/env bash
# tests/install/run.sh BUILD SOURCE [PYTHON]
# Installs BUILD into a folder, moves that, builds a C++ program (find_package) and a C program (pkg-config) against what
# lies there, and compares their masks, and that of PYTHON with the package there, with that of the installed program.
set -euo pipefail
build=$1 source=$2 python=${3:-}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
outside=$source/tests/install/outside
picture=$(ls "$source"/tests/cli/isic2017/images/* | head -n 1)
name=$(basename "${picture%.*}")
fail() { echo "$*" >&2; exit 1; }

cmake --install "$build" --prefix "$work/first" > /dev/null
mv "$work/first" "$work/prefix"
prefix=$work/prefix
library=$(find "$prefix" -name libmambaseg.so)

"$prefix/bin/mambaseg" segment "$picture" -o "$work/command" > "$work/said"

cmake -S "$outside" -B "$work/cpp" -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_BUILD_TYPE=Release > /dev/null
cmake --build "$work/cpp" > /dev/null
"$work/cpp/segment" "$picture" "$work/cpp.png" | tee "$work/cpp.said"
grep -q "^$prefix/share/mambaseg/models/skin-lesion/model.toml$" "$work/cpp.said" ||
  fail "expected the model of $prefix"

pkg-config() { PKG_CONFIG_PATH=$(dirname "$library")/pkgconfig command pkg-config "$@"; }
[ "$(pkg-config --modversion mambaseg)" = "$("$prefix/bin/mambaseg" --version | head -1)" ] || fail "the versions differ"
# shellcheck disable=SC2046
cc -std=c99 -Wall -Wextra -Wpedantic -Werror -o "$work/c" "$outside/segment.c" $(pkg-config --cflags --libs mambaseg)
LD_LIBRARY_PATH=$(dirname "$library") "$work/c" "$picture" "$work/c.png"

masks="cpp c"
if [ -n "$python" ]; then
  package=$(find "$prefix" -path '*-packages/mambaseg' -type d)
  PYTHONPATH=$(dirname "$package") "$python" "$outside/segment.py" "$picture" "$work/python.png" > "$work/python.said"
  grep -q "^$package/models/skin-lesion/model.toml$" "$work/python.said" || fail "expected the model of $package"
  masks="$masks python"
fi

for mask in $masks; do
  cmp "$work/command/$name.png" "$work/$mask.png" || fail "the mask of the $mask program is another than the command's"
done

# An error is one line, and a code.
status=0
LD_LIBRARY_PATH=$(dirname "$library") "$work/c" "$work/nowhere.png" "$work/none.png" 2> "$work/error" || status=$?
[ "$status" = 1 ] && [ "$(wc -l < "$work/error")" = 1 ] && grep -q "nowhere.png" "$work/error" ||
  fail "expected code 1 and a line that names nowhere.png, got $status: $(cat "$work/error")"

# The library shows its functions and nothing else, and its headers all functions that it has.
nm -D --defined-only "$library" | awk '{print $3}' | sort > "$work/shown"
grep -oE '\bmambaseg_[a-z_]+\(' "$prefix/include/mambaseg/mambaseg.h" | tr -d '(' | sort -u > "$work/declared"
diff "$work/declared" "$work/shown" || fail "what the library shows (>) differs from what its header declares (<)"
