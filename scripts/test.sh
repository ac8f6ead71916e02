#!/usr/bin/env bash
# All tests: the release build as it is shipped, then what does not need the jail
# once more under the sanitizers.
set -euo pipefail
cd "$(dirname "$0")/.."

command -v go >/dev/null || # Debian's is too old for gRPC
  { echo "test: go is not there: get Go 1.26" >&2; exit 1; }
cmake -S . -B build -G Ninja -DBRIG_WERROR=ON >/dev/null
cmake --build build
build/brig doctor
# Compiled once, where the tests look.
guest() {
  XDG_CACHE_HOME=$PWD/build/test-cache AGENT_CONFIG_PATH=$PWD/tests/support/install.yaml \
    build/brig guest "$@"
}
for name in python quickjs python-science; do
  guest install "$name"
done
guest build python # of the two, the tests that do not name one use this

ctest --test-dir build --output-on-failure -j2
# Debian's own Python: pytest is its package's.
/usr/bin/python3 -m pytest -q -p no:cacheprovider tests/integration

cmake -S . -B build-asan -G Ninja -DBRIG_SANITIZE=ON -DBRIG_WERROR=ON >/dev/null
cmake --build build-asan
# Its helper is the release one: the sanitizers' system calls are not the jail's.
BRIG_TEST_HELPER=$PWD/build/brig-helper ctest --test-dir build-asan --output-on-failure -j2
# Nothing of rpc-echo is in a jail.
BRIG_BUILD=$PWD/build-asan /usr/bin/python3 -m pytest -q -p no:cacheprovider \
  tests/integration/test_rpc.py tests/integration/test_rpc_hostile.py

CC=clang cmake -S . -B build-fuzz -G Ninja -DBRIG_FUZZ=ON >/dev/null
cmake --build build-fuzz --target fuzzers
ctest --test-dir build-fuzz --output-on-failure -R ^fuzz/
