#!/bin/sh
# The steps of the container recipes, as root in Debian 12, in the folder of the sources:
#   container/steps.sh build     installs packages.txt, builds, and installs into PREFIX (/opt/mambaseg)
#   container/steps.sh runtime   installs what the program in PREFIX needs, and the command `mambaseg`
# JOBS: compilers side by side, each takes up to 2 GiB.
set -eu
prefix=${PREFIX:-/opt/mambaseg}

packages() { sed 's/#.*//' "$1"; }

case ${1:-} in
  build)
    apt-get update -qq && apt-get install -y -qq --no-install-recommends make
    make setup
    cmake --preset release
    cmake --build build/release -j "${JOBS:-$(nproc)}" --target mambaseg mambaseg_whole libmambaseg
    cmake --install build/release --prefix "$prefix"
    ;;
  runtime)
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(packages container/packages.txt)
    rm -rf /var/lib/apt/lists/* /var/cache/apt/*
    install -m 755 container/app.sh /usr/local/bin/mambaseg
    missing=$(ldd "$prefix/bin/mambaseg" "$prefix/libexec/mambaseg/mambaseg_whole" | grep 'not found' || true)
    [ -z "$missing" ] || { echo "container/packages.txt lacks the packages of:" "$missing" >&2; exit 1; }
    mambaseg --version
    ;;
  *)
    echo "container/steps.sh: expected build or runtime, got '${1:-}'" >&2
    exit 2
    ;;
esac
