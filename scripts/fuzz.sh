#!/usr/bin/env bash
# Each fuzzer of tests/fuzz for this many seconds, going on from what earlier runs found, which
# is kept in build-fuzz/corpus.
set -euo pipefail
seconds=${1:-3600}
cd "$(dirname "$0")/.."

CC=clang cmake -S . -B build-fuzz -G Ninja -DBRIG_FUZZ=ON >/dev/null
cmake --build build-fuzz --target fuzzers
for fuzzer in build-fuzz/*_fuzz; do
  corpus=build-fuzz/corpus/$(basename "$fuzzer")
  mkdir -p "$corpus"
  "$fuzzer" -max_total_time="$seconds" -max_len=4096 -timeout=5 -rss_limit_mb=1000 \
    -print_final_stats=1 -artifact_prefix="$corpus-" "$corpus"
done
