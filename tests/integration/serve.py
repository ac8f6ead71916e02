"""`brig serve` as a process, and gRPC's own client for it."""
import json
import os
import signal
import subprocess
import time

from conftest import BRIG, BUILD, alive
from rpc_peer import AGENT, Client, failure, grpc, message  # noqa: F401

Request = message("shannon.agent.ExecuteTaskRequest")
PYTHON_PATH = "/opt/wasm-interpreters/python-3.11.4.wasm"
READ_INPUT = ["python", "-c", "import sys; exec(sys.stdin.read())"]


def task(parameters=None, session="", user="", tools=(), timeout=0, memory=0, calls=None,
         query=""):
    """An ExecuteTaskRequest, as clients make them."""
    request = Request(query=query, available_tools=tools)
    request.metadata.task_id = "task-1"
    request.mode = 1
    request.session_context.session_id = session
    request.session_context.user_id = user
    request.config.timeout_seconds = timeout
    request.config.memory_limit_mb = memory
    if parameters is not None:
        request.context.update({"tool_parameters": parameters})
    if calls is not None:
        request.context.update({"tool_calls": calls})
    return request


def python(code, **more):
    """Python as today's client sends it."""
    return task({"tool": "code_executor", "wasm_path": PYTHON_PATH, "stdin": code,
                 "argv": READ_INPUT}, tools=["code_executor"], **more)


def notebook(code, parameters=(), **more):
    return task({"tool": "python_executor", "code": code, **dict(parameters)}, **more)


class ServeClient(Client):
    def call(self, name, request, reply, **fields):
        method = self.channel.unary_unary(
            AGENT + name, message(f"shannon.agent.{request}").SerializeToString,
            message(f"shannon.agent.{reply}").FromString)
        return method(message(f"shannon.agent.{request}")(**fields), timeout=60)

    def run(self, request, timeout=60):
        """The reply, which has to be a success."""
        reply = self.execute(request, timeout=timeout)
        assert reply.status == 1, reply.error_message
        return reply

    def fail(self, request, timeout=60):
        """The reply, which has to be a guest's failure."""
        reply = self.execute(request, timeout=timeout)
        result = reply.tool_results[-1]
        assert (reply.status, reply.final_state, reply.result) == (2, 6, ""), reply
        assert (result.status, result.error_message) == (2, reply.error_message)
        return reply


class Serve:
    """Started, and SERVING; its state is in `home`, where another may find it."""

    def __init__(self, home, options=(), wait=True, env=None, sockets=()):
        self.home = home
        self.log = home / f"log-{time.monotonic_ns()}"
        words = {"metrics.port": 0, "wasi.allowed_paths": "", "session.store": home / "sessions.db",
                 "enforcement.rate_limit_per_key_rps": 1000000, **dict(options)}
        if "BRIG_TEST_HELPER" in os.environ:  # as for unit tests: see CONTRIBUTING.md
            words["sandbox.helper"] = os.environ["BRIG_TEST_HELPER"]
        env = {**{key: os.environ[key] for key in ("PATH", "HOME", "XDG_DATA_HOME")
                  if key in os.environ},
               "XDG_CACHE_HOME": str(BUILD / "test-cache"), "XDG_STATE_HOME": str(home / "state"),
               **(env or {})}
        arguments = [word for key, value in words.items() for word in ("--set", f"{key}={value}")]
        if "server.listen" not in words:
            arguments += ["--listen", "127.0.0.1:0"]
        command = [BRIG, "serve", *arguments]
        if sockets:  # as systemd passes them: from 3 on, to the process that it starts
            moved = " ".join(f"{3 + at}<&{fd}" for at, fd in enumerate(sockets))
            command = ["bash", "-c", f'LISTEN_PID=$$ LISTEN_FDS={len(sockets)} exec "$@" {moved}',
                       "bash", *command]
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(command, stderr=log, env=env, pass_fds=sockets)
        self.pid = self.process.pid
        if wait:
            self.event("serving")

    def events(self, name):
        lines = self.log.read_text().splitlines()
        return [event for line in lines if line.startswith("{")
                and (event := json.loads(line))["event"] == name]

    def event(self, name, count=1, seconds=120):
        """The event, once it has happened so often."""
        end = time.monotonic() + seconds
        while len(events := self.events(name)) < count:
            assert time.monotonic() < end and self.process.poll() is None, self.log.read_text()
            time.sleep(0.02)
        return events[count - 1]

    @property
    def address(self):
        return self.event("starting")["address"]

    def client(self, **more):
        return ServeClient(self.address, **more)

    def depth(self, pid):
        """1: a launcher, 2: a zygote, 3 and more: a worker; 0: none of the server's."""
        depth = 0
        try:
            while int(pid) not in (0, self.pid):
                pid = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[1]
                depth += 1
        except (FileNotFoundError, ProcessLookupError):
            return 0
        return depth if int(pid) == self.pid else 0

    def descendants(self):
        return [int(pid) for pid in filter(str.isdigit, os.listdir("/proc")) if self.depth(pid)]

    def stop(self, number=signal.SIGTERM):
        """Its exit status; nothing of it is left."""
        below = self.descendants()
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            status = self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        end = time.monotonic() + 10
        while any(map(alive, below)) and time.monotonic() < end:
            time.sleep(0.02)
        assert not any(map(alive, below))
        return status
