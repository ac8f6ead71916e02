"""What tests get from package registries, by digest, each once, into the build directory."""
import contextlib
import fcntl
import subprocess
import sys

from conftest import BUILD, ROOT


@contextlib.contextmanager
def alone(name):
    """One test at a time; others wait."""
    with open(BUILD / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def python_environment(name, requirements):
    """A virtual environment with the packages of a file of this folder, and no others."""
    requirements = ROOT / "tests/integration" / requirements
    folder, wanted = BUILD / name, sys.version + requirements.read_text()
    ready = folder / "ready"
    with alone(name):
        if not ready.exists() or ready.read_text() != wanted:
            subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
            subprocess.run([folder / "bin/pip", "install", "--quiet", "--require-hashes",
                            "--disable-pip-version-check", "-r", requirements], check=True)
            ready.write_text(wanted)
    return folder


def go_program(name, folder, package):
    """A program of the versions that go.sum of `folder` names."""
    program = BUILD / name
    with alone(name):
        subprocess.run(["go", "build", "-mod=readonly", "-o", program, package], cwd=folder,
                       check=True)
    return program
