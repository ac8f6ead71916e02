#!/usr/bin/env bash
# Brig beside native Python, in one run, pairs interleaved: medians and ratios.
# Everything here starts cold, from a zygote that holds only the engine.
set -euo pipefail
build=$(cd "${1:-build}" && pwd)
cd "$(dirname "$0")"
mkdir -p "$build/bench"
"$build/brig" guest install python
wat2wasm ../tests/guests/hello.wat -o "$build/bench/hello.wasm"
cc -O2 -I../include inprocess.c "$build/libbrig.a" -lcrypto -lyaml -lpthread -ldl \
  -o "$build/bench/inprocess"
exec python3 compare.py "$build"
