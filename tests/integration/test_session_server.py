"""Sessions of a running server, through `brig session` and its kin: a real `brig serve`, and
servers that are none."""
import hashlib
import json
import os
import pty
import signal
import socket
import subprocess
import tempfile
import threading
import time

import pytest
from conftest import BRIG
from rpc_peer import grpc, message
from serve import Serve

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture
def home(brig, tmp_path):
    """Where the command and the server find each other; a socket's path must be short."""
    with tempfile.TemporaryDirectory(prefix="brig-") as state:
        config = tmp_path / "agent.yaml"
        keys = {"session": {"store": f"{tmp_path}/sessions.db"}, "wasi": {"allowed_paths": []}}
        if "BRIG_TEST_HELPER" in os.environ:  # as serve.py has it
            keys["sandbox"] = {"helper": os.environ["BRIG_TEST_HELPER"]}
        config.write_text(json.dumps(keys))
        brig.env.update(AGENT_CONFIG_PATH=str(config), XDG_STATE_HOME=state)
        yield tmp_path


@pytest.fixture
def serve(brig, home):
    servers = []

    def start(options=(), **more):
        servers.append(Serve(home, options, env=brig.env, **more))
        return servers[-1]

    yield start
    for server in servers:
        if server.process.poll() is None:
            assert server.stop() == 0, server.log.read_text()


@pytest.fixture
def session(brig):
    def call(*words, status=0, **kwargs):
        done = brig("session", *words, **kwargs)
        assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
        return done
    return call


def socket_of(brig):
    return os.path.join(brig.env["XDG_STATE_HOME"], "brig", "brig.sock")


def start_turn(brig, *words, **more):
    return subprocess.Popen([BRIG, "session", "run", *words], env=brig.env, stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)


FOREVER = "x = 2\nprint('began', flush=True)\nwhile True: pass"


# A server.

def test_every_command_goes_through_the_server(serve, session, brig):
    server = serve()
    mode = os.stat(socket_of(brig))
    assert mode.st_mode & 0o777 == 0o600
    assert os.stat(os.path.dirname(socket_of(brig))).st_mode & 0o777 == 0o700
    assert session("list").stdout == b""
    assert session("run", "a", "-c", "import math\nx = 1\nprint('said')\nx").stdout == b"said\n1\n"
    assert session("run", "a", "-c", "x = 2; open('f', 'w').close()").stdout == b""
    session("undo", "a")
    assert session("run", "a", "-c", "x").stdout == b"1\n"
    shown = json.loads(session("show", "a", "--json").stdout)
    assert shown["variables"] == [{"name": "x", "type": "int", "repr": "1"}]
    assert shown["turns"] == 2 and shown["guest"] == "python" and shown["not_kept"] == []
    assert os.listdir(shown["workspace"]) == ["f"]
    assert session("branch", "a", "b").stdout == b"b\n"
    assert len(json.loads(session("branch", "a", "--json").stdout)["id"]) == 32
    assert session("run", "b", "-c", "x").stdout == b"1\n"
    session("run", "b", "-c", "g = (i for i in [1])")
    assert session("save", "b").stderr == b"brig: not kept: g: a generator cannot be saved\n"
    assert b"not brought back: g" in session("run", "b", "-c", "1").stderr
    assert len(json.loads(session("list", "--json").stdout)) == 3
    session("drop", "a")
    assert session("show", "a", status=125).stderr == b"brig: there is no session a\n"
    assert {call["method"] for call in server.events("call")} >= {
        "List", "Run", "Undo", "Show", "Branch", "Save", "Drop"}
    assert "a" not in {row["id"] for row in json.loads(session("list", "--json").stdout)}


def test_a_turns_result_is_as_without_a_server(serve, session):
    code = ("import sys\nopen('f', 'w').write('123')\nprint('out')\n"
            r"sys.stdout.buffer.write(b'\xff\0\xfe')" "\nx = 1\nraise ValueError('why')")
    words = ["run", "a", "--json", "-c", code]
    before = json.loads(session(*words, status=1).stdout)
    session("drop", "a")
    serve()
    after = json.loads(session(*words, status=1).stdout)
    assert before.keys() == after.keys() and before["run"].keys() == after["run"].keys()
    for key in before.keys() - {"run"}:
        assert before[key] == after[key], key
    for key in ("outcome", "exit_code", "stdout_base64", "stderr", "stdout_dropped", "accounted"):
        assert before["run"][key] == after["run"][key], key
    assert after["run"]["memory_bytes"] > 0 and after["error"]["message"] == "why"


def test_output_comes_as_it_is_made(serve, session, brig):
    serve()
    session("run", "a", "-c", "1")
    gate = os.path.join(json.loads(session("show", "a", "--json").stdout)["workspace"], "gate")
    turn = start_turn(brig, "a", "-c", "import os, sys, time\nprint('first', flush=True)\n"
                      "while not os.path.exists('gate'): time.sleep(0.01)\n"
                      "sys.stdout.buffer.write(b'\\xff'); print('last', file=sys.stderr)")
    assert turn.stdout.readline() == b"first\n"
    open(gate, "w").close()
    assert turn.communicate(timeout=60) == (b"\xff", b"last\n") and turn.returncode == 0


def test_much_output_is_whole(serve, session):
    serve()
    done = session("run", "a", "--stdout-limit", "20M", "-c",
                   "for i in range(200): print(str(i % 10) * 99999)")
    assert done.stdout == b"".join(b"%d" % (i % 10) * 99999 + b"\n" for i in range(200))
    done = session("run", "a", "--stdout-limit", "5", "-c", "print('123456789')")
    assert done.stdout == b"12345" and b"the output was cut" in done.stderr


def test_input_and_limits_go_to_the_server(serve, session, tmp_path):
    serve()
    data = bytes(range(256)) * 4000
    (tmp_path / "data").write_bytes(data)
    code = "import sys, hashlib; hashlib.sha256(sys.stdin.buffer.read()).hexdigest()"
    want = f"'{hashlib.sha256(data).hexdigest()}'\n".encode()
    assert session("run", "a", "-c", code, stdin=data).stdout == want
    assert session("run", "a", "--stdin", tmp_path / "data", "-c", code).stdout == want
    assert session("run", "a", stdin=b"7 * 6").stdout == b"42\n"
    assert b"more than" not in session("run", "a", "-c", "1", stdin=b"x" * (8 << 20)).stderr
    assert b"standard input" in session("run", "a", "-c", "1", stdin=b"x" * (8 << 20 | 1), status=125).stderr
    done = session("run", "a", "--timeout", "0.3", "-c", "while True: pass", status=124)
    assert b"still running after 0.3 s" in done.stderr and b"as it was" in done.stderr
    assert b"ceiling" in session("run", "a", "--timeout", "7200", "-c", "1", status=126).stderr
    for wrong in (["../a", "-c", "1"], ["a", "--guest", "none", "-c", "1"], ["", "-c", "1"]):
        assert b"brig: " in session("run", *wrong, status=125).stderr


def test_a_signal_cancels_the_turn_and_leaves_the_session(serve, session, brig):
    server = serve()
    session("run", "a", "-c", "x = 1")
    turn = start_turn(brig, "a", "-c", FOREVER)
    assert turn.stdout.readline() == b"began\n"
    turn.send_signal(signal.SIGINT)
    said = turn.communicate(timeout=60)[1]
    assert turn.returncode == 128 + signal.SIGINT and b"as it was" in said
    assert session("run", "a", "-c", "x").stdout == b"1\n"
    assert "CANCELLED" in [call["status"] for call in server.events("call")]
    # One that is killed cancels its turn, too.
    turn = start_turn(brig, "a", "-c", FOREVER)
    assert turn.stdout.readline() == b"began\n"
    turn.kill()
    turn.communicate()
    assert session("run", "a", "-c", "x").stdout == b"1\n"


def test_output_that_nobody_takes_ends_the_turn(serve, session, brig):
    serve()
    turn = start_turn(brig, "a", "-c", "while True: print('y')")
    turn.stdout.readline()
    turn.stdout.close()
    turn.stdout = None
    turn.communicate(timeout=60)
    assert turn.returncode != 0
    assert session("run", "a", "-c", "1").stdout == b"1\n"


def test_a_server_that_is_killed_is_told_and_then_the_store_is_used(serve, session, brig):
    server = serve({"session.save_interval_secs": 0})
    session("run", "a", "-c", "x = 1")
    turn = start_turn(brig, "a", "-c", FOREVER)
    assert turn.stdout.readline() == b"began\n"
    server.stop(signal.SIGKILL)
    said = turn.communicate(timeout=60)[1]
    assert turn.returncode == 125 and b"it ended before it had answered" in said
    # Its socket is left behind, with nobody at it.
    assert os.path.exists(socket_of(brig))
    assert session("run", "a", "-c", "x").stdout == b"1\n"
    serve()
    assert session("run", "a", "-c", "x").stdout == b"1\n"


def test_a_server_that_ends_saves_what_the_store_then_has(serve, session, brig):
    server = serve()
    session("run", "a", "-c", "x = 'kept'")
    assert server.stop() == 0 and not os.path.exists(socket_of(brig))
    assert session("run", "a", "-c", "x").stdout == b"'kept'\n"


def test_a_session_of_the_servers_is_not_to_be_had_from_the_store(serve, session):
    serve()
    session("run", "a", "-c", "x = 1")
    done = session("run", "a", "--no-server", "-c", "x", status=125)
    assert b"busy: another process has the session a" in done.stderr
    assert b"leave --no-server away" in done.stderr
    session("save", "a")
    assert session("run", "a", "--no-server", "-c", "x").stdout == b"1\n"
    assert session("run", "a", "-c", "x").stdout == b"1\n"


def test_many_at_once_take_turns_in_one_session(serve, session, brig):
    serve()
    session("run", "a", "-c", "n = 0")
    turns = [start_turn(brig, "a", "-c", "n += 1; n") for _ in range(8)]
    said = sorted(turn.communicate(timeout=60)[0] for turn in turns)
    assert said == [b"%d\n" % n for n in range(1, 9)]


def test_without_a_socket_the_store_is_used(serve, session, brig):
    server = serve({"server.socket": "none"})
    assert not os.path.exists(socket_of(brig))
    assert session("run", "a", "-c", "x = 1; x").stdout == b"1\n"
    assert not server.events("call")


def test_a_second_server_serves_without_the_usual_socket(serve, session):
    first = serve()
    second = serve({"session.in_memory": "true"})
    assert "Address already in use" in second.event("socket")["error"]
    session("run", "a", "-c", "1")
    assert first.events("call") and not second.events("call")


def test_python_and_the_prompt_go_through_it_too(serve, session, brig):
    server = serve()
    assert brig("python", "--session", "a", "-c", "x = 5").returncode == 0
    assert brig("python", "--session", "a", "-c", "x", "--no-server").returncode != 0
    done = brig("repl", "--session", "a", stdin=b"x + 1\nx = 9\n:undo\nx\n:branch b\n")
    assert done.stdout.splitlines() == [b"6", b"the last turn is undone; files stay as they are",
                                        b"5", b"b"], done.stderr
    assert session("run", "b", "-c", "x").stdout == b"5\n"
    assert brig("repl", stdin=b"1\n").stdout == b"1\n"
    assert len(json.loads(session("list", "--json").stdout)) == 2  # The unnamed one is gone.
    assert len(server.events("call")) > 5


def test_ctrl_c_at_the_prompt_ends_the_turn_alone(serve, brig):
    serve()
    pid, fd = pty.fork()
    if pid == 0:
        os.execve(BRIG, [BRIG, "repl"], {**brig.env, "TERM": "xterm"})
    shown = b""

    def until(text):
        nonlocal shown
        while text not in shown:
            shown += os.read(fd, 65536)
        shown = shown[shown.index(text) + len(text):]

    until(b">>> ")
    os.write(fd, b"x = 1; x\n")
    until(b"1\r\n")
    until(b">>> ")
    os.write(fd, b"print('be' + 'gan', flush=True); exec('while True: pass')\n")
    until(b"began\r\n")
    os.write(fd, b"\x03")
    until(b"as it was before")
    until(b">>> ")
    os.write(fd, b"x + 41\n")
    until(b"42\r\n")
    until(b">>> ")  # until then the terminal, not the prompt, takes Ctrl-D
    os.write(fd, b"\x04")
    try:
        while data := os.read(fd, 65536):
            shown += data
    except OSError:  # EIO: it has ended
        pass
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, shown
    os.close(fd)


# Who may.

@pytest.mark.skipif(os.getuid() != 0, reason="only root can be somebody else")
def test_another_user_is_refused(serve, session, brig):
    serve()
    session("run", "a", "-c", "secret = 1")
    path = socket_of(brig)
    other = ["setpriv", "--reuid", "12345", "--regid", "12345", "--clear-groups"]

    def call(*words):
        env = {**brig.env, "HOME": "/nowhere", "AGENT_CONFIG_PATH": config.name}
        return subprocess.run([*other, BRIG, "session", *words], env=env, capture_output=True,
                              stdin=subprocess.DEVNULL, timeout=60)

    with tempfile.NamedTemporaryFile("w") as config:
        os.chmod(config.name, 0o644)
        config.write(json.dumps({"server": {"socket": path}}))
        config.flush()
        done = call("show", "a")
        assert done.returncode == 126 and b"another user's" in done.stderr
        assert b"with --no-server" in done.stderr
        # Though the door should stand open.
        for at in (path, os.path.dirname(path), brig.env["XDG_STATE_HOME"]):
            os.chmod(at, 0o777)
        for words in (["list"], ["show", "a"], ["undo", "a"], ["drop", "a"], ["save", "a"],
                      ["branch", "a", "b"]):
            done = call(*words)
            assert done.returncode == 126 and b"for the operator" in done.stderr, done
    assert session("run", "a", "-c", "secret").stdout == b"1\n"


def ask(channel, name, request, token=None):
    method = channel.unary_unary("/brig.v1.Sessions/" + name,
                                 message(f"brig.v1.{name}Request").SerializeToString,
                                 message(f"brig.v1.{name}Reply").FromString)
    metadata = [("authorization", "Bearer " + token)] if token else None
    return method(message(f"brig.v1.{name}Request")(**request), timeout=60, metadata=metadata)


def run(channel, request, token):
    method = channel.unary_stream("/brig.v1.Sessions/Run",
                                  message("brig.v1.RunRequest").SerializeToString,
                                  message("brig.v1.RunReply").FromString)
    replies = list(method(message("brig.v1.RunRequest")(**request), timeout=60,
                          metadata=[("authorization", "Bearer " + token)]))
    return replies[-1].result


def refused(*args, **kwargs):
    with pytest.raises(grpc.RpcError) as error:
        ask(*args, **kwargs)
    return error.value.code().name


def test_tenants_have_their_own_and_name_no_others(serve, session, home):
    tokens = home / "tokens"
    tokens.write_text("one:token-of-tenant-one\ntwo:token-of-tenant-two\n")
    tokens.chmod(0o600)
    server = serve({"server.tokens_file": tokens})
    one, two = "token-of-tenant-one", "token-of-tenant-two"
    session("run", "a", "-c", "x = 'the operator'")
    with grpc.insecure_channel(server.address) as channel:
        result = run(channel, {"name": {"id": "a"}, "code": "x = 'one'\nx"}, one)
        assert result.value == "'one'" and result.ended_well
        assert "NameError" == run(channel, {"name": {"id": "a"}, "code": "x"}, two).exception.type
        assert run(channel, {"name": {"tenant": "one", "id": "a"}, "code": "x"}, one).value == "'one'"
        name = {"tenant": "one", "id": "a"}
        assert refused(channel, "Show", {"name": name}, token=two) == "PERMISSION_DENIED"
        assert refused(channel, "Show", {"name": name}) == "UNAUTHENTICATED"
        shown = ask(channel, "Show", {"name": {"id": "a"}}, token=one)
        assert "'one'" in shown.holds and shown.workspace == ""
        assert refused(channel, "Show", {"name": {"id": "b"}}, token=one) == "NOT_FOUND"
        assert refused(channel, "Show", {"name": {"id": "a\0b"}}, token=one) == "INVALID_ARGUMENT"
        assert refused(channel, "Show", {}, token=one) == "INVALID_ARGUMENT"
        assert refused(channel, "Branch", {"name": {"id": "a"}, "to": "b\0"}, token=one) == "INVALID_ARGUMENT"
    assert session("run", "a", "-c", "x").stdout == b"'the operator'\n"


def test_who_is_nobody_has_no_sessions(serve):
    with grpc.insecure_channel(serve().address) as channel:
        for name in ("List", "Show", "Undo", "Branch", "Save", "Drop"):
            assert refused(channel, name, {"name": {"id": "a"}}) == "PERMISSION_DENIED"


# Servers that are none.

@pytest.fixture
def impostor(brig):
    """What listens in the server's place, and does this to each connection after the first,
    which only looks whether somebody is there."""
    stop = threading.Event()
    sockets = []

    def start(act):
        os.makedirs(os.path.dirname(socket_of(brig)), mode=0o700)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(socket_of(brig))
        listener.listen(8)
        sockets.append(listener)

        def accept():
            try:
                listener.accept()[0].close()
                while not stop.is_set():
                    peer = listener.accept()[0]
                    sockets.append(peer)
                    act(peer)
            except OSError:
                pass

        threading.Thread(target=accept, daemon=True).start()

    yield start
    stop.set()
    for each in sockets:
        each.close()


def frame(kind, flags, stream, payload=b""):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


SETTINGS = frame(4, 0, 0)
OK_HEADERS = frame(1, 4, 1, b"\x88")  # :status 200


@pytest.mark.parametrize("act, says", [
    (lambda peer: peer.close(), b"it ended before it had answered"),
    (lambda peer: peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 9), b"it does not speak HTTP/2"),
    (lambda peer: peer.sendall(SETTINGS + frame(1, 5, 1, b"\x8d")), b"it is no gRPC server"),
    (lambda peer: peer.sendall(SETTINGS + OK_HEADERS + frame(0, 1, 1)), b"it ended before it had"),
    (lambda peer: peer.sendall(SETTINGS + OK_HEADERS + frame(0, 0, 1, b"\1\0\0\0\0")), b"compressed"),
    (lambda peer: peer.sendall(SETTINGS + OK_HEADERS + frame(0, 0, 1, b"\0\xff\0\0\0")), b"too long"),
    (lambda peer: peer.sendall(SETTINGS + OK_HEADERS + frame(0, 0, 1, b"\0\0\0\0\2\x0a\x7f")), b"ends within"),
    (lambda peer: peer.sendall(SETTINGS + frame(3, 0, 1, b"\0\0\0\2")), b"it ended before it had"),
    (lambda peer: peer.sendall(SETTINGS + frame(7, 0, 0, bytes(8)) + frame(1, 5, 1, b"\x88")), b"brig: "),
    (lambda peer: None, b"it does not answer"),
])
def test_a_server_that_is_none_is_told(impostor, session, act, says):
    impostor(act)
    done = session("list", status=125, timeout=60)
    assert says in done.stderr, done.stderr


def test_a_server_that_hangs_is_left_by_ctrl_c(impostor, brig):
    answered = threading.Event()
    impostor(lambda peer: (peer.recv(65536), answered.set()))
    # The list, which comes first, is not answered: the command ends as any does.
    turn = start_turn(brig, "a", "-c", "1")
    assert answered.wait(30)
    turn.send_signal(signal.SIGINT)
    turn.communicate(timeout=4)
    assert turn.returncode in (-signal.SIGINT, 128 + signal.SIGINT)


def test_a_socket_that_nobody_is_at_is_none(session, brig):
    os.makedirs(os.path.dirname(socket_of(brig)))
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(socket_of(brig))
    assert session("run", "a", "-c", "6 * 7").stdout == b"42\n"
    os.unlink(socket_of(brig))
    with open(socket_of(brig), "w"):
        pass
    assert session("run", "a", "-c", "6 * 7").stdout == b"42\n"
