"""The examples of examples/grpc: clients as written for the server that Brig takes the place of."""
import os
import shutil
import subprocess

import pytest
from conftest import ROOT
from packages import alone, python_environment
from serve import Serve


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Serve(tmp_path_factory.mktemp("serve"))
    yield server
    assert server.stop() == 0


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """The examples and the messages, to generate code in."""
    root = tmp_path_factory.mktemp("examples")
    shutil.copytree(ROOT / "proto", root / "proto")
    shutil.copytree(ROOT / "examples/grpc", root / "examples/grpc",
                    ignore=shutil.ignore_patterns("generated", "pb", "bin", "client"))
    return root / "examples/grpc"


@pytest.fixture(scope="module")
def python_client(copy):
    python = python_environment("python-client", "python_client.txt") / "bin/python"
    subprocess.run([copy / "python/generate.sh"], check=True,
                   env={**os.environ, "PYTHON": str(python)})
    return [python, copy / "python/client.py"]


@pytest.fixture(scope="module")
def go_client(copy):
    with alone("go-example"):
        subprocess.run([copy / "go/generate.sh"], check=True)
        subprocess.run(["go", "build", "-mod=readonly", "-o", "client", "."], cwd=copy / "go",
                       check=True)
    return [copy / "go/client"]


@pytest.fixture(params=["python_client", "go_client"])
def run(request, server, copy):
    command = request.getfixturevalue(request.param)

    def run(program):
        return subprocess.run([*command, server.address], input=program, capture_output=True,
                              text=True, timeout=60,
                              env={**os.environ, "PYTHONPATH": str(copy / "python/generated")})
    return run


def test_an_example_runs_a_program(run):
    done = run("print('é', 6 * 7)")
    assert (done.returncode, done.stdout, done.stderr) == (0, "é 42\n", "")


def test_an_example_keeps_files_in_its_session(run):
    assert run("open('kept', 'w').write('here')").returncode == 0
    assert run("print(open('/workspace/kept').read())").stdout == "here\n"


def test_an_example_tells_why_a_program_failed(run):
    done = run("print('before')\n1 / 0")
    assert (done.returncode, done.stdout) == (1, "")
    assert "[WASI] Execution failed: exit status 1" in done.stderr
    assert "ZeroDivisionError" in done.stderr
