"""Limits hold, and the result says which one was met."""
import time

import pytest
from conftest import FD_WRITE, PROC_EXIT, call, command, data, say

FOREVER = "(loop $l (br $l))"


def test_a_loop_ends_at_its_deadline_and_keeps_its_output(brig, wasm):
    module = wasm(command(say("before") + FOREVER, FD_WRITE, data("before")))
    begun = time.monotonic()
    result = brig.run("--timeout", "0.3", "--fuel", "0", module)
    assert time.monotonic() - begun < 5
    assert (result["outcome"], result["stdout"]) == ("timeout", "before")


def test_a_loop_in_the_start_function_ends_too(brig, wasm):
    module = wasm(f'(module (memory (export "memory") 1) (func $s {FOREVER}) (start $s)'
                  '(func (export "_start")))')
    assert brig.run("--timeout", "0.3", "--fuel", "0", module)["outcome"] == "timeout"
    assert brig.run("--fuel", "10000", module)["outcome"] == "fuel"


def test_a_sleeping_guest_ends_at_its_deadline_and_costs_no_cpu(brig):
    result = brig.python("import time; time.sleep(100)", "--timeout", "1")
    assert result["outcome"] == "timeout"
    assert result["cpu_us"] < 500_000


def test_a_read_that_never_comes_ends_at_its_deadline(brig):
    import subprocess
    from conftest import BRIG
    with subprocess.Popen([BRIG, "python", "--timeout", "0.5", "-c", "input()"],
                          stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=brig.env) as process:
        assert process.wait(timeout=20) == 124
        assert b"timeout" in process.stderr.read()


def test_fuel_runs_out_and_is_counted_to_the_unit(brig, wasm):
    module = wasm(command(FOREVER))
    first = brig.run("--fuel", "100000", module)
    assert first["outcome"] == "fuel"
    counting = wasm(command("(local $i i32) (loop $l (local.set $i (i32.add (local.get $i)"
                            "(i32.const 1))) (br_if $l (i32.lt_u (local.get $i) (i32.const 1000))))"))
    used = {brig.run(counting)["fuel_used"] for _ in range(3)}
    assert len(used) == 1 and used.pop() > 1000


def test_a_guest_sees_a_failed_grow_at_the_memory_limit(brig, wasm):
    grow = ("(local $n i32) (loop $l (if (i32.ne (memory.grow (i32.const 1)) (i32.const -1))"
            "(then (br $l)))) (call $proc_exit (memory.size))")
    module = wasm(command(grow, PROC_EXIT))
    result = brig.run("--memory", "1M", module)
    assert (result["outcome"], result["exit_code"]) == ("exited", 16)
    assert result["memory_bytes"] == 1 << 20


def test_python_gets_a_memory_error_and_goes_on(brig):
    result = brig.python("try:\n  x = bytearray(200 << 20)\nexcept MemoryError:\n  print('full')",
                         "--memory", "64M")
    assert (result["outcome"], result["stdout"]) == ("exited", "full\n")


def test_deep_recursion_is_a_trap_by_name(brig, wasm):
    module = wasm('(module (memory (export "memory") 1) (func $f (call $f) (call $f))'
                  '(func (export "_start") (call $f)))')
    result = brig.run("--fuel", "0", module)
    assert (result["outcome"], result["trap"]) == ("trapped", "stack overflow")


@pytest.mark.parametrize("body, trap", [
    ("unreachable", "unreachable"),
    ("(drop (i32.load (i32.const -1)))", "memory access out of bounds"),
    ("(drop (i32.div_u (i32.const 1) (i32.const 0)))", "integer division by zero"),
    ("(drop (i32.div_s (i32.const 0x80000000) (i32.const -1)))", "integer overflow"),
    ("(drop (i32.trunc_f32_s (f32.const nan)))", "invalid conversion to integer"),
])
def test_a_trap_has_a_name_and_keeps_the_output(brig, wasm, body, trap):
    result = brig.run(wasm(command(say("out") + body, FD_WRITE, data("out"))))
    assert (result["outcome"], result["trap"], result["stdout"]) == ("trapped", trap, "out")


@pytest.mark.parametrize("cap", [1_048_575, 1_048_576, 1_048_577, 10])
def test_output_beyond_its_cap_is_counted_and_not_a_failure(brig, cap):
    total = 3 << 20
    result = brig.python(f"import sys; sys.stdout.write('x' * {total}); print('e', file=sys.stderr)",
                         "--stdout-limit", cap)
    assert (result["outcome"], result["exit_code"]) == ("exited", 0)
    assert len(result["stdout"]) == cap and result["stdout_dropped"] == total - cap
    assert result["stderr"] == "e\n" and result["stderr_dropped"] == 0


@pytest.mark.parametrize("code", [0, 1, 2, 126, 255, 256, 300, 2**32 - 1])
def test_exit_codes_are_exact_in_json_and_bounded_for_the_shell(brig, wasm, code):
    module = wasm(command(f"(call $proc_exit (i32.const {code}))", PROC_EXIT))
    assert brig.run(module)["exit_code"] == code
    assert brig("run", module).returncode == min(code, 255)


def test_exit_statuses_are_those_of_the_manual(brig, wasm, tmp_path):
    loop = wasm(command(FOREVER))
    assert brig("run", "--timeout", "0.2", "--fuel", "0", loop).returncode == 124
    assert brig("run", "--fuel", "1000", loop).returncode == 137
    assert brig("run", tmp_path / "none.wasm").returncode == 125
    assert brig("run", __file__).returncode == 126
    assert brig("run", "--nonsense").returncode == 125
    assert brig("run", wasm(command("unreachable"))).returncode == 134


def test_the_quota_bounds_what_a_guest_writes(brig, tmp_path):
    work = tmp_path / "work"
    work.mkdir()
    code = ("import os\nn = 0\ntry:\n  f = open('/w/f', 'wb', buffering=0)\n"
            "  while True: n += f.write(b'x' * 65536)\nexcept OSError as e: print(n, e.strerror)")
    result = brig.python(code, "--dir-rw", f"{work}::/w", "--quota", "1M")
    assert result["stdout"].startswith("1048576 ")
    assert result["quota_exceeded"] and result["written_bytes"] == 1 << 20
    assert (work / "f").stat().st_size == 1 << 20
    files = ("n = 0\ntry:\n  while True:\n    open(f'/w/g{n}', 'w').close(); n += 1\n"
             "except OSError as e: print(n)")
    assert brig.python(files, "--dir-rw", f"{work}::/w", "--quota-files", "7")["stdout"] == "7\n"


def test_a_sparse_file_is_charged_whole(brig, tmp_path):
    work = tmp_path / "work"
    work.mkdir()
    code = ("f = open('/w/f', 'wb', buffering=0)\nf.seek(1 << 40)\n"
            "try: f.write(b'x')\nexcept OSError as e: print(e.strerror)\n"
            "try: f.truncate(1 << 40)\nexcept OSError as e: print(e.strerror)")
    result = brig.python(code, "--dir-rw", f"{work}::/w")
    assert result["stdout"].count("No space") == 2 and (work / "f").stat().st_size == 0


def test_what_a_guest_removes_it_may_write_again(brig, tmp_path):
    work = tmp_path / "work"
    work.mkdir()
    code = ("import os\nfor i in range(10):\n  open('/w/f', 'wb').write(b'x' * (900 << 10))\n"
            "  os.unlink('/w/f')\nprint('done')")
    result = brig.python(code, "--dir-rw", f"{work}::/w", "--quota", "1M")
    assert result["stdout"] == "done\n" and not result["quota_exceeded"]


def test_tables_are_bounded(brig, wasm):
    module = wasm('(module (memory (export "memory") 1) (table 20000 funcref)'
                  '(func (export "_start")))')
    done = brig("run", module)
    assert done.returncode == 126 and b"table" in done.stderr
