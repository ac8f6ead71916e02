"""What every CPython does as a guest, each that is installed."""
import json
import subprocess

import pytest
from conftest import BRIG

INSTALLED = [f"{name}@{version}" for name, version, *rest in
             (line.split() for line in
              subprocess.run([BRIG, "guest", "list"], capture_output=True, text=True,
                             check=True).stdout.splitlines())
             if name.startswith("python") and rest[0] == "installed"]
OURS = "python@3.13.5"


@pytest.fixture(params=INSTALLED)
def python(request, brig):
    def run(code, *flags, stdin=b""):
        return brig("python", "--guest", request.param, *flags, "-c", code, stdin=stdin)
    run.guest = request.param
    return run


def shows(done, text):
    assert (done.returncode, done.stdout.decode()) == (0, text), done.stderr.decode()


def test_the_standard_library_is_there(python):
    shows(python("import json, re, datetime, csv, random, hashlib, zlib, unittest\n"
                 "import collections, itertools, asyncio, dataclasses, pathlib, textwrap, html, uuid\n"
                 "print(json.dumps(re.findall('[0-9]', 'a1b2')), hashlib.sha256(b'').hexdigest()[:8])"),
          '["1", "2"] e3b0c442\n')


def test_a_traceback_shows_the_lines(python):
    done = python("def f():\n    return 1 / 0\n\nf()\n")
    assert done.returncode == 1 and b"return 1 / 0" in done.stderr and b"f()" in done.stderr
    assert done.stderr.endswith(b"ZeroDivisionError: division by zero\n")


@pytest.mark.parametrize("code", [
    "def f(n): return f(n + 1)\nf(0)",
    "import json; json.loads('[' * 100000)",
    "l = []\nfor _ in range(100000): l = [l]\nrepr(l)",
    "import re; re.compile('(' * 5000 + ')' * 5000)",
    "exec('(' * 5000)", "eval('-' * 100000 + '1')",
    "class A:\n def __getattr__(self, n): return getattr(self, n + 'a')\nA().x",
])
def test_what_goes_too_deep_is_an_exception(python, code):
    done = python(f"try:\n exec({code!r})\nexcept (RecursionError, MemoryError, SyntaxError) as e:\n"
                  " print('caught')\nprint('goes on')")
    if python.guest != OURS and done.returncode == 134:
        assert b"brig: trap: " in done.stderr  # their limits are for a larger stack
    else:
        shows(done, "caught\ngoes on\n")


def test_want_of_memory_is_an_exception_and_it_goes_on(python):
    shows(python("kept = []\ntry:\n while True: kept.append(bytearray(1 << 20))\n"
                 "except MemoryError:\n n = len(kept); kept = None\nprint(n > 20, sum(range(10)))",
                 "--memory", "96M"), "True 45\n")


def test_freed_memory_is_used_again(python):
    """An allocator that rounds up, or joins nothing, would need more than there is."""
    if "science" in python.guest:
        pytest.skip("its allocator is not ours")
    shows(python("for n in range(200):\n a = [bytearray(70_000 + 1000 * n) for _ in range(100)]\n"
                 "print('done')", "--memory", "96M"), "done\n")


def test_exit_statuses_are_the_programs(python):
    for code, status in (("", 0), ("raise SystemExit(3)", 3), ("import sys; sys.exit('no')", 1),
                         ("import os; os._exit(7)", 7), ("exit(256)", 255)):
        assert python(code).returncode == status, code


def test_a_module_run_to_its_normal_end_ends(brig, python):
    """Not by the driver, which leaves before the interpreter is taken down."""
    if "science" in python.guest:
        pytest.skip("a reactor")
    module = brig("guest", "path", python.guest).stdout.decode().strip()
    done = brig("run", "--fuel", "0", "--timeout", "20", module, "-c",
                "import atexit; atexit.register(print, 'bye'); print('hello')")
    shows(done, "hello\nbye\n")
    failed = brig("run", "--fuel", "0", "--timeout", "20", module, "-c", "raise SystemExit(5)")
    assert failed.returncode == 5


def test_fuel_is_the_same_each_time(brig, python):
    if "science" in python.guest:
        pytest.skip("compiling it metered takes minutes")

    def used():
        done = brig("python", "--guest", python.guest, "--fuel", "10000000000", "--json", "-c",
                    "print(sum(i * i for i in range(10000)))")
        return json.loads(done.stdout)["fuel_used"]
    first = used()
    assert abs(used() - first) < first / 100


def test_sqlite_and_compression_work_on_files(python, tmp_path):
    if python.guest != OURS:
        pytest.skip("what our own build adds")
    shows(python("import sqlite3, gzip, zipfile\n"
                 "c = sqlite3.connect('/d/x.db')\nc.execute('create virtual table t using fts5(a)')\n"
                 "c.execute('insert into t values (?)', ('one two',)); c.commit(); c.close()\n"
                 "print(sqlite3.connect('/d/x.db').execute(\"select a from t('two')\").fetchall())\n"
                 "with gzip.open('/d/g', 'wt') as f: f.write('x' * 9)\n"
                 "print(gzip.open('/d/g', 'rt').read(), zipfile.ZipFile('/d/z', 'w').namelist())",
                 "--dir-rw", f"{tmp_path}::/d"), "[('one two',)]\nxxxxxxxxx []\n")


def test_asyncio_runs(python):
    if python.guest != OURS:
        pytest.skip("the others' event loop wants a socket pair")
    shows(python("import asyncio\nasync def f(n):\n await asyncio.sleep(0.01)\n return n\n"
                 "async def main(): return await asyncio.gather(*map(f, range(3)))\n"
                 "print(asyncio.run(main()))"), "[0, 1, 2]\n")
