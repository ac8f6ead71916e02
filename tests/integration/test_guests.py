"""Interpreters: fetched or built, several of one name, removed again."""
import os
import re
import subprocess

import pytest
from conftest import BRIG, ROOT


@pytest.fixture
def empty(brig, tmp_path):
    """The command, with no interpreter installed."""
    config = tmp_path / "agent.yaml"
    config.write_text("wasi: {allowed_paths: []}\n")  # /tmp, by default, where we are
    brig.env |= {"XDG_DATA_HOME": str(tmp_path / "data"), "AGENT_CONFIG_PATH": str(config)}
    return brig


def installed(brig):
    return [line.split()[:2] for line in brig("guest", "list").stdout.decode().splitlines()
            if "not installed" not in line]


@pytest.mark.parametrize("name, greeting", [("python", ["python", "-c", "print(6 * 7)"]),
                                            ("quickjs", ["js", "-e", "print(6 * 7)"])])
def test_one_is_installed_from_nothing_verified_and_removed(empty, name, greeting):
    before = empty(*greeting)
    assert before.returncode == 125 and f"brig guest install {name}".encode() in before.stderr
    done = empty("guest", "install", name, timeout=300)
    assert done.returncode == 0, done.stderr.decode()
    assert [row[0] for row in installed(empty)] == [name]
    assert empty(*greeting).stdout == b"42\n"
    assert empty("guest", "verify").returncode == 0
    module = empty("guest", "path", name).stdout.decode().strip()
    os.truncate(module, 1000)
    spoilt = empty("guest", "verify", name)
    assert spoilt.returncode == 125 and b"not what was installed" in spoilt.stderr
    assert b"fetching" in empty("guest", "install", name, timeout=300).stderr
    assert empty("guest", "verify", name).returncode == 0
    assert empty("guest", "remove", name).returncode == 0
    assert installed(empty) == [] and os.listdir(os.path.dirname(os.path.dirname(module))) == []
    again = empty("guest", "remove", name)
    assert again.returncode == 125 and b"not installed" in again.stderr


def test_the_one_that_is_fetched_says_that_a_better_can_be_built(empty):
    done = empty("guest", "install", "python", timeout=300)
    assert done.returncode == 0 and b"Run `brig guest build python`" in done.stderr


def test_a_build_that_fails_installs_nothing_and_says_why(empty, tmp_path):
    work = tmp_path / "work"
    (work / "log").mkdir(parents=True)
    for step in "sources", "tools":  # so there are none
        (work / "log" / f"{step}.done").touch()
    done = empty("guest", "build", "python", env={"WORK": str(work), "JOBS": "1"})
    assert done.returncode == 125 and b"step 'native' failed" in done.stderr, done.stderr.decode()
    assert installed(empty) == []


def test_a_build_whose_bytes_are_not_those_of_the_manifest_is_refused(empty, tmp_path):
    work = tmp_path / "work"
    (work / "log").mkdir(parents=True)
    steps = re.search(r"^for name in (.*); do$", (ROOT / "guests/cpython/build.sh").read_text(), re.M)
    for step in steps[1].split():
        (work / "log" / f"{step}.done").touch()
    subprocess.run(["tar", "-cf", work / "python.tar", "-C", ROOT, "LICENSE"], check=True)
    done = empty("guest", "build", "python", env={"WORK": str(work)})
    assert done.returncode == 125 and b"digest" in done.stderr and installed(empty) == []


def test_of_several_the_better_is_used_unless_one_is_named(brig):
    if ["python", "3.13.5"] not in installed(brig) or ["python", "3.12.0"] not in installed(brig):
        pytest.skip("not both are installed")
    version = "import sys; print(sys.version.split()[0])"
    assert brig("python", "-c", version).stdout == b"3.13.5\n"
    for one in "3.12.0", "3.13.5":
        done = brig("python", "--guest", f"python@{one}", "-c", version)
        assert done.stdout.decode() == f"{one}\n"
    unknown = brig("python", "--guest", "python@2.7", "-c", version)
    assert unknown.returncode == 125 and b"python@3.12.0" in unknown.stderr


@pytest.mark.parametrize("words, says", [
    (["install", "python@3.13.5"], b"brig guest build"), (["build", "quickjs"], b"brig guest install"),
    (["install", "nothing"], b"there are: python@3.13.5"), (["build"], b"say `guest list"), (["remove"], b"say `guest list"),
])
def test_what_cannot_be_is_told(brig, words, says):
    done = brig("guest", *words)
    assert done.returncode == 125 and says in done.stderr
