"""shannon.agent.AgentService as its clients meet it: `brig serve`, over gRPC's own client."""
import base64
import os
import signal
import socket
import subprocess
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import FD_WRITE, PROC_EXIT, command, data, say
from serve import (PYTHON_PATH, READ_INPUT, Serve, ServeClient, failure, grpc, message,
                   notebook, python, task)

COMPLETED, FAILED, EXECUTING = 5, 6, 3


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One for all that leave it as it was."""
    server = Serve(tmp_path_factory.mktemp("serve"),
                   {"enforcement.circuit_breaker_min_requests": 1000000})
    yield server
    assert server.stop() == 0, server.log.read_text()


@pytest.fixture
def client(shared):
    with shared.client() as client:
        yield client


@pytest.fixture
def serve(tmp_path):
    servers = []

    def start(options=(), **more):
        servers.append(Serve(tmp_path, options, **more))
        return servers[-1]

    yield start
    for server in servers:
        if server.process.poll() is None:
            assert server.stop() == 0, server.log.read_text()


def facts(reply):
    return dict(reply.metadata)


# What a reply has.

def test_python_as_todays_client_sends_it(client):
    assert not os.path.exists(PYTHON_PATH)
    reply = client.run(python("print(6 * 7)", session="s1", user="u1"))
    assert (reply.result, reply.task_id, reply.final_state) == ("42\n", "task-1", COMPLETED)
    assert reply.metrics.mode == 1 and reply.metrics.latency_ms < 60000
    call, result = reply.tool_calls[0], reply.tool_results[0]
    assert (call.name, call.tool_id, result.tool_id) == ("code_executor",) * 3
    assert list(call.parameters["argv"]) == READ_INPUT
    assert (result.output.string_value, result.status, result.error_message) == ("42\n", 1, "")
    got = facts(reply)
    assert (got["ended"], got["exit_code"], got["stdout"], got["stderr"]) == (
        "exited", 0, "42\n", "")
    assert got["peak_memory_bytes"] > 1 << 20 and got["wall_ms"] >= got["queue_ms"] >= 0
    assert got["cpu_ms"] > 0 and got["stdout_dropped"] == 0 and "warm" in got


def test_python_by_its_path_becomes_warm(client):
    for _ in range(200):
        if facts(client.run(python("print(1)", session="warm")))["warm"]:
            return
        time.sleep(0.05)
    raise AssertionError("never warm")


def test_a_failure_has_no_result_and_says_why(client):
    reply = client.fail(python("print('before')\nraise SystemExit(3)"))
    assert reply.error_message == ("WASI execution error: [WASI] Execution failed: exit status 3\n")
    assert (facts(reply)["exit_code"], facts(reply)["stdout"]) == (3, "before\n")
    reply = client.fail(python("1 / 0"))
    assert reply.error_message.startswith(
        "WASI execution error: [WASI] Execution failed: exit status 1\nTraceback")
    assert "ZeroDivisionError" in reply.error_message


def test_a_module_comes_in_base64(client, wasm):
    module = wasm(command(say("hi\xff"), FD_WRITE, data("hi\xff"))).read_bytes()
    text = base64.b64encode(module).decode()
    reply = client.run(task({"tool": "code_executor", "wasm_base64": f" \n{text}\t "}))
    assert reply.result.startswith("hi") and facts(reply)["fuel_used"] > 0
    wins = {"tool": "code_executor", "wasm_base64": text, "wasm_path": "/no"}
    assert client.run(task(wins)).result == reply.result
    trap = base64.b64encode(wasm(command("unreachable")).read_bytes()).decode()
    reply = client.fail(task({"tool": "code_executor", "wasm_base64": trap}))
    assert (facts(reply)["ended"], facts(reply)["trap"]) == ("trapped", "unreachable")
    assert reply.error_message == (
        "WASI execution error: [WASI] Execution failed: trap: unreachable\n")


def test_exit_codes_are_whole(client, wasm):
    module = wasm(command("(call $proc_exit (i32.const 65536))", PROC_EXIT)).read_bytes()
    reply = client.fail(task({"tool": "code_executor",
                              "wasm_base64": base64.b64encode(module).decode()}))
    assert facts(reply)["exit_code"] == 65536


def test_what_is_no_text_becomes_text(client):
    reply = client.run(python(r"import sys; sys.stdout.buffer.write(b'a\xff\x00\xc3')"))
    assert reply.result == "a\ufffd\0\ufffd"


def test_long_output_fits_into_what_clients_take(shared):
    code = "import sys; sys.stdout.write('x' * 2**21); sys.stderr.write('y' * 2**21)"
    limits = [("grpc.max_receive_message_length", 4 << 20)]
    with shared.client(options=limits) as client:
        reply = client.run(python(code))
        assert len(reply.result) > 1000000 and facts(reply)["stdout_dropped"] >= 1 << 20
        reply = client.fail(python(code + "; raise SystemExit(1)"))
        assert len(facts(reply)["stdout"]) > 1000000 and "truncated" in facts(reply)


# What is wrong with a request.

REFUSED = [
    (task(query="what is 6 * 7?"), "FAILED_PRECONDITION", "no language model"),
    (task("text"), "INVALID_ARGUMENT", "tool_parameters must be an object"),
    (task({}), "INVALID_ARGUMENT", "tool_parameters missing required 'tool' string field"),
    (task({"tool": 5}), "INVALID_ARGUMENT",
     "tool_parameters missing required 'tool' string field"),
    (task({"tool": "x"}, tools=["y"]), "PERMISSION_DENIED",
     "Tool 'x' is not allowed for this request"),
    (task({"tool": "web_search"}), "NOT_FOUND", "there is no tool 'web_search'"),
    (task({"tool": "code_executor"}, session="../../etc"), "INVALID_ARGUMENT", "a session's id"),
    (task({"tool": "code_executor"}, session="a\0b"), "INVALID_ARGUMENT", "a session's id"),
    (task({"tool": "code_executor"}, user="u" * 300), "INVALID_ARGUMENT", "a user id"),
    (task(calls=[]), "INVALID_ARGUMENT", "tool_calls must be a list"),
    (task({"tool": "python_executor"}, query="x" * 20000), "RESOURCE_EXHAUSTED", "token_limit"),
]


@pytest.mark.parametrize("request_, code, says", REFUSED)
def test_a_request_that_is_refused(client, request_, code, says):
    got, said = failure(client.execute, request_, timeout=60)
    assert got == code and says in said
    assert failure(lambda: list(client.stream(request_, timeout=60))) == (got, said)


CODE = {"tool": "code_executor"}
BROKEN = [
    (CODE, "missing 'wasm_base64' or 'wasm_path' parameter"),
    ({**CODE, "wasm_base64": "AGFzbQ=A"}, "Failed to decode wasm_base64 payload"),
    ({**CODE, "wasm_base64": "AGFzb"}, "Failed to decode wasm_base64 payload"),
    ({**CODE, "wasm_base64": "AGFz-_=="}, "Failed to decode wasm_base64 payload"),
    ({**CODE, "wasm_base64": "  "}, "Failed to decode wasm_base64 payload"),
    ({**CODE, "wasm_base64": 5}, "'wasm_base64' must be a string"),
    ({**CODE, "wasm_base64": "aGVsbG8="}, "WASI execution error: not WebAssembly"),
    ({**CODE, "wasm_path": "/no/such.wasm"}, "Failed to read wasm module at /no/such.wasm"),
    ({**CODE, "wasm_path": ""}, "Failed to read wasm module at "),
    ({**CODE, "wasm_path": PYTHON_PATH, "stdin": ["x"]}, "'stdin' must be a string"),
    ({**CODE, "wasm_path": PYTHON_PATH, "argv": "python"}, "'argv' must be a list of strings"),
    ({**CODE, "wasm_path": PYTHON_PATH, "argv": ["a", 1]}, "'argv' must be a list of strings"),
    ({**CODE, "wasm_path": PYTHON_PATH, "argv": ["a\0b"]}, "'argv' must be a list of strings"),
    ({"tool": "python_executor"}, "No code"),
    ({"tool": "python_executor", "code": 5}, "'code' must be a string"),
    ({"tool": "python_executor", "code": "1", "timeout_seconds": "5"},
     "'timeout_seconds' must be a number"),
    ({"tool": "python_executor", "code": "1", "timeout_seconds": float("nan")}, ""),
    ({"tool": "python_executor", "code": "1", "timeout_seconds": -1}, ""),
    ({"tool": "python_executor", "code": "1", "session_id": "../x"}, ""),
    ({"tool": "python_executor", "code": "1", "session_id": "a\0b"}, ""),
]


@pytest.mark.parametrize("parameters, says", BROKEN)
def test_parameters_that_are_wrong_are_a_result(client, parameters, says):
    reply = client.fail(task(parameters))
    assert reply.error_message.startswith(says) and reply.error_message
    assert facts(reply)["ended"] == "not run"


def test_paths_lead_to_the_interpreters_alone(client, serve, tmp_path, wasm):
    module = wasm(command(say("mine"), FD_WRITE, data("mine")))
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules/a.wasm").write_bytes(module.read_bytes())
    (tmp_path / "secret.wasm").write_bytes(module.read_bytes())
    (tmp_path / "modules/link.wasm").symlink_to(tmp_path / "secret.wasm")
    (tmp_path / "modules/up").symlink_to(tmp_path)
    (tmp_path / "modules/inside.wasm").symlink_to("a.wasm")
    server = serve({"tools.module_directories": tmp_path / "modules"})
    with server.client() as mine:
        for name in ("a.wasm", "inside.wasm"):
            reply = mine.run(task({**CODE, "wasm_path": f"{tmp_path}/modules/{name}"}))
            assert reply.result == "mine"
        for path in (f"{tmp_path}/secret.wasm", f"{tmp_path}/modules/../secret.wasm",
                     f"{tmp_path}/modules/link.wasm", f"{tmp_path}/modules/up/secret.wasm",
                     f"{tmp_path}/modules", "/etc/passwd", "/proc/self/exe", "modules/a.wasm"):
            reply = mine.fail(task({**CODE, "wasm_path": path}))
            assert reply.error_message == f"Failed to read wasm module at {path}"


def test_an_installed_interpreter_may_be_named_by_its_path(client, brig):
    path = brig("guest", "path", "python").stdout.decode().strip()
    reply = client.run(task({**CODE, "wasm_path": path, "stdin": "print(2)",
                             "argv": READ_INPUT}))
    assert reply.result == "2\n"


# Limits.

def test_a_guests_timeout_is_a_result(client):
    reply = client.fail(python("print('x', flush=True)\nwhile True: pass", timeout=1))
    assert facts(reply)["ended"] == "timeout" and facts(reply)["stdout"] == "x\n"
    assert "timeout: still running after 1 s" in reply.error_message


def test_a_client_that_waits_as_long_as_its_program_may_run_hears_of_its_end(client):
    """Today's client does."""
    reply = client.fail(python("while True: pass", timeout=2), timeout=2)
    assert facts(reply)["ended"] == "timeout"


def test_memory_is_limited_by_the_request(client):
    reply = client.fail(python("x = bytearray(200 << 20)", memory=64))
    assert "MemoryError" in reply.error_message
    reply = client.fail(notebook("x = bytearray(200 << 20)", memory=64))
    assert "MemoryError" in reply.error_message
    client.run(python("x = bytearray(200 << 20)", memory=1 << 40))


def test_enforcement_ends_what_takes_too_long(serve):
    server = serve({"enforcement.per_request_timeout_secs": 1})
    with server.client() as client:
        began = time.monotonic()
        assert failure(client.execute, python("while True: pass", timeout=20),
                       timeout=60) == ("DEADLINE_EXCEEDED", "timeout")
        assert time.monotonic() - began < 20
    server.event("execution")


def test_a_user_has_a_rate(serve):
    server = serve({"enforcement.rate_limit_per_key_rps": 1})
    with server.client() as client:
        request = notebook("1")
        request.metadata.user_id = "a"
        client.run(request)
        assert failure(client.execute, request, timeout=60) == ("RESOURCE_EXHAUSTED",
                                                                "rate_limited")
        request.metadata.user_id = "b"
        client.run(request)


def test_a_full_workspace_runs_nothing(serve):
    server = serve({"session.workspace_bytes": "1M"})
    with server.client() as client:
        fill = "open('big', 'wb').write(bytes(2 << 20))"
        client.run(python(fill, session="full"))
        for request in (python("1", session="full"), notebook("1", session="full")):
            code, said = failure(client.execute, request, timeout=60)
            assert code == "RESOURCE_EXHAUSTED"
            assert said.startswith("Session workspace quota exceeded")
        client.run(python("1", session="other"))


def test_requests_that_wait_are_held_within_a_bound(serve):
    server = serve({"tools.max_concurrent_executions": 1, "server.max_buffered_bytes": "8M"})
    with server.client() as client:
        busy = [client.execute.future(python("while True: pass", timeout=20), timeout=60)]
        wait_for(lambda: spinning(server))
        large = python("#" * (3 << 20))
        busy += [client.execute.future(large, timeout=60) for _ in range(2)]
        wait_for(lambda: client.call("HealthCheck", "HealthCheckRequest",
                                     "HealthCheckResponse").active_tasks == 3)
        assert failure(client.execute, large, timeout=60)[0] == "RESOURCE_EXHAUSTED"
        for call in busy:
            call.cancel()
        wait_for(lambda: client.call("HealthCheck", "HealthCheckRequest",
                                     "HealthCheckResponse").active_tasks == 0)
        client.run(large)


def test_who_cannot_be_served_is_told_to_come_again(serve):
    server = serve({"tools.max_concurrent_executions": 1, "pool.queue_timeout_secs": 0.1})
    with server.client() as client:
        assert client.call("GetCapabilities", "GetCapabilitiesRequest",
                           "GetCapabilitiesResponse").max_concurrent_tasks == 1
        busy = client.execute.future(python("while True: pass", timeout=20), timeout=60)
        wait_for(lambda: spinning(server))
        assert failure(client.execute, python("1"), timeout=60)[0] == "RESOURCE_EXHAUSTED"
        busy.cancel()


# Whose what is.

def test_directories_are_the_sessions_and_the_users(client):
    write = "open('/workspace/a', 'w').write('1'); open('b', 'w').write('2')"
    look = ("import os\nfor name in ('/workspace', '.', '/memory'):\n"
            "  try: print(name, sorted(os.listdir(name)))\n"
            "  except OSError: print(name, None)")
    client.run(python(write, session="dirs"))
    assert client.run(python(look, session="dirs")).result == (
        "/workspace ['a', 'b']\n. ['a', 'b']\n/memory None\n")
    assert "['a'" not in client.run(python(look, session="dirs", user="other")).result
    assert "/workspace None" in client.run(python(look)).result
    client.run(python("open('/memory/m', 'w').write('1')", user="rememberer"))
    for session in ("", "one", "two"):
        result = client.run(python(look, session=session, user="rememberer")).result
        assert "/memory ['m']" in result
    assert "/memory []" in client.run(python(look, user="rememberer2")).result


def test_ids_may_come_with_the_metadata(client):
    request = python("open('from-metadata', 'w')")
    request.metadata.session_id, request.metadata.user_id = "meta", "meta-user"
    client.run(request)
    look = python("import os; print(os.listdir('.'))", session="meta", user="meta-user")
    assert client.run(look).result == "['from-metadata']\n"


def test_a_session_goes_on(client):
    first = client.run(notebook("import math\nx = 6\ndef f(): return x * 7", session="goes-on"))
    assert facts(first)["session_id"] == "goes-on" and facts(first)["execution_count"] == 1
    assert client.run(notebook("f()", session="goes-on")).result == "42"
    client.fail(notebook("import os\nx = 1\nos._exit(1)", session="goes-on"))
    reply = client.run(notebook("x", session="goes-on"))
    assert reply.result == "6" and "CPython" in facts(reply)["interpreter"]
    by_parameter = notebook("x", {"session_id": "goes-on"})
    assert client.run(by_parameter).result == "6"
    assert "NameError" in client.fail(notebook("x", session="goes-on", user="b")).error_message
    assert "NameError" in client.fail(notebook("x")).error_message


def test_a_sessions_files_are_those_of_both_tools(client):
    client.run(notebook("open('n', 'w').write('from python')", session="both"))
    assert client.run(python("print(open('n').read())", session="both")).result == "from python\n"


def test_standard_input_is_the_programs(client):
    assert client.run(notebook("input()", {"stdin": "a line\n"})).result == "'a line'"
    request = task({**CODE, "wasm_path": PYTHON_PATH, "stdin": "text",
                    "argv": ["python", "-c", "print(input(), __import__('sys').argv)", "x"]})
    assert client.run(request).result == "text ['-c', 'x']\n"


def test_several_calls_are_run_in_order(client):
    calls = [{"tool": "python_executor", "code": f"y = {i}\nprint({i})", "session_id": "list"}
             for i in range(3)]
    reply = client.run(task(calls=calls))
    assert [result.output.string_value for result in reply.tool_results] == ["0\n", "1\n", "2\n"]
    assert reply.result == "2\n" and len(reply.tool_calls) == 3
    assert len(reply.metadata["calls"]) == 3
    calls[1]["code"] = "1 / 0"
    reply = client.execute(task(calls=calls), timeout=60)
    assert (reply.status, reply.result) == (2, "") and "ZeroDivisionError" in reply.error_message
    assert [result.status for result in reply.tool_results] == [1, 2, 1]


# Streams.

def test_output_comes_while_the_program_runs(serve):
    server = serve()
    with server.client() as client:
        updates = client.stream(notebook("print('é' * 10, flush=True)\nimport time\n"
                                         "time.sleep(30)", timeout=20), timeout=60)
        first, second = next(updates), next(updates)
        assert (first.state, first.tool_call.name, first.progress) == (
            EXECUTING, "python_executor", 0)
        assert (second.state, second.delta, second.message) == (
            EXECUTING, "é" * 10 + "\n", "stdout")
        updates.cancel()
        assert server.event("execution")["ended"] == "cancelled"


def test_a_stream_ends_with_the_result(client):
    code = "import sys\nfor i in range(5): print(i, flush=True)\nprint('e', file=sys.stderr)"
    updates = list(client.stream(python(code), timeout=60))
    deltas = "".join(u.delta for u in updates if u.message == "stdout")
    assert deltas == "0\n1\n2\n3\n4\n"
    assert "".join(u.delta for u in updates if u.message == "stderr") == "e\n"
    last = updates[-1]
    assert (last.state, last.progress, last.task_id) == (COMPLETED, 1, "task-1")
    assert (last.tool_result.output.string_value, last.tool_result.status) == (deltas, 1)
    progress = [update.progress for update in updates]
    assert progress == sorted(progress) and len(set(progress)) == len(progress)
    last = list(client.stream(python("print(1)\n1 / 0"), timeout=60))[-1]
    assert (last.state, last.tool_result.status) == (FAILED, 2)
    assert "ZeroDivisionError" in last.message


def test_a_stream_of_several_calls_has_each_result(client):
    calls = [{"tool": "python_executor", "code": f"print({i})"} for i in range(3)]
    updates = list(client.stream(task(calls=calls), timeout=60))
    results = [u.tool_result.output.string_value for u in updates if u.HasField("tool_result")]
    assert results == ["0\n", "1\n", "2\n"] and len([u for u in updates if u.tool_call.name]) == 3
    assert [u.state for u in updates[:-1]] == [EXECUTING] * (len(updates) - 1)


def test_a_stream_that_is_read_slowly_loses_nothing_and_takes_little_room(serve):
    server = serve({"server.max_buffered_bytes": "16M", "wasi.stdout_limit_bytes": "32M"})
    code = "for i in range(1536): print(chr(97 + i % 26) * 16383)"
    with server.client() as client:
        got, updates = "", client.stream(python(code), timeout=120)
        server.event("execution")
        for update in updates:
            got += update.delta if update.message == "stdout" else ""
    assert got == "".join(chr(97 + i % 26) * 16383 + "\n" for i in range(1536))


# Leaving early.

def spinning(server):
    """The workers that use the processor."""
    def ticks(pid):
        try:
            return sum(map(int, open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[11:13]))
        except (FileNotFoundError, ProcessLookupError):
            return 0
    before = {pid: ticks(pid) for pid in server.descendants() if server.depth(pid) >= 3}
    time.sleep(0.3)
    return [pid for pid, count in before.items() if ticks(pid) > count + 1]


def wait_for(holds, seconds=20):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


FOREVER = "while True: pass"


@pytest.mark.parametrize("how", ["cancel", "disconnect", "deadline", "cancel stream"])
@pytest.mark.parametrize("make", [python, notebook])
def test_a_client_that_leaves_takes_its_worker_along(serve, how, make):
    server = serve()
    client = server.client()
    request = make(FOREVER, timeout=50, session="leaver")
    timeout = 2 if how == "deadline" else 60
    if how == "cancel stream":
        call = client.stream(request, timeout=timeout)
        next(call)
    else:
        call = client.execute.future(request, timeout=timeout)
    wait_for(lambda: spinning(server))
    if how == "deadline":
        assert call.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    elif how == "disconnect":
        client.channel.close()
    else:
        call.cancel()
    wait_for(lambda: not spinning(server), seconds=10)
    assert server.event("execution")["ended"] == "cancelled"
    with server.client() as another:
        assert another.run(make("print(1)", session="leaver")).result == "1\n"
    client.channel.close()


# What it says of itself.

def test_it_says_what_it_can(client):
    able = client.call("GetCapabilities", "GetCapabilitiesRequest", "GetCapabilitiesResponse")
    assert list(able.supported_tools) == ["code_executor", "python_executor"]
    assert list(able.supported_modes) == [1, 2, 3] and able.version
    assert able.max_memory_mb == 4096 and able.max_concurrent_tasks == 128
    health = client.call("HealthCheck", "HealthCheckRequest", "HealthCheckResponse")
    assert health.healthy and 0 < health.memory_usage_percent <= 100 and not health.active_tasks


def test_it_tells_of_its_tools(client):
    def discover(**fields):
        found = client.call("DiscoverTools", "DiscoverToolsRequest", "DiscoverToolsResponse",
                            **fields)
        return [tool.id for tool in found.tools]
    assert discover() == ["code_executor", "python_executor"]
    assert discover(query="session") == ["code_executor", "python_executor"]
    assert discover(query="python", tags=["python"]) == ["python_executor"]
    assert discover(max_results=1) == ["code_executor"]
    assert discover(exclude_dangerous=True) == discover(categories=["x"]) == []
    tool = client.call("GetToolCapability", "GetToolCapabilityRequest",
                       "GetToolCapabilityResponse", tool_id="python_executor").tool
    assert tool.input_schema["properties"]["code"]["type"] == "string" and tool.is_dangerous
    assert failure(client.call, "GetToolCapability", "GetToolCapabilityRequest",
                   "GetToolCapabilityResponse", tool_id="x")[0] == "NOT_FOUND"


def grpc_health(client, service=""):
    check = client.channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        message("grpc.health.v1.HealthCheckRequest").SerializeToString,
        message("grpc.health.v1.HealthCheckResponse").FromString)
    return check(message("grpc.health.v1.HealthCheckRequest")(service=service), timeout=60).status


def test_it_says_that_it_serves(client):
    assert grpc_health(client) == grpc_health(client, "shannon.agent.AgentService") == 1


# Many.

def test_what_services_there_are_can_be_kept_back(client, serve):
    def services(asked):
        Request = message("grpc.reflection.v1.ServerReflectionRequest")
        stream = asked.channel.stream_stream(
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", Request.SerializeToString,
            message("grpc.reflection.v1.ServerReflectionResponse").FromString)
        reply = next(stream(iter([Request(list_services="")]), timeout=60))
        return {service.name for service in reply.list_services_response.service}
    assert "shannon.agent.AgentService" in services(client)
    with serve({"server.reflection": "false"}).client() as other:
        assert failure(services, other)[0] == "UNIMPLEMENTED"


def test_64_callers_are_all_answered_with_their_own(shared):
    def caller(number):
        with shared.client() as client:
            for turn in range(4):
                session = f"many-{number}"
                reply = client.run(notebook(f"x = {number}\nprint(x, {turn})", session=session))
                assert reply.result == f"{number} {turn}\n"
                assert client.run(python(f"print({number})")).result == f"{number}\n"
    with ThreadPoolExecutor(64) as pool:
        list(pool.map(caller, range(64)))


def test_descriptors_do_not_pile_up(serve):
    server = serve({"session.max_live": 2, "templates.ready_workers": 0})

    def use(client, turns):
        for turn in range(turns):
            client.run(python("1", session=f"s{turn % 3}", user="u"))
            client.fail(python("1 / 0"))
            client.run(notebook("1"))
            client.run(notebook("1", session=f"s{turn % 3}"))
            list(client.stream(notebook("1"), timeout=60))
            failure(client.execute, task({}), timeout=60)
        time.sleep(4)  # directories are kept open for less: src/sandbox/mapped.h
        return len(os.listdir(f"/proc/{server.pid}/fd"))
    with server.client() as client:
        before = use(client, 10)
        assert use(client, 40) <= before + 2


# Its life.

def test_a_drain_lets_calls_end_and_takes_no_new_ones(serve):
    server = serve()
    with server.client() as client:
        call = client.execute.future(notebook("import time\ntime.sleep(2)\n'done'"), timeout=60)
        wait_for(lambda: client.call("HealthCheck", "HealthCheckRequest",
                                     "HealthCheckResponse").active_tasks == 1)
        server.process.send_signal(signal.SIGTERM)
        server.event("draining")
        with server.client() as late:
            assert failure(late.execute, notebook("1"), timeout=60)[0] == "UNAVAILABLE"
        assert call.result().result == "'done'"
    assert server.process.wait(timeout=60) == 0


def test_what_outlives_the_grace_is_ended(serve):
    server = serve({"server.drain_grace_secs": 0.5})
    with server.client() as client:
        call = client.execute.future(python(FOREVER, timeout=50), timeout=60)
        wait_for(lambda: spinning(server))
        assert server.stop() == 0
        assert call.code() == grpc.StatusCode.UNAVAILABLE
        assert call.details() == "the server is shutting down"


def test_sessions_outlive_a_restart(serve):
    first = serve()
    with first.client() as client:
        client.run(notebook("import json\nx = [1, 2]\ndef f(): return json.dumps(x)\n"
                            "open('file', 'w').write('kept')", session="kept", user="u"))
    assert first.stop() == 0
    with serve().client() as client:
        reply = client.run(notebook("x.append(3)\n(f(), open('file').read())", session="kept",
                                    user="u"))
        assert reply.result == "('[1, 2, 3]', 'kept')"
        assert facts(reply)["execution_count"] == 2


def test_a_second_signal_ends_it_at_once(serve):
    server = serve({"server.drain_grace_secs": 50})
    with server.client() as client:
        call = client.execute.future(python(FOREVER, timeout=50), timeout=60)
        wait_for(lambda: spinning(server))
        server.process.send_signal(signal.SIGTERM)
        server.event("draining")
        assert server.stop(signal.SIGINT) == 0
        assert call.code() == grpc.StatusCode.UNAVAILABLE


def test_a_configuration_is_loaded_again(serve, tmp_path):
    tokens = tmp_path / "tokens"
    tokens.write_text("one:first-token-of-all\n")
    tokens.chmod(0o600)
    server = serve({"server.tokens_file": tokens})

    def as_(token):
        with server.client() as client:
            return client.execute(notebook("1"), timeout=60,
                                  metadata=[("authorization", f"Bearer {token}")])
    assert as_("first-token-of-all").result == "1"
    assert failure(as_, "second-token-of-all")[0] == "UNAUTHENTICATED"
    with server.client() as client:
        assert grpc_health(client) == 1  # is not asked for a token
    tokens.write_text("one:second-token-of-all\n")
    server.process.send_signal(signal.SIGHUP)
    server.event("reload", 3)
    assert as_("second-token-of-all").result == "1"
    tokens.write_text("nonsense\n")
    server.process.send_signal(signal.SIGHUP)
    server.event("reload", 6)
    assert any("error" in event for event in server.events("reload"))
    assert as_("second-token-of-all").result == "1"
    tokens.write_text("one:third-token-of-all\n")  # a change is noticed, too
    server.event("reload", 9)
    assert as_("third-token-of-all").result == "1"


def test_tenants_share_nothing(serve, tmp_path):
    tokens = tmp_path / "tokens"
    tokens.write_text("one:first-token-of-all\ntwo:second-token-of-all\n")
    tokens.chmod(0o600)
    with serve({"server.tokens_file": tokens}).client() as client:
        def run(token, request):
            return client.execute(request, timeout=60,
                                  metadata=[("authorization", f"Bearer {token}-token-of-all")])
        assert run("first", notebook("x = 1\nopen('f', 'w')", session="s", user="u")).status == 1
        reply = run("second", notebook("x", session="s", user="u"))
        assert "NameError" in reply.error_message
        look = python("import os; print(os.listdir('.'))", session="s", user="u")
        assert run("second", look).result == "[]\n"
        assert run("first", look).result == "['f']\n"


def test_a_socket_is_for_its_own_user(serve, tmp_path):
    path = tmp_path / "s"
    server = serve({"server.listen": "", "server.socket": path})
    assert path.stat().st_mode & 0o777 == 0o600
    with ServeClient(f"unix:{path}") as client:
        assert client.run(notebook("1")).result == "1"
    assert server.stop() == 0 and not path.exists()


@pytest.mark.parametrize("options, says", [
    ({"server.listen": "nonsense"}, "nonsense"),
    ({"server.listen": "", "server.socket": "none"}, "nobody could call"),
    ({"server.socket": "relative"}, "server.socket"),
    ({"server.tls_key": "/x"}, "go together"),
    ({"server.tokens_file": "/no/such"}, "/no/such"),
    ({"jail.require": "no-such-wall"}, "no-such-wall"),
    ({"log.level": "loud"}, "log.level"),
])
def test_what_keeps_it_from_serving_is_told(tmp_path, options, says):
    server = Serve(tmp_path, options, wait=False)
    assert server.process.wait(timeout=60) == 125
    assert says in server.log.read_text().splitlines()[-1]


def test_before_it_serves_nothing_is_run(tmp_path):
    """While the interpreter is compiled."""
    server = Serve(tmp_path, wait=False, env={"XDG_CACHE_HOME": str(tmp_path / "cold")})
    with server.client() as client:
        assert failure(client.execute, notebook("1"), timeout=60) == (
            "UNAVAILABLE", "the server is starting: try again soon")
        assert grpc_health(client) == 2  # NOT_SERVING
        health = client.call("HealthCheck", "HealthCheckRequest", "HealthCheckResponse")
        assert not health.healthy
        assert not client.call("DiscoverTools", "DiscoverToolsRequest",
                               "DiscoverToolsResponse").tools
    assert server.stop() == 0


def test_calls_are_over_tls_once_there_is_a_certificate(serve, tmp_path):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=localhost", "-addext",
                    "subjectAltName=DNS:localhost", "-keyout", tmp_path / "key", "-out",
                    tmp_path / "certificate"], check=True, capture_output=True)
    server = serve({"server.tls_certificate": tmp_path / "certificate",
                    "server.tls_key": tmp_path / "key"})
    trust = grpc.ssl_channel_credentials((tmp_path / "certificate").read_bytes())
    name = [("grpc.ssl_target_name_override", "localhost")]
    with server.client(credentials=trust, options=name) as client:
        assert client.run(notebook("1")).result == "1"
    with server.client() as plain:
        assert failure(plain.execute, notebook("1"), timeout=60)[0] == "UNAVAILABLE"


def test_systemd_gives_sockets_and_is_told(tmp_path):
    with socket.socket() as listening, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(60)
        server = Serve(tmp_path, {"server.listen": "192.0.2.1:1"}, sockets=[listening.fileno()],
                       env={"NOTIFY_SOCKET": str(tmp_path / "notify")})
        assert manager.recv(4096) == b"READY=1"
        with ServeClient("127.0.0.1:%d" % listening.getsockname()[1]) as client:
            assert client.run(notebook("1")).result == "1"
        server.process.send_signal(signal.SIGHUP)
        assert [manager.recv(4096) for _ in range(2)] == [b"RELOADING=1", b"READY=1"]
        assert server.stop() == 0
        assert manager.recv(4096) == b"STOPPING=1"


def test_what_is_done_is_counted(serve):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = serve({"metrics.port": port})

    def get(path):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as reply:
            return reply.read().decode()
    assert get("/ready")
    assert "brig_templates 1" in get("/metrics").splitlines()  # it has tried itself
    with server.client() as client:
        client.run(notebook("1"))
        client.fail(python("1 / 0"))
        failure(client.execute, task({}), timeout=60)
    lines = get("/metrics").splitlines()
    for line in ('agent_core_tool_executions_total{tool_name="python_executor",status="success"} 1',
                 'agent_core_tool_executions_total{tool_name="code_executor",status="error"} 1',
                 'agent_core_tool_executions_total{tool_name="wasi",status="success"} 1',
                 'agent_core_tool_executions_total{tool_name="wasi",status="error"} 1',
                 'agent_core_grpc_requests_total{method="ExecuteTask",status="OK"} 2',
                 'agent_core_tasks_total{mode="simple",status="success"} 1',
                 'agent_core_tasks_total{mode="simple",status="error"} 2',
                 'agent_core_enforcement_allowed_total{outcome="success"} 2'):
        assert line in lines, "\n".join(lines)
    assert "agent_core_tool_duration_seconds_count" in get("/metrics")
    assert "brig_zygotes_died_total 0" in lines
    for pid in server.descendants():
        if server.depth(pid) == 2:
            os.kill(pid, signal.SIGKILL)
    with server.client() as client:
        client.run(notebook("1"))  # in another
    assert "brig_zygotes_died_total 1" in get("/metrics").splitlines()


def test_without_the_interpreter_modules_still_run(serve, tmp_path, wasm):
    (tmp_path / "empty").mkdir()
    module = wasm(command(say("mine"), FD_WRITE, data("mine"))).read_bytes()
    with serve({"guests.directory": tmp_path / "empty"}).client() as client:
        able = client.call("GetCapabilities", "GetCapabilitiesRequest", "GetCapabilitiesResponse")
        assert not able.supported_tools
        assert "not installed" in client.fail(notebook("1")).error_message
        assert "python" in client.fail(python("1")).error_message
        text = base64.b64encode(module).decode()
        assert client.run(task({**CODE, "wasm_base64": text})).result == "mine"
