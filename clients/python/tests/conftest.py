"""A `brig serve` of the tests' own: the command of BRIG, or that of this tree's build."""
import json
import os
import pathlib
import subprocess
import time

import pytest
from brig_client import Client

ROOT = pathlib.Path(__file__).resolve().parents[3]
BRIG = os.environ.get("BRIG", str(ROOT / "build/brig"))


class Serve:
    def __init__(self, home, settings=()):
        words = {"metrics.port": 0, "wasi.allowed_paths": "", "session.in_memory": "true",
                 "enforcement.rate_limit_per_key_rps": 100000, "server.listen": "127.0.0.1:0",
                 **dict(settings)}
        if "BRIG_TEST_HELPER" in os.environ:  # the sanitizers need it: see CONTRIBUTING.md
            words["sandbox.helper"] = os.environ["BRIG_TEST_HELPER"]
        environment = {key: os.environ[key] for key in ("PATH", "HOME", "XDG_DATA_HOME",
                                                        "XDG_CACHE_HOME") if key in os.environ}
        self.log = home / f"log-{time.monotonic_ns()}"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [BRIG, "serve", *(f"--set={key}={value}" for key, value in words.items())],
                stderr=log, env={**environment, "XDG_STATE_HOME": str(home / "state")})
        self.address = self.event("starting")["address"]
        self.event("serving")

    def events(self, name):
        lines = self.log.read_text().splitlines()
        return [event for line in lines if line.startswith("{")
                and (event := json.loads(line))["event"] == name]

    def event(self, name, seconds=120):
        """The last of its name, once there is one."""
        end = time.monotonic() + seconds
        while not (events := self.events(name)):
            assert time.monotonic() < end and self.process.poll() is None, self.log.read_text()
            time.sleep(0.02)
        return events[-1]

    def stop(self):
        self.process.terminate()
        assert self.process.wait(timeout=60) == 0, self.log.read_text()


@pytest.fixture
def serve(tmp_path):
    servers = []

    def start(**settings):
        servers.append(Serve(tmp_path, {key.replace("__", "."): value
                                        for key, value in settings.items()}))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    """One for all that leave it as it was."""
    server = Serve(tmp_path_factory.mktemp("serve"),
                   {"enforcement.circuit_breaker_min_requests": 1000000})
    yield server
    server.stop()


@pytest.fixture
def client(shared):
    with Client(shared.address) as client:
        yield client


def openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


@pytest.fixture
def keys(tmp_path):
    """ca.pem, and of that authority server.pem and client.pem, each with its key."""
    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout")
    openssl("req", "-x509", *new_key, tmp_path / "ca.key", "-out", tmp_path / "ca.pem",
            "-subj", "/CN=ca")
    for name in ("server", "client"):
        (tmp_path / f"{name}.ext").write_text(f"subjectAltName=DNS:{name}\n")
        openssl("req", *new_key, tmp_path / f"{name}.key", "-out", tmp_path / f"{name}.csr",
                "-subj", f"/CN={name}")
        openssl("x509", "-req", "-in", tmp_path / f"{name}.csr", "-CA", tmp_path / "ca.pem",
                "-CAkey", tmp_path / "ca.key", "-CAcreateserial", "-days", 2,
                "-extfile", tmp_path / f"{name}.ext", "-out", tmp_path / f"{name}.pem")
    return tmp_path
