"""@grpc/grpc-js, the gRPC library of Node.js, against `brig serve`."""
import os
import shutil
import subprocess

from conftest import BUILD, ROOT
from packages import alone
from serve import Serve

FILES = ROOT / "tests/node_client"


def node_modules():
    """Those of package-lock.json, in the build directory."""
    folder = BUILD / "node-client"
    with alone("node-client"):
        folder.mkdir(exist_ok=True)
        wanted, ready = (FILES / "package-lock.json").read_text(), folder / "ready"
        if not ready.exists() or ready.read_text() != wanted:
            for name in ("package.json", "package-lock.json"):
                shutil.copy(FILES / name, folder)
            subprocess.run(["npm", "ci", "--silent", "--ignore-scripts", "--no-audit"], cwd=folder,
                           check=True)
            ready.write_text(wanted)
    return folder / "node_modules"


def test_node_speaks_with_it(tmp_path):
    modules, server = node_modules(), Serve(tmp_path)
    env = {"PATH": os.environ["PATH"], "NODE_PATH": str(modules),
           "PROTO": str(ROOT / "proto"), "BRIG_ADDRESS": server.address}
    try:
        done = subprocess.run(["node", "--test", FILES / "client.test.js"], env=env, timeout=120,
                              capture_output=True, text=True)
    finally:
        assert server.stop() == 0
    assert done.returncode == 0 and "pass 8" in done.stdout, done.stdout + done.stderr
