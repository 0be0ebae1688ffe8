#!/bin/sh
# What can be said of a GPU in a few minutes; tools/gpu_check.sh --help says how.
exec python3 -B "$(dirname "$0")/gpu_check" "$@"
