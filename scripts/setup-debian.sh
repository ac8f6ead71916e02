#!/usr/bin/env bash
# Install the Debian packages that building and testing need and that are missing.
set -euo pipefail

packages=(cmake ninja-build pkg-config gcc libc6-dev libseccomp-dev libyaml-dev libjansson-dev
  libssl-dev libsqlite3-dev libedit-dev libcmocka-dev python3 python3-pytest
  libevent-dev libnghttp2-dev libpcre2-dev libprotobuf-c-dev protobuf-c-compiler protobuf-compiler libprotobuf-dev
  wabt clang lld wasi-libc libclang-rt-14-dev libclang-rt-14-dev-wasm32
  dpkg-dev make patch tcl xz-utils openssl python3-venv) # guests/cpython

for tool in cargo npm; do
  command -v "$tool" >/dev/null ||
    { echo "setup: $tool is not there, and not ours to install: get Rust 1.95 and Node.js" >&2; exit 1; }
done
missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0
echo "setup: installing ${missing[*]}" >&2
sudo=
[ "$(id -u)" -eq 0 ] || sudo=sudo
$sudo apt-get update -qq >&2
DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
