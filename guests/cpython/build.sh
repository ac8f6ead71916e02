#!/usr/bin/env bash
# Builds CPython for wasm32-wasi, its standard library frozen inside: one file, which
# needs no directory. Usage: build.sh OUTPUT.tar
# The archive has python.wasm and LICENSE, and is the same wherever it is made.
#
# Needs a Debian machine (or one with its packages), with the tools below. Nothing is
# installed on it. WORK=DIR keeps the working folder, and a second run with it goes on
# where the first ended.
set -euo pipefail

# --- What goes in: names, versions, digests. Nothing else is fetched. ---------------
SUITE=trixie
PYTHON=python3.13      PYTHON_TREE=Python-3.13.5
PYTHON_SHA256=93e583f243454e6e9e4588ca2c2662206ad961659863277afcdb96801647d640
ZLIB=zlib              ZLIB_TREE=zlib-1.3.1
zlib_files=(adler32 compress crc32 deflate inffast inflate inftrees trees uncompr zutil)
ZLIB_SHA256=60dd315c07f616887caa029408308a018ace66e3d142726a97db164b3b8f69fb
SQLITE=sqlite3         SQLITE_TREE=sqlite3-3.46.1
SQLITE_SHA256=d0cdd2ece271b29e7ce18095745d892517ee26d0f270065b3a25c2e9eb11639c
# The compiler and its C library (pip), and the optimizer (npm).
ZIG='ziglang==0.17.1 --hash=sha256:ea6cc5d87b033cf0aedfbc8f9549a908cae6c50ac31f1698188fa48a74524b54'
BINARYEN=binaryen@132.0.0
BINARYEN_SHA512=4Usg7yEvwO3FMso3Oov6qkOOHSod1IEv+boKkh77kTljM+eNBouqCTbqWswGzbG+vDNO/b/v2C4gfEh1WgB9Lg==

# --- With what. tclsh makes SQLite's one source file. -------------------------------
missing=
for tool in apt-get:apt dpkg-source:dpkg-dev gcc:gcc make:make patch:patch xz:xz-utils \
    tclsh:tcl openssl:openssl python3:python3-venv node:nodejs npm:npm; do
    command -v "${tool%:*}" >/dev/null || missing+=" ${tool#*:}"
done
if [ -n "$missing" ]; then
    echo "build.sh: missing tools; install the packages$missing" >&2
    exit 1
fi

# --- Where and how ------------------------------------------------------------------
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
output=$(realpath -m "${1:?usage: build.sh OUTPUT.tar}")
jobs=${JOBS:-$(nproc)}
if [ -n "${WORK:-}" ]; then
    mkdir -p "$WORK"
    work=$(realpath "$WORK")
else
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
fi
mkdir -p "$work/log"
cc="$work/zig cc -target wasm32-wasi"
# -Wdate-time: SOURCE_DATE_EPOCH is what __DATE__ tells.
cflags="-O2 -g0 -ffile-prefix-map=$work=. -Wno-date-time"

# The same bytes every time: no clock, no random hashes, no locale, no paths.
export SOURCE_DATE_EPOCH=1749600000 PYTHONHASHSEED=0 LC_ALL=C TZ=UTC
export ZIG_GLOBAL_CACHE_DIR=$work/zig-cache ZIG_LOCAL_CACHE_DIR=$work/zig-cache

# Runs a step's function once, in a shell of its own, with its output in a log.
step() {
    local name=$1 start=$SECONDS
    [ -e "$work/log/$name.done" ] && return
    # Not as a condition: in one, bash ignores -e.
    set +e
    (set -e; cd "$work"; "step_$name") >"$work/log/$name.log" 2>&1 </dev/null
    local status=$?
    set -e
    if [ $status -ne 0 ]; then
        tail -n 30 "$work/log/$name.log" >&2
        echo "build.sh: step '$name' failed" >&2
        exit 1
    fi
    touch "$work/log/$name.done"
    printf '%-10s %4d s\n' "$name" $((SECONDS - start))
}

# --- Steps --------------------------------------------------------------------------
# Sources, through apt with a configuration of its own: the machine's mirror and keys,
# but another suite. Only the original archives count: what Debian adds to them is not
# used, and may already be gone from the mirror, so their digests decide, not apt-get.
step_sources() {
    local mirror
    mirror=$(apt-get indextargets --format '$(REPO_URI) $(LABEL)' 'Created-By: Packages' |
        awk '$2 == "Debian" { print $1; exit }')
    mkdir -p apt/lists/partial apt/cache archives src
    cat >apt/apt.conf <<EOF
Dir::Etc::sourcelist "$work/apt/sources.list";
Dir::Etc::sourceparts "-";
Dir::State::lists "$work/apt/lists";
Dir::Cache "$work/apt/cache";
EOF
    echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $SUITE main" \
        >apt/sources.list
    export APT_CONFIG=$work/apt/apt.conf
    apt-get update
    cd archives
    for package in "$PYTHON" "$ZLIB" "$SQLITE"; do
        apt-get source --download-only --only-source "$package" || true
    done
    sha256sum --check <<EOF
$PYTHON_SHA256  $(echo "$PYTHON"_*.orig.tar.*z)
$ZLIB_SHA256  $(echo "$ZLIB"_*.orig.tar.*z)
$SQLITE_SHA256  $(echo "$SQLITE"_*.orig.tar.*z)
EOF
    for package in "$PYTHON" "$ZLIB" "$SQLITE"; do
        tar -xf "$package"_*.orig.tar.*z -C ../src
    done
    cd "$work/src/$PYTHON_TREE"
    for patch in "$here"/patches/*.patch; do
        patch -p1 --forward <"$patch"
    done
}

step_tools() {
    python3 -m venv pip
    echo "$ZIG" >requirements.txt
    pip/bin/pip install --quiet --no-deps --require-hashes --only-binary :all: -r requirements.txt
    ln -sf pip/lib/python3*/site-packages/ziglang/zig zig
    npm pack --silent "$BINARYEN"
    local found
    found=$(openssl dgst -sha512 -binary binaryen-*.tgz | base64 -w0)
    [ "$found" = "$BINARYEN_SHA512" ]
    tar -xf binaryen-*.tgz
}

# A CPython of this machine, of the same version: cross building asks for one, and it
# compiles the library. It has just the modules that this takes, with the same zlib as
# the guest, so that what it packs is the same everywhere.
step_native() {
    mkdir -p native/Modules
    cd native
    local name
    for name in "${zlib_files[@]}"; do
        gcc -O2 -fPIC -c "../src/$ZLIB_TREE/$name.c" -o "$name.o"
    done
    ar rcsD libz.a "${zlib_files[@]/%/.o}"
    cat >Modules/Setup.local <<EOF
*disabled*
_asyncio _blake2 _bz2 _codecs_cn _codecs_hk _codecs_iso2022 _codecs_jp _codecs_kr _codecs_tw
_ctypes _curses _curses_panel _datetime _dbm _decimal _elementtree _gdbm _hashlib
_interpchannels _interpqueues _interpreters _lsprof _lzma _md5 _multibytecodec
_multiprocessing _pickle _posixshmem _queue _sha1 _sha3 _socket _sqlite3 _ssl _statistics
_tkinter _uuid _zoneinfo mmap pyexpat readline resource syslog termios unicodedata
EOF
    ZLIB_CFLAGS="-I$work/src/$ZLIB_TREE" ZLIB_LIBS="$work/native/libz.a" \
        "../src/$PYTHON_TREE/configure" --disable-test-modules --without-doc-strings \
        --with-ensurepip=no OPT='-DNDEBUG -O0'
    make -j"$jobs" python sharedmods
    ./python -c 'import zlib'
}

# SQLite's one file is made by its own makefile, with the machine's compiler.
step_libs() {
    mkdir -p sqlite lib
    (cd sqlite && "../src/$SQLITE_TREE/configure" && make -j"$jobs" sqlite3.c sqlite3.h)
    cp sqlite/sqlite3.h "src/$ZLIB_TREE/zlib.h" "src/$ZLIB_TREE/zconf.h" lib/
    local name
    for name in "${zlib_files[@]}"; do
        $cc $cflags -c "src/$ZLIB_TREE/$name.c" -o "lib/$name.o"
    done
    # One process, no shared libraries, no memory-mapped files.
    $cc $cflags -DSQLITE_THREADSAFE=0 -DSQLITE_OMIT_LOAD_EXTENSION -DSQLITE_OMIT_WAL \
        -DSQLITE_OMIT_SHARED_CACHE -DSQLITE_MAX_MMAP_SIZE=0 -DSQLITE_DQS=0 \
        -DSQLITE_ENABLE_MATH_FUNCTIONS -DSQLITE_ENABLE_FTS5 -DSQLITE_ENABLE_RTREE \
        -c sqlite/sqlite3.c -o lib/sqlite3.o
    (cd lib && ../zig ar rcsD libz.a "${zlib_files[@]/%/.o}")
    ./zig ar rcsD lib/libsqlite3.a lib/sqlite3.o
}

step_configure() {
    mkdir -p wasi
    cd wasi
    local source=../src/$PYTHON_TREE
    CONFIG_SITE=$here/config.site CPYTHON_SOURCE=$source \
    CC=$cc AR="$work/zig ar" RANLIB="$work/zig ranlib" \
    CFLAGS=$cflags CPPFLAGS="-I$work/lib -DHAVE_PTHREAD_STUBS=1 -DSOCK_RAW=3" PKG_CONFIG_LIBDIR=/nowhere LDFLAGS="-O2 -L$work/lib" \
    ZLIB_CFLAGS=" " ZLIB_LIBS=-lz LIBSQLITE3_CFLAGS=" " LIBSQLITE3_LIBS=-lsqlite3 \
    "$source/configure" --host=wasm32-wasip1 --build="$("$source/config.guess")" \
        --with-build-python="$work/native/python" --prefix=/usr \
        --with-pymalloc --without-mimalloc --disable-ipv6 --disable-test-modules \
        --with-ensurepip=no OPT=-DNDEBUG
}

step_compile() {
    make -C wasi -j"$jobs" libpython3.13.a
}

# The library, and what configure found out, without the paths of this machine.
step_freeze() {
    mkdir -p frozen
    make -C wasi pybuilddir.txt
    local data=_sysconfigdata__wasi_wasm32-wasi.py
    sed "s|$work|/build|g" "wasi/$(cat wasi/pybuilddir.txt)/$data" >"frozen/$data"
    native/python "$here/freeze.py" frozen "src/$PYTHON_TREE/Lib" "frozen/$data"
    $cc $cflags -Iwasi "-Isrc/$PYTHON_TREE/Include" -Ifrozen --embed-dir=frozen \
        -DHAVE_PTHREAD_STUBS=1 -Wno-c23-extensions -c "$here/main.c" -o frozen/main.o
}

# What of a C library is our own (malloc.c and string.c say why), tried here first.
step_libc() {
    mkdir -p libc
    local name
    for name in malloc string; do
        gcc -O2 -fno-builtin -o "libc/${name}_test" "$here/${name}_test.c"
        "libc/${name}_test"
        $cc $cflags -fno-builtin -c "$here/$name.c" -o "libc/$name.o"
    done
}

# Objects come before archives: what they define is not taken from the C library's.
step_link() {
    $cc -O2 -g0 -o linked.wasm frozen/main.o libc/*.o wasi/Python/thread.o \
        wasi/libpython3.13.a \
        wasi/Modules/_decimal/libmpdec/libmpdec.a wasi/Modules/expat/libexpat.a \
        wasi/Modules/_hacl/libHacl_Hash_SHA2.a lib/libsqlite3.a lib/libz.a \
        -lwasi-emulated-signal -lwasi-emulated-getpid -lwasi-emulated-process-clocks \
        -z stack-size=8388608 -Wl,--strip-all
}

step_optimize() {
    node package/bin/wasm-opt -O3 --enable-bulk-memory --enable-bulk-memory-opt \
        --enable-call-indirect-overlong --enable-extended-const --enable-multivalue \
        --enable-mutable-globals --enable-nontrapping-float-to-int --enable-sign-ext \
        --strip-debug --strip-producers --strip-target-features linked.wasm -o optimized.wasm
}

# What programs seldom come to lies apart from what they often run: less to fetch into
# cold caches.
step_mark() {
    python3 "$here/branches.py" count optimized.wasm counting.wasm
    node --no-warnings "$here/count.mjs" counting.wasm counts python -c "$(cat "$here/train.py")"
    python3 "$here/branches.py" mark optimized.wasm counts python.wasm
}

step_pack() {
    cp "src/$PYTHON_TREE/LICENSE" .
    tar --format=ustar --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner \
        --mode=644 -cf python.tar python.wasm LICENSE
}

for name in sources tools native libs configure compile freeze libc link optimize mark pack; do
    step "$name"
done
cp "$work/python.tar" "$output"
