"""Client against `brig serve`."""
import pickle
import signal
import threading
import time

import grpc
import pytest
from brig_client import (TLS, BrigError, Busy, Cancelled, Client, DeadlineExceeded, NotAllowed,
                         Output, RequestRefused, ServerError, Unavailable)
from brig_client.errors import from_status
from modules import EXIT_7, NOTHING, TRAP

PYTHON = "/opt/wasm-interpreters/python-3.11.4.wasm"
FOREVER = "print('on', flush=True)\nwhile True: pass"


def until(holds, seconds=20):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


# Python.

def test_python_gives_its_output_and_its_last_value(client):
    result = client.python("print('six')\n6 * 7")
    assert (result.success, result.output, result.error) == (True, "six\n42", "")
    assert (result.ended, result.exit_code, result.stdout, result.stderr) == (
        "exited", 0, "six\n", "")
    assert "CPython" in result.interpreter and result.execution_time_ms >= 0
    assert result.metadata["peak_memory_bytes"] > 1 << 20 and result.session_id is None


def test_a_session_is_that_of_its_user(client):
    first = client.python("import math\nx = math.tau\ndef f(): return x", session_id="s",
                          user_id="a")
    assert (first.session_id, first.execution_count) == ("s", 1)
    assert client.python("f()", session_id="s", user_id="a").output == "6.283185307179586"
    assert "NameError" in client.python("f()", session_id="s", user_id="b").error


def test_a_failing_program_is_a_result(client):
    result = client.python("print('before')\n1 / 0")
    assert not result.success and result.output == "before\n"
    assert "ZeroDivisionError" in result.error and "What to do" in result.error
    assert client.python("").error.startswith("No code provided")
    result = client.python("while True: pass", timeout_seconds=0.5)
    assert (result.success, result.ended) == (False, "timeout")
    assert result.error.startswith("Execution timeout after 0.5 seconds")


def test_standard_input_and_text_of_any_kind_arrive(client):
    text = "a\0b\né\U0001F600\n"
    result = client.python("import sys\nprint(sys.stdin.read(), end='')", stdin=text)
    assert result.output == text


def test_memory_is_limited_as_asked(client):
    result = client.python("x = bytearray(200 << 20)", memory_mb=100)
    assert not result.success and "emory" in result.error


# Modules.

def test_a_module_is_run_from_its_bytes(client):
    result = client.execute(NOTHING)
    assert result.success and (result.exit_code, result.output) == (0, "")
    assert client.execute(EXIT_7).exit_code == 7 and type(result.exit_code) is int
    result = client.execute(TRAP)
    assert (result.success, result.ended, result.metadata["trap"]) == (
        False, "trapped", "unreachable")
    assert "unreachable" in result.error
    assert not client.execute(b"\0asm of no kind").success


def test_a_module_is_run_from_the_servers_path(client):
    result = client.execute(path=PYTHON, stdin="print(40 + 2)", timeout_seconds=20.5,
                            argv=["python", "-c", "import sys; exec(sys.stdin.read())"])
    assert result.output == "42\n"
    assert "Failed to read wasm module" in client.execute(path="/etc/passwd").error


def test_a_call_without_a_module_is_a_mistake(client):
    for arguments in ({}, {"wasm": NOTHING, "path": PYTHON}):
        with pytest.raises(TypeError):
            client.execute(**arguments)
    with pytest.raises(TypeError):
        client.python("1", no_such_option=1)


# Streams.

def test_output_comes_while_the_program_runs(client):
    with client.stream(FOREVER, timeout_seconds=50) as stream:
        assert next(stream) == Output("stdout", "on\n")
    with pytest.raises(Cancelled):
        stream.result()


def test_a_stream_ends_with_the_result_or_its_deadline(client):
    code = "import sys\nfor i in range(3): print(i, flush=True)\nprint('e', file=sys.stderr)"
    with client.stream(code) as stream:
        pieces = list(stream)
        result = stream.result()
    for name, text in (("stdout", "0\n1\n2\n"), ("stderr", "e\n")):
        assert "".join(piece.text for piece in pieces if piece.stream == name) == text
    assert all(piece.text for piece in pieces)
    assert result.success and result.output.startswith("0\n1\n2\n")
    with pytest.raises(DeadlineExceeded, match="deadline_seconds"):
        client.stream(FOREVER, timeout_seconds=50, deadline_seconds=0.5).result()
    with client.stream("print(1)\n1 / 0") as stream:
        result = stream.result()
    assert not result.success and "ZeroDivisionError" in result.error


def test_a_stream_is_cancelled_from_another_thread(client):
    stream = client.stream(FOREVER, timeout_seconds=50)
    next(stream)
    threading.Timer(0.1, stream.cancel).start()
    with pytest.raises(Cancelled):
        next(stream)


# What keeps a call from being answered.

def test_a_deadline_ends_the_call_and_the_program(serve):
    server = serve()
    with Client(server.address) as client:
        with pytest.raises(DeadlineExceeded) as caught:
            client.python(FOREVER, timeout_seconds=50, deadline_seconds=1)
        assert caught.value.status == "DEADLINE_EXCEEDED"
        assert "deadline_seconds" in caught.value.advice
        until(lambda: client.health().active_tasks == 0)


def test_closing_ends_what_runs(serve):
    server = serve()
    client = Client(server.address)
    caught = []

    def run():
        try:
            client.python(FOREVER, timeout_seconds=50)
        except BrigError as error:
            caught.append(error)
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    with Client(server.address) as other:
        until(lambda: other.health().active_tasks == 1)
        client.close()
        thread.join(timeout=20)
        assert [type(error) for error in caught] == [Cancelled]
        until(lambda: other.health().active_tasks == 0)


@pytest.mark.parametrize("options", [
    {"session_id": "../x"}, {"user_id": "u" * 300}, {"stdin": "\ud800"}, {"memory_mb": 2**70},
    {"memory_mb": "much"}, {"timeout_seconds": 0}, {"timeout_seconds": float("inf")},
    {"timeout_seconds": float("nan")}, {"timeout_seconds": "long"},
])
def test_a_wrong_request_is_refused(client, options):
    with pytest.raises(RequestRefused) as caught:
        client.python("1", **options)
    assert caught.value.status == "INVALID_ARGUMENT" and not caught.value.retryable


def test_a_request_that_is_too_large_is_refused(client):
    with pytest.raises(RequestRefused) as caught:
        client.python("1", stdin="x" * (17 << 20))
    assert "less" in caught.value.advice
    assert client.python("1").output == "1"


def test_who_calls_too_often_is_told_to_wait(serve):
    server = serve(enforcement__rate_limit_per_key_rps=1)
    with Client(server.address) as client:
        with pytest.raises(Busy) as caught:
            for _ in range(20):
                client.python("1")
        assert caught.value.retryable and caught.value.message == "rate_limited"
        assert client.python("1", user_id="another").success


def test_every_status_says_what_to_do_next():
    for status in grpc.StatusCode:
        error = from_status(status.name, "why")
        assert (error.status, error.message) == (status.name, "why") and error.advice in str(error)
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again)) == (type(error), str(error))
    assert type(from_status("INTERNAL", "")) is type(from_status("UNKNOWN", "")) is ServerError


def test_a_server_that_is_not_there_is_unavailable():
    with Client("127.0.0.1:1") as client, pytest.raises(Unavailable) as caught:
        client.health()
    assert "brig serve" in caught.value.advice


def test_a_server_that_ends_is_unavailable(serve):
    server = serve(server__drain_grace_secs=0.1)
    with Client(server.address) as client:
        stream = client.stream(FOREVER, timeout_seconds=50)
        next(stream)
        server.process.send_signal(signal.SIGTERM)
        with pytest.raises(Unavailable):
            stream.result()


# How it is reached.

def test_a_unix_socket(serve, tmp_path):
    path = tmp_path / "s"
    serve(server__listen="", server__socket=path)
    with Client(f"unix:{path}") as client:
        assert client.python("1").output == "1"


def test_a_token_says_who_calls(serve, tmp_path):
    tokens = tmp_path / "tokens"
    tokens.write_text("one:a-token-of-the-first\n")
    tokens.chmod(0o600)
    server = serve(server__tokens_file=tokens)
    with Client(server.address, token="a-token-of-the-first") as client:
        assert client.python("1").output == "1" and client.health().healthy
    for token in ("another-token-of-all", None):
        with Client(server.address, token=token) as client, pytest.raises(NotAllowed) as caught:
            client.python("1")
        assert "token" in caught.value.advice and "another" not in str(caught.value)


@pytest.mark.parametrize("address", ["10.0.0.1:1", "agent-core:1", "127.evil:1", "[fe80::1]:1"])
def test_a_token_does_not_leave_the_machine_in_plain_text(address):
    with pytest.raises(ValueError, match="plain text"):
        Client(address, token="a-token-of-the-first")
    Client(address, token="a-token-of-the-first", plaintext_token=True).close()


@pytest.mark.parametrize("address", ["127.0.0.1:1", "[::1]:1", "localhost:1", "unix:/x"])
def test_a_token_is_of_one_line(address):
    Client(address, token="a-token-of-the-first").close()
    for token in ("", "a\nb", "é"):
        with pytest.raises(ValueError, match="ASCII"):
            Client(address, token=token)


def test_tls_with_a_certificate_of_the_clients(serve, keys):
    server = serve(server__tls_certificate=keys / "server.pem", server__tls_key=keys / "server.key",
                   server__tls_client_ca=keys / "ca.pem")
    own = {"certificate_file": keys / "client.pem", "key_file": keys / "client.key"}
    with Client(server.address, tls=TLS(keys / "ca.pem", **own, server_name="server")) as client:
        assert client.python("1").output == "1"
    for tls in (TLS(keys / "ca.pem", server_name="server"), TLS(**own, server_name="server"), None,
                TLS(keys / "ca.pem", **own, server_name="another")):
        with Client(server.address, tls=tls) as client, pytest.raises(Unavailable):
            client.python("1")
    with pytest.raises(ValueError, match="go together"):
        Client(server.address, tls=TLS(certificate_file=keys / "client.pem"))


# What the server says of itself.

def test_health_and_tools(client):
    health = client.health()
    assert health.healthy and health.uptime_seconds >= 0 and health.memory_usage_percent > 0
    tools = {tool.id: tool for tool in client.tools()}
    assert set(tools) == {"code_executor", "python_executor"}
    assert "code" in tools["python_executor"].input_schema["required"]
    assert [tool.id for tool in client.tools("fenced")] == ["code_executor"]


def test_threads_share_one_connection_and_clients_none(serve):
    server = serve()
    with Client(server.address) as client:
        outputs = {}

        def run(number):
            outputs[number] = client.python(f"{number}").output
        threads = [threading.Thread(target=run, args=(number,)) for number in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert outputs == {number: str(number) for number in range(16)}
        assert len({event["peer"] for event in server.events("call")}) == 1
    with Client(server.address) as client:
        client.health()
    assert len({event["peer"] for event in server.events("call")}) == 2
