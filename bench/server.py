"""The server: gRPC clients on loopback, one of Go's and one in C (calls.c), which leaves more of
the processors to the server, beside libbrig called directly. Figures go to
BUILD/bench/server.json.

    server.py BUILD WASMTIME ROUNDS
"""
import json
import os
import pathlib
import socket
import statistics
import subprocess
import time

from harness import HELLO, Client, build, here, percentile, rounds, work

median = statistics.median
TEMPLATE = "  named: {python: {guest: python}}\n"
REQUEST = """
metadata { task_id: "bench" }
available_tools: "code_executor"
context { fields { key: "tool_parameters" value { struct_value {
  fields { key: "tool" value { string_value: "code_executor" } }
  fields { key: "wasm_path" value { string_value: "/opt/wasm-interpreters/python-3.11.4.wasm" } }
  fields { key: "stdin" value { string_value: "print('hello')" } }
  fields { key: "argv" value { list_value { values { string_value: "python" }
    values { string_value: "-c" }
    values { string_value: "import sys; exec(sys.stdin.read())" } } } }
} } } }
"""
EXECUTE, HEALTH = (f"/shannon.agent.AgentService/{name}" for name in ("ExecuteTask", "HealthCheck"))


class Server:
    """`brig serve`, from its start until it says that it is ready."""

    def __init__(self):
        config = work / "server.yaml"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        config.write_text(f"""wasi: {{allowed_paths: []}}
server: {{listen: "{self.address}"}}
metrics: {{port: 0}}
log: {{level: error}}
enforcement: {{rate_limit_per_key_rps: 1000000}}
session: {{in_memory: true, workspaces_directory: {work}/server}}
templates:
{TEMPLATE}""")
        path = str(work / "notify")
        pathlib.Path(path).unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices:
            notices.bind(path)
            begun = time.perf_counter()
            self.process = subprocess.Popen(
                [build / "brig", "serve"],
                env={**os.environ, "AGENT_CONFIG_PATH": str(config), "NOTIFY_SOCKET": path})
            while b"READY=1" not in notices.recv(4096):
                pass
            self.start_ms = (time.perf_counter() - begun) * 1e3

    def close(self):
        self.process.terminate()
        self.process.wait()

    def resident_mb(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) * 1024 / 1e6

    def load(self, client, method, request, callers, count):
        """(a second, milliseconds of each)"""
        done = subprocess.run([work / client, self.address, method, request, str(callers), str(count)],
                              check=True, capture_output=True, text=True).stdout.split()
        return count / float(done[-1]), [float(word) for word in done[:-2]]


def message(name, text):
    path = work / name
    path.write_bytes(subprocess.run(
        ["protoc", f"-I{here.parent}/proto", "-I/usr/include", "agent/agent.proto",
         "--encode=shannon.agent.ExecuteTaskRequest"],
        input=text.encode(), check=True, capture_output=True).stdout)
    return path


subprocess.run(["go", "build", "-C", here / "load", "-o", work / "load", "."], check=True)
execute, empty = message("execute.bin", REQUEST), message("empty.bin", "")
starts = []
for _ in range(5):
    server = Server()
    starts.append(server.start_ms)
    server.close()
server, library = Server(), Client("server-library", TEMPLATE)
results = {"start_ms": starts, "callers": {}}
for callers in 1, 8, 64:
    each = {f"{name}{what}": [] for name in ("go", "c", "library") for what in ("", "_rate")}
    count = 200 if callers == 1 else 800
    for _ in range(max(3, rounds // 8)):
        seconds, taken = library.load(callers, count // callers, f"code python {HELLO}")
        each["library"] += taken
        each["library_rate"].append(len(taken) / seconds)
        for name, client in ("go", "load"), ("c", "calls"):
            rate, taken = server.load(client, EXECUTE, execute, callers, count)
            each[name] += taken
            each[f"{name}_rate"].append(rate)
    results["callers"][callers] = each
results["health_rate"] = [server.load("load", HEALTH, empty, 16, 20000)[0] for _ in range(3)]
before = server.resident_mb()
with subprocess.Popen([work / "load", server.address, "idle", "1000"], stdin=subprocess.PIPE,
                      stdout=subprocess.PIPE) as idle:
    idle.stdout.readline()
    results["idle_mb"] = [before, server.resident_mb()]
    idle.stdin.close()
library.close()
server.close()
(work / "server.json").write_text(json.dumps(results, indent=1))

print("\nExecuteTask of print('hello') by grpc-go on loopback, by a client in C, and libbrig called\n"
      "directly: p50, p90, p99 in ms, and calls a second")
for callers, each in results["callers"].items():
    print(f"  {callers:>2} callers: " + "; ".join(
        f"{name} {', '.join(f'{percentile(each[name], share):.2f}' for share in (0.5, 0.9, 0.99))}, "
        f"{median(each[f'{name}_rate']):.0f}" for name in ("go", "c", "library")))
one, eight = results["callers"][1], results["callers"][8]
go, c = (median(a / b for a, b in zip(eight[f"{name}_rate"], eight["library_rate"]))
         for name in ("go", "c"))
print(f"of libbrig's: median at 1 caller by grpc-go {median(one['go']) / median(one['library']):.2f} "
      f"(at most 1.5); a second at 8 callers by the client in C {c:.2f} (at least 0.8), by grpc-go "
      f"{go:.2f}")
print(f"HealthCheck: {median(results['health_rate']):.0f} a second (at least 10,000)")
print(f"1,000 idle connections: {results['idle_mb'][1]:.1f} MB, without them "
      f"{results['idle_mb'][0]:.1f} (under 50)")
print(f"start to SERVING with a warm template: {median(starts):.0f} ms (under 200)")
