#!/usr/bin/env python3
"""Runs CPython's own tests in interpreters that Brig has installed, and compares.

conformance.py LIB [--brig BRIG] [--guest NAME@VERSION ...] [--json FILE] [TEST ...]

LIB is the folder Lib of CPython's source, such as WORK/src/Python-3.13.5/Lib of
build.sh. Each test module runs in a guest of its own. A test that ends its guest is
counted as died, and left out of the next run, until the module comes to its end.
"""
import argparse
import collections
import json
import pathlib
import shutil
import subprocess
import tempfile

# What issue after issue of Python programs needs, and WASI allows.
TESTS = """json re math datetime csv collections itertools hashlib statistics decimal random
    unittest zlib sqlite3 zipfile asyncio.test_futures asyncio.test_locks asyncio.test_queues
    asyncio.test_runners asyncio.test_staggered asyncio.test_taskgroups asyncio.test_tasks
    asyncio.test_timeouts asyncio.test_waitfor""".split()

INSIDE = r'''
import os, sys, unittest
sys.path.append("/tests")
os.chdir("/tmp")
import test.support
test.support.use_resources = ()  # as CPython's own runner has it: none that takes long
test.support.requires_working_socket = lambda module=False: lambda test: test  # asyncio's do not
module, left_out = sys.argv[1], set(sys.argv[2:])
class Result(unittest.TestResult):
    def startTest(self, test):
        super().startTest(test)
        self.say("began", test)
    def say(self, what, test, detail=""):
        os.write(1, f"\0{what}\t{test.id()}\t{detail}\n".encode("utf-8", "replace"))
    def addSuccess(self, test): self.say("passed", test)
    def addError(self, test, err): self.say("failed", test, f"{err[0].__name__}: {str(err[1])[:200]!r}")
    def addFailure(self, test, err): self.say("failed", test, f"{err[0].__name__}: {str(err[1])[:200]!r}")
    def addSkip(self, test, reason): self.say("skipped", test, reason)
    def addExpectedFailure(self, test, err): self.say("passed", test)
    def addUnexpectedSuccess(self, test): self.say("failed", test, "unexpected success")
    def addSubTest(self, test, subtest, err):
        if err: self.say("failed", test, f"{err[0].__name__}: {str(err[1])[:200]!r}")
def tests(suite):
    for each in suite:
        if isinstance(each, unittest.TestSuite):
            yield from tests(each)
        else:
            yield each
try:
    found = unittest.defaultTestLoader.loadTestsFromName("test.test_" + module)
except unittest.SkipTest as skip:
    os.write(1, f"\0skipped\t{module}\t{skip}\n".encode())
    found = unittest.TestSuite()
def keep(suite):
    if not isinstance(suite, unittest.TestSuite):
        return suite
    return type(suite)(keep(each) for each in suite
                       if isinstance(each, unittest.TestSuite) or each.id() not in left_out)
keep(found).run(Result())
os.write(1, b"\0ended\t\t\n")
'''


def run_once(brig, guest, lib, module, left_out):
    """What each test of a module came to, and the test that ended the guest, if one did."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as scratch:
        done = subprocess.run(
            [brig, "python", "--guest", guest, "--dir", f"{lib}::/tests", "--dir-rw",
             f"{scratch}::/tmp", "--memory", "1G", "--timeout", "600", "--stdout-limit", "64M",
             "-c", INSIDE, module, *left_out], capture_output=True, stdin=subprocess.DEVNULL)
    outcome, last, ended = {}, None, False
    for line in done.stdout.decode(errors="replace").split("\0")[1:]:
        what, name, detail = line.split("\n")[0].split("\t", 2)
        if what == "began":
            last = name
        elif what == "ended":
            ended = True
        elif outcome.get(name, ("passed",))[0] == "passed":  # a failed subtest stays so
            outcome[name] = what, detail
    if ended:
        return outcome, None, ""
    return outcome, last, done.stderr.decode(errors="replace").strip().split("\n")[-1]


def run(brig, guest, lib, module):
    outcome, left_out = {}, []
    while True:
        latest, died, why = run_once(brig, guest, lib, module, left_out)
        outcome.update(latest)
        if died is None and why:
            outcome[module] = "died", why
        if died is None:
            return outcome
        outcome[died] = "died", why
        left_out.append(died)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lib", type=pathlib.Path)
    parser.add_argument("tests", nargs="*", default=TESTS)
    parser.add_argument("--brig", default="build/brig")
    parser.add_argument("--guest", action="append")
    parser.add_argument("--json", type=pathlib.Path)
    options = parser.parse_args()
    guests = options.guest or ["python@3.12.0", "python@3.13.5"]
    results = {}
    print(f"{'':<12}" + "".join(f"{guest:>34}" for guest in guests))
    with tempfile.TemporaryDirectory(dir="/var/tmp") as lib:
        shutil.copytree(options.lib / "test", f"{lib}/test", symlinks=True)
        for module in options.tests:
            line = f"{module:<12}"
            for guest in guests:
                outcome = run(options.brig, guest, lib, module)
                count = collections.Counter(what for what, _ in outcome.values())
                results.setdefault(module, {})[guest] = outcome
                line += f"{count['passed']:>12} ok {count['failed'] + count['died']:>4} not " \
                        f"{count['skipped']:>4} skipped"
            print(line, flush=True)
    for module, by_guest in results.items():
        for guest, outcome in by_guest.items():
            for name, (what, detail) in sorted(outcome.items()):
                if what in ("failed", "died"):
                    print(f"{guest} {what}: {name}: {detail}")
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))


main()
