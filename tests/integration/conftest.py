"""What the tests share: the command as built, guests from text, a clean home."""
import json
import os
import pathlib
import subprocess
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("BRIG_BUILD", ROOT / "build"))
BRIG = BUILD / "brig"

IMPORT = '(import "wasi_snapshot_preview1" "{name}" (func ${name} (param {params}){result}))'


def call(name, params, result=True):
    """The import of a host call, as text: i is i32, I is i64."""
    words = " ".join("i64" if p == "I" else "i32" for p in params)
    return IMPORT.format(name=name, params=words, result=" (result i32)" if result else "")


FD_WRITE = call("fd_write", "iiii")
PROC_EXIT = call("proc_exit", "i", result=False)


def say(text, fd=1, at=64):
    """Instructions that write `text`, kept by data() at the same address."""
    return (f"(i32.store (i32.const 0) (i32.const {at}))"
            f"(i32.store (i32.const 4) (i32.const {len(text)}))"
            f"(drop (call $fd_write (i32.const {fd}) (i32.const 0) (i32.const 1) (i32.const 8)))")


def data(text, at=64):
    quoted = "".join(f"\\{byte:02x}" for byte in text.encode())
    return f'(data (i32.const {at}) "{quoted}")'


def command(body, imports="", extra="", memory='(memory (export "memory") 1)'):
    return f'(module {imports} {memory} {extra} (func (export "_start") {body}))'


@pytest.fixture
def wasm(tmp_path):
    """Build a module from text; its path."""
    count = [0]

    def build(text, check=True):
        count[0] += 1
        source, module = tmp_path / f"m{count[0]}.wat", tmp_path / f"m{count[0]}.wasm"
        source.write_text(text)
        flags = [] if check else ["--no-check"]
        subprocess.run(["wat2wasm", *flags, "--enable-all", source, "-o", module], check=True)
        return module

    return build


def alive(pid):
    """Not gone, nor waiting for an init that is slow to reap."""
    try:
        return ") Z " not in open(f"/proc/{pid}/stat").read()
    except (FileNotFoundError, ProcessLookupError):
        return False


def all_end(pids, seconds=5):
    """Whether all of these processes end soon."""
    deadline = time.monotonic() + seconds
    while any(map(alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not any(map(alive, pids))


class Brig:
    def __init__(self, env):
        self.env = env

    def __call__(self, *args, stdin=b"", timeout=120, env=None):
        return subprocess.run([BRIG, *map(str, args)], input=stdin, capture_output=True,
                              timeout=timeout, env={**self.env, **(env or {})})

    def run(self, *args, **kwargs):
        """`brig run --json`: the result as a dictionary."""
        done = self("run", "--json", *args, **kwargs)
        assert done.stdout, done.stderr.decode()
        return json.loads(done.stdout)

    def python(self, code, *args, **kwargs):
        done = self("python", "--json", *args, "-c", code, **kwargs)
        assert done.stdout, done.stderr.decode()
        return json.loads(done.stdout)


@pytest.fixture
def brig():
    env = {key: os.environ[key] for key in ("PATH", "HOME", "XDG_DATA_HOME")
           if key in os.environ}
    env["XDG_CACHE_HOME"] = str(BUILD / "test-cache")
    return Brig(env)
