#!/usr/bin/env bash
# Build the engine from deps/wasmtime, once a machine: the result is kept outside
# the tree, under a key of everything it depends on. Prints its directory.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
crate=$here/deps/wasmtime

command -v cargo >/dev/null || {
  echo "build-engine: cargo is not there: install Rust 1.95 or later, or set WASMTIME_ROOT" >&2
  exit 1
}
key=$( (cat "$crate/Cargo.toml" "$crate/Cargo.lock" "$crate/lib.rs"; rustc -V; uname -m) |
  sha256sum | cut -c1-16)
cache=${BRIG_ENGINE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/brig-build/engine}
result=$cache/$key
if [ ! -e "$result/lib/libwasmtime.a" ]; then
  mkdir -p "$cache"
  exec 9>"$cache/lock"
  flock 9 # one build at a time, and the second finds it done
fi
if [ ! -e "$result/lib/libwasmtime.a" ]; then
  work=$(mktemp -d "$cache/build-XXXXXX")
  trap 'rm -rf "$work"' EXIT
  echo "build-engine: compiling the engine (once a machine; three to ten minutes)" >&2
  cargo build --release --locked --manifest-path "$crate/Cargo.toml" --target-dir "$work/target" >&2
  mkdir -p "$work/result/lib"
  cp "$work/target/release/libbrig_engine.a" "$work/result/lib/libwasmtime.a"
  cp -r "$work"/target/release/build/wasmtime-c-api-impl-*/out/include "$work/result/include"
  rm -rf "$result"
  mv "$work/result" "$result"
fi
echo "$result"
