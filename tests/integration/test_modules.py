"""What is not a module that can run is refused, quickly, with the reason."""
import struct
import time

import pytest
from conftest import FD_WRITE, PROC_EXIT, call, command, data, say

HEAD = b"\0asm\1\0\0\0"


def leb(number):
    out = b""
    while True:
        number, low = number >> 7, number & 127
        out += bytes([low | (0x80 if number else 0)])
        if not number:
            return out


def section(kind, payload):
    return bytes([kind]) + leb(len(payload)) + payload


def one_function(code, types=b"\x01\x60\0\0"):
    body = b"\0" + code + b"\x0b"
    return (HEAD + section(1, types) + section(3, b"\x01\0") +
            section(7, b"\x01\x06_start\0\0") + section(10, b"\x01" + leb(len(body)) + body))


@pytest.mark.parametrize("content, says", [
    (b"", "not WebAssembly"),
    (b"\0", "not WebAssembly"),
    (b"\0asm\1\0\0", "version 1"),
    (b"\0asm\2\0\0\0", "version 1"),
    (b"#!/bin/sh\n", "not WebAssembly"),
    (b"\0asm\x0d\0\1\0", "component"),
    (HEAD, "_start"),
    (HEAD + b"\x01\xff\xff\xff\xff\x7f", ""),
    (HEAD + section(3, b"\0") + section(1, b"\0"), "order"),
    (HEAD + b"\x01\x85\x80\x80\x80\x80\x80\x00", ""),
    (HEAD + section(10, b"\x01"), ""),
])
def test_what_is_no_module_is_refused(brig, tmp_path, content, says):
    module = tmp_path / "m.wasm"
    module.write_bytes(content)
    done = brig("run", module)
    assert done.returncode == 126, done.stderr
    assert says in done.stderr.decode() and len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("text, says", [
    ('(module (memory (export "memory") 1 65536) (func (export "_start")))', "declares"),
    ('(module (memory (export "memory") 8192) (func (export "_start")))', "begins with"),
    ('(module (memory (export "memory") 1) (func (export "main")))', "_start"),
    ('(module (memory (export "memory") 1) (func (export "_start") (param i32)))', "_start"),
    ('(module (import "env" "f" (func)) (func (export "_start")))', "env.f"),
    ('(module (import "wasi_snapshot_preview1" "fd_write" (func)) (func (export "_start")))', "type"),
    ('(module (import "wasi_unstable" "fd_write" (func)) (func (export "_start")))', "wasi_unstable"),
    ('(module (import "env" "memory" (memory 1)) (func (export "_start")))', "env.memory"),
    ('(module (memory (export "memory") i64 1) (func (export "_start")))', "memory64"),
    ('(module (memory (export "memory") 1 1 shared) (func (export "_start")))', "threads"),
    ('(module (memory 1) (memory 1) (func (export "_start")))', "multi"),
    ('(module (func (export "_start") (return_call 0)))', "tail call"),
    ('(module (tag) (func (export "_start") (throw 0)))', "exceptions"),
])
def test_what_a_module_may_not_have_is_refused_by_name(brig, wasm, text, says):
    done = brig("run", wasm(text, check=False))
    assert done.returncode == 126, done.stderr
    assert says in done.stderr.decode()


def test_host_calls_need_an_exported_memory(brig, wasm):
    done = brig("run", wasm(f'(module {FD_WRITE} (memory 1) (func (export "_start")))'))
    assert done.returncode == 126 and b"memory" in done.stderr


def test_what_clang_and_rustc_emit_is_accepted(brig, wasm):
    body = ("(drop (i32.trunc_sat_f32_s (f32.const nan))) (drop (i32.extend8_s (i32.const 200)))"
            "(memory.copy (i32.const 0) (i32.const 8) (i32.const 8))"
            "(drop (i8x16.add (v128.const i32x4 1 2 3 4) (v128.const i32x4 1 2 3 4)))")
    assert brig.run(wasm(command(body)))["outcome"] == "exited"


def test_the_size_limit_is_exact(brig, tmp_path):
    whole = one_function(b"")
    limit = 50 << 20
    filler = limit - len(whole)
    for extra, status in ((0, 0), (1, 126)):
        payload = b"\x01x" + bytes(filler - 2 - 1 - 4 + extra)
        module = tmp_path / "m.wasm"
        module.write_bytes(whole + b"\0" + leb(len(payload)) + payload)
        assert module.stat().st_size == limit + extra
        done = brig("run", module)
        assert done.returncode == status, done.stderr
    module.write_bytes(whole + bytes(100 << 20))
    assert b"max_module_bytes" in brig("run", module).stderr


def test_nested_loops_that_compile_for_ever_are_stopped(brig, tmp_path):
    depth = 100_000
    module = tmp_path / "m.wasm"
    module.write_bytes(one_function(b"\x03\x40" * depth + b"\x0b" * depth))
    config = tmp_path / "agent.yaml"
    config.write_text("compile: {timeout_secs: 2}\n")
    begun = time.monotonic()
    done = brig("run", module, env={"AGENT_CONFIG_PATH": str(config)})
    assert done.returncode == 126 and time.monotonic() - begun < 20, done.stderr


def test_a_compiler_without_memory_is_a_refusal(brig, tmp_path):
    count = 300_000
    functions = b"".join([b"\x02\0\x0b"] * count)
    module = tmp_path / "m.wasm"
    module.write_bytes(HEAD + section(1, b"\x01\x60\0\0") + section(3, leb(count) + bytes(count)) +
                       section(7, b"\x01\x06_start\0\0") + section(10, leb(count) + functions))
    config = tmp_path / "agent.yaml"
    config.write_text("compile: {memory_limit_bytes: 64M}\n")
    done = brig("run", module, env={"AGENT_CONFIG_PATH": str(config)})
    assert done.returncode == 126 and b"memory" in done.stderr, done.stderr


def test_compiled_code_is_kept_and_found_again(brig, wasm, tmp_path):
    module = wasm(command(say("hi"), FD_WRITE, data("hi")))
    env = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    assert brig.run(module, env=env)["code_cached"] is False
    assert brig.run(module, env=env)["code_cached"] is True
    kept = list((tmp_path / "cache" / "brig").glob("*.code"))
    assert len(kept) == 1 and (tmp_path / "cache" / "brig").stat().st_mode & 0o077 == 0
    kept[0].write_bytes(kept[0].read_bytes()[:-1])  # cut short: made again
    assert brig.run(module, env=env)["stdout"] == "hi"


def test_a_cache_that_others_may_write_is_refused(brig, wasm, tmp_path):
    cache = tmp_path / "cache" / "brig"
    cache.mkdir(parents=True)
    cache.chmod(0o777)
    done = brig("run", wasm(command("")), env={"XDG_CACHE_HOME": str(tmp_path / "cache")})
    assert done.returncode == 125 and b"writable" in done.stderr


def test_the_cache_is_bounded_and_drops_what_was_used_longest_ago(brig, wasm, tmp_path):
    config = tmp_path / "agent.yaml"
    config.write_text(f"cache: {{directory: {tmp_path}/cache, max_bytes: 1M}}\n")
    env = {"AGENT_CONFIG_PATH": str(config)}
    for i in range(120):
        brig("run", wasm(command(f"(drop (i32.const {i}))")), env=env)
    kept = list((tmp_path / "cache").glob("*.code"))
    assert 0 < sum(f.stat().st_size for f in kept) <= 1 << 20 and len(kept) < 120
