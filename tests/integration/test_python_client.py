"""The package of clients/python, as its users get it: a wheel, installed, and its own tests."""
import os
import shutil
import subprocess

import pytest
from conftest import BRIG, BUILD, ROOT
from packages import python_environment


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A copy of the package's folder, and the Python that has its wheel; the packages that it
    needs are those of another environment."""
    folder = tmp_path_factory.mktemp("client")
    needs = python_environment("python-client", "python_client.txt")
    shutil.copytree(ROOT / "clients/python", folder / "source",
                    ignore=shutil.ignore_patterns("__pycache__", "*.egg-info", "build"))
    subprocess.run([needs / "bin/pip", "wheel", "--quiet", "--no-index", "--no-deps",
                    "--no-build-isolation", "--wheel-dir", folder, folder / "source"], check=True)
    wheel, = folder.glob("*.whl")
    shutil.rmtree(folder / "source/src")
    subprocess.run([needs / "bin/pip", "install", "--quiet", "--no-index", "--no-deps", "--target",
                    folder / "installed", wheel], check=True)

    def run(*arguments):
        done = subprocess.run(
            [needs / "bin/python", "-m", *arguments], cwd=folder / "source", capture_output=True,
            text=True, env={**os.environ, "PYTHONPATH": str(folder / "installed"),
                            "BRIG": str(BRIG), "XDG_CACHE_HOME": str(BUILD / "test-cache")})
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout
    return run


def test_its_own_tests_pass(installed):
    said = installed("pytest", "-q", "-p", "no:cacheprovider", "tests")
    assert " passed" in said and "skipped" not in said


def test_its_types_are_right(installed, tmp_path):
    installed("mypy", "--strict", "--cache-dir", tmp_path / "cache", "-p", "brig_client")
    user = tmp_path / "user.py"
    user.write_text("from brig_client import Client, Result\n"
                    "result: Result = Client('x:1').python('1', session_id='s', memory_mb=1)\n")
    installed("mypy", "--strict", "--cache-dir", tmp_path / "cache", user)
    user.write_text("from brig_client import Client\nClient('x:1').python('1', session='s')\n")
    with pytest.raises(AssertionError, match="session"):
        installed("mypy", "--strict", "--cache-dir", tmp_path / "cache", user)
