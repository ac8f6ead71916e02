"""guests/cpython/branches.py: what a module seldom comes to is marked, and it does the same."""
import importlib.util
import shutil
import subprocess
import sys

import pytest
from conftest import FD_WRITE, ROOT, command, data, say

RECIPE = ROOT / "guests/cpython"
spec = importlib.util.spec_from_file_location("branches", RECIPE / "branches.py")
branches = importlib.util.module_from_spec(spec)
spec.loader.exec_module(branches)

# Called 200 times; its branches by how often: an `if` 1 and 199, a br_if that falls through 2.
WORK = """
(global $sum (mut i64) (i64.const 0))
(table funcref (elem $work)) (type $work (func (param i32)))
(func $work (param $n i32)
  (if (i32.eq (local.get $n) (i32.const 7))
    (then (global.set $sum (i64.add (global.get $sum) (i64.const -1000000007))))
    (else (global.set $sum (i64.add (global.get $sum)
      (i64.trunc_sat_f64_s (f64.mul (f64.const 1.5) (f64.convert_i32_u (local.get $n))))))))
  (block $out
    (br_if $out (i32.ge_u (local.get $n) (i32.const 2)))
    (memory.fill (i32.const 1024) (i32.const 0) (i32.const 16)))
  (block $a (block $b (block $c
    (br_table $a $b $c (i32.rem_u (local.get $n) (i32.const 3)))))
    (global.set $sum (i64.add (global.get $sum) (select (result i64) (i64.const 2) (i64.const 3)
      (i32.const 0))))))
"""
MAIN = """(local $i i32)
(loop $again
  (call_indirect (type $work) (local.get $i) (i32.const 0))
  (br_if $again (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 200))))
(if (i64.eq (global.get $sum) (i64.const {sum})) (then {yes}) (else {no}))"""
SUM = sum(n + n // 2 for n in range(200)) - (7 + 3) - 1000000007 + 3 * sum(n % 3 != 0 for n in range(200))


def tool(*words):
    return subprocess.run([sys.executable, RECIPE / "branches.py", *words], capture_output=True, text=True)


@pytest.fixture
def module(wasm):
    text = MAIN.format(sum=SUM, yes=say("yes"), no=say("no!", at=128))
    return wasm(command(text, FD_WRITE, WORK + data("yes") + data("no!", at=128)))


@pytest.fixture
def counts(module, tmp_path):
    counting, counts = tmp_path / "counting.wasm", tmp_path / "counts"
    assert tool("count", module, counting).returncode == 0
    node = shutil.which("node")
    for _ in range(2):  # the same each time
        done = subprocess.run([node, "--no-warnings", RECIPE / "count.mjs", counting, counts],
                              capture_output=True)
        assert done.returncode == 0 and done.stdout == b"", done.stderr.decode()
    return counts


def test_places_are_counted(module, counts):
    found = [int(line) for line in counts.read_text().split()]
    # work: it, then, else, their end, br_if's other way, the ends of $out, $c, $b, $a
    assert found[:9] == [200, 1, 199, 200, 2, 200, 66, 133, 200]
    assert found[9:12] == [1, 200, 1]  # main: it, its loop, and what follows its br_if
    assert not any(found[16:])


def test_what_is_rare_is_marked_and_nothing_else_changes(brig, module, counts, tmp_path):
    marked = tmp_path / "marked.wasm"
    assert tool("mark", module, counts, marked).returncode == 0
    for path in module, marked:
        assert brig.run(path)["stdout"] == "yes"
    content = marked.read_bytes()
    bodies = list(branches.bodies(content))
    [hints] = [content[begin:end] for kind, begin, end in branches.sections(content)
               if kind == 0 and b"branch_hint" in content[begin:end]]
    size, at = branches.leb(hints, 0)
    count, at = branches.leb(hints, at + size)
    assert count == 2
    told = []
    for _ in range(count):
        function, at = branches.leb(hints, at)
        marks, at = branches.leb(hints, at)
        for _ in range(marks):
            offset, at = branches.leb(hints, at)
            assert hints[at:at + 2] == b"\1\0"
            at += 2
            where = bodies[function - 1][0] + offset - branches.BRANCH
            assert content[where:where + len(branches.MARK)] == branches.MARK
            told.append(function)
    assert at == len(hints) and told[:2] == [1, 1] and told[2:] == [2] * len(told[2:])


@pytest.mark.parametrize("text, says", [
    ('(module (memory (import "a" "b") 1) (global i32 (i32.const 0)) (func (export "_start")))',
     "only functions"),
    ('(module (global i32 (i32.const 0)) (func (export "_start") (drop (v128.const i64x2 0 0))))',
     "0xfd"),
    ('(module (func (export "_start")))', "no section"),
])
def test_what_it_does_not_know_it_refuses(wasm, tmp_path, text, says):
    done = tool("count", wasm(text), tmp_path / "out.wasm")
    assert done.returncode == 1 and says in done.stderr
