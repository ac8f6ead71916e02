#!/usr/bin/env bash
# Brig beside what a user would pick instead: executions.py, sessions.py, server.py. The peers come
# from their registries, pinned, into the build directory; the wasmtime command, which
# takes some minutes to build, is kept in ~/.cache/brig-build.
set -euo pipefail
build=$(cd "${1:-build}" && pwd)
rounds=${2:-40}
cd "$(dirname "$0")"
work=$build/bench
mkdir -p "$work"

for guest in python python-science quickjs; do
  "$build/brig" guest install "$guest"
done
"$build/brig" guest build python
wat2wasm ../tests/guests/hello.wat -o "$work/hello.wasm"
cc -O2 -Wall -Wextra -I../include client.c "$build/libbrig.a" -lcrypto -lyaml -ljansson -lsqlite3 \
  -lpthread -ldl -o "$work/client"
cc -O2 -Wall -Wextra caches.c -o "$work/caches"
cc -O2 -Wall -Wextra calls.c -o "$work/calls" -lnghttp2

if [ ! -e "$work/peers/ready" ]; then
  python3 -m venv "$work/peers"
  "$work/peers/bin/pip" install --quiet --disable-pip-version-check --require-hashes -r peers.txt
  touch "$work/peers/ready"
fi
wasmtime=${BRIG_BUILD_CACHE:-$HOME/.cache/brig-build}/wasmtime-cli-48.0.8
if [ ! -x "$wasmtime/bin/wasmtime" ]; then
  cargo install wasmtime-cli --version 48.0.8 --locked --quiet --no-default-features \
    --features run,cranelift,cache --root "$wasmtime"
fi
for part in executions sessions server; do
  python3 $part.py "$build" "$wasmtime/bin/wasmtime" "$rounds"
done
