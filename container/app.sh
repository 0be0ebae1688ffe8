#!/bin/sh
# What the container runs: mambaseg, or with the arguments of a BIDS App (DATA OUT participant|group ...) mambaseg bids.
case ${3:-} in participant | group) set -- bids "$@" ;; esac
exec /opt/mambaseg/bin/mambaseg "$@"
