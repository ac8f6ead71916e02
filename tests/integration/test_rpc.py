"""gRPC as its clients see it (src/rpc): what Python's own client makes of rpc-echo."""
import os
import signal
import socket
import stat
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from rpc_peer import (AGENT, END_HEADERS, HEADERS, RST_STREAM, Client, Raw, Request, Server,
                      failure, fields, frame, grpc, hpack, message)


@pytest.fixture
def serve(tmp_path):
    """Start servers; at the end each must end well."""
    servers = []

    def start(*arguments, **more):
        if not any("=" not in str(argument) for argument in arguments):
            arguments += ("127.0.0.1:0",)
        servers.append(Server(*arguments, log=tmp_path / f"log{len(servers)}", **more))
        return servers[-1]

    yield start
    codes = [server.stop() for server in servers]
    assert codes == [0] * len(codes), "".join(server.log.read_text() for server in servers)


# Calls.

def test_what_is_sent_comes_back(serve):
    request = Request(query="0\0 and \U0001F600")
    request.metadata.task_id = "an id"
    request.context.update({"": 1, "null": None, "nested": {"list": [1.5, "é", {}, [], True]},
                            "tool_parameters": {"tool": "x", "argv": ["a", ""]}})
    with serve().client() as client:
        reply = client.execute(request, timeout=10)
        assert (reply.result, reply.task_id) == (request.query, "an id")
        assert reply.metadata == request.context
        assert client.execute(Request(), timeout=10) == type(reply)()


def test_a_status_arrives_with_its_message(serve):
    with serve().client() as client:
        for code in grpc.StatusCode:
            number = code.value[0]
            if number > 0:
                said = f"100% déjà vu\n\t{number}"
                assert failure(client.ask, f"status {number} {said}") == (code.name, said)
        long = "é" * 5000
        code, said = failure(client.ask, "status 5 " + long)
        assert code == "NOT_FOUND" and len(said) > 900 and long.startswith(said)


def test_methods_and_services_that_are_not_there_are_unimplemented(serve):
    with serve().client() as client:
        for path in (AGENT + "No", "/no.Service/ExecuteTask", AGENT + "ExecuteTaskX", "/"):
            assert failure(client.channel.unary_unary(path), b"", timeout=10)[0] == "UNIMPLEMENTED"
        assert client.ask("x") == "x"


def test_streams_of_any_length_arrive_in_order(serve):
    with serve().client() as client:
        for count in (0, 1, 20000):
            got = [int(update.progress) for update in client.updates(f"count {count}")]
            assert got == list(range(count, 0, -1))
        begun, times = time.monotonic(), []
        for _ in client.updates("count 5 50"):
            times.append(time.monotonic() - begun)
        assert len(times) == 5 and times[-1] - times[0] > 0.15  # not all at the end

        def broken():
            for update in client.updates("count 3 0 9"):
                times.append(update)
        assert failure(broken) == ("FAILED_PRECONDITION", "as asked") and len(times) == 8


def test_large_messages_pass_and_larger_ones_leave_the_connection_usable(serve):
    server = serve()
    with server.client() as client:
        assert client.ask("x" * (6 << 20)) == "x" * (6 << 20)
        assert len(client.ask(f"big {24 << 20}")) == 24 << 20
        assert failure(client.ask, "x" * (16 << 20))[0] == "RESOURCE_EXHAUSTED"
        assert client.ask("y") == "y"
        assert server.counts()["connections"] == 2  # this one, and that of counts()
    server.is_well()


def test_a_deadline_ends_the_call_and_tells_the_handler(serve):
    server = serve()
    with server.client() as client:
        assert failure(client.ask, "sleep 1500", timeout=0.25)[0] == "DEADLINE_EXCEEDED"
        assert failure(lambda: list(client.updates("count 100 50", timeout=0.25)))[0] == (
            "DEADLINE_EXCEEDED")
        server.until(lambda counts: counts["cancelled"] == 2)
        assert client.ask("x") == "x"
    server.is_well()


def test_the_server_keeps_a_deadline_by_itself(serve):
    server = serve()
    with Raw(server) as raw:  # which never gives up
        raw.call(1, "sleep 3000", more=[(b"grpc-timeout", b"100m")])
        assert raw.read_headers()["grpc-status"] == "4"
        raw.call(3, more=[(b"grpc-timeout", b"123456789m")])
        assert raw.read_headers()["grpc-status"] == "13"
        raw.call(5, more=[(b"grpc-timeout", b"99999999H")])
        assert raw.read_headers()[":status"] == "200"
    server.until(lambda counts: counts["cancelled"] == 1)
    server.is_well()


@pytest.mark.parametrize("query", ["sleep 800", "count 1000 20"])
@pytest.mark.parametrize("how", ["cancel", "disconnect"])
def test_a_handler_is_told_that_its_client_has_left(serve, query, how):
    server = serve()
    client = server.client()
    call = (client.execute.future if "sleep" in query else client.stream)(Request(query=query))
    server.until(lambda counts: counts["calls"] == 2)
    if how == "cancel":
        call.cancel()
    else:
        client.channel.close()
    server.until(lambda counts: counts["cancelled"] == 1)
    client.channel.close()
    server.is_well()


def test_calls_of_one_connection_go_on_at_once(serve):
    server = serve()
    with server.client() as client, ThreadPoolExecutor(200) as threads:
        client.ask("x")
        begun = time.monotonic()
        assert set(threads.map(client.ask, ["sleep 500"] * 200)) == {"slept"}
        assert time.monotonic() - begun < 50  # in turn they would take 100 s
    server.is_well()


def test_a_compressed_request_is_unimplemented_and_the_next_is_not(serve):
    with serve().client() as client:
        gzip = failure(client.ask, "x" * 10000, compression=grpc.Compression.Gzip)
        assert gzip[0] == "UNIMPLEMENTED" and "identity" in gzip[1]
        assert client.ask("x") == "x"


def test_metadata_of_any_kind_passes_up_to_a_bound(serve):
    server = serve()
    with server.client() as client:
        some = [("x-request-id", "1"), ("trace-bin", bytes(range(256))), ("a.b", "")]
        assert client.ask("x", metadata=some) == "x"
        with Raw(server) as raw:
            raw.call(1, more=[(b"x-large", b"x" * 20000)], flags=END_HEADERS)
            raw.close()
        assert client.ask("y") == "y"
    server.is_well()


def test_who_is_not_admitted_is_told_why(serve):
    with serve().client() as client:
        assert failure(client.ask, "x", metadata=[("authorization", "Bearer wrong")]) == (
            "UNAUTHENTICATED", "not you")
        twice = [("authorization", "Bearer abc"), ("authorization", "Bearer def")]
        assert failure(client.ask, "x", metadata=twice)[0] == "UNAUTHENTICATED"
        peer = client.ask("peer", metadata=[("authorization", "Bearer abc")]).split("|")
        assert peer[5:] == ["Bearer abc", "somebody"] and peer[0].startswith("127.0.0.1:")


def test_other_requests_than_grpc_get_an_answer_of_http(serve):
    def status(raw, kind=b"application/grpc", method=b"POST"):
        stream = status.stream = status.stream + 2
        block = [(name, method if name == b":method" else value)
                 for name, value in fields(kind=kind)]
        raw.send(frame(HEADERS, END_HEADERS | 1, stream, hpack(*block)))
        got = raw.read_headers()
        return got.get("grpc-status", got[":status"])
    status.stream = -1
    with Raw(serve()) as raw:
        for kind in (b"application/json", b"application/grpcx", b"application/grpc+json", b""):
            assert status(raw, kind=kind) == "415"
        assert status(raw, method=b"GET") == "405"
        for kind in (b"application/grpc", b"Application/gRPC+proto", b"application/grpc;x=y"):
            assert status(raw, kind=kind) == "13"  # without a message


def test_what_is_answered_early_need_not_be_sent_to_its_end(serve):
    with Raw(serve()) as raw:
        raw.send(frame(HEADERS, END_HEADERS, 1, hpack(*fields(AGENT + "No"))))
        assert raw.read_headers()["grpc-status"] == "12"
        assert raw.read_until(RST_STREAM)[2:] == (1, bytes(4))  # NO_ERROR


# Health and reflection.

def test_health_is_told_and_changes_are_pushed(serve):
    Check, State = (message(f"grpc.health.v1.HealthCheck{x}") for x in ("Request", "Response"))
    with serve().client() as client:
        health = "/grpc.health.v1.Health/"
        check = client.channel.unary_unary(health + "Check", Check.SerializeToString,
                                           State.FromString)
        watch = client.channel.unary_stream(health + "Watch", Check.SerializeToString,
                                            State.FromString)
        assert check(Check(), timeout=10).status == 1
        assert failure(check, Check(service="a.B"), timeout=10)[0] == "NOT_FOUND"
        states = watch(Check(service="a.B"), timeout=60)
        seen = [next(states).status]
        for change in ("+a.B", "+a.B", "-a.B", "+other", "+a.B"):
            client.ask("health " + change)
        seen += [next(states).status for _ in range(3)]
        assert seen == [3, 1, 2, 1]
        assert check(Check(service="a.B"), timeout=10).status == 1
        states.cancel()


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_reflection_describes_what_is_served(serve, version):
    from google.protobuf import descriptor_pb2
    package = f"grpc.reflection.{version}."
    Ask, Told = (message(package + "ServerReflection" + x) for x in ("Request", "Response"))
    with serve().client() as client:
        info = client.channel.stream_stream(f"/{package}ServerReflection/ServerReflectionInfo",
                                            Ask.SerializeToString, Told.FromString)
        symbols = [
            "shannon.agent.AgentService", "shannon.agent.AgentService.ExecuteTask",
            "google.protobuf.Value", "google.protobuf.Struct.FieldsEntry", "no.Such",
            "shannon.agent", "shannon.agent.AgentState.AGENT_STATE_IDLE", "x\0y"]
        asked = [
            Ask(list_services="", host="h"),
            *(Ask(file_containing_symbol=symbol) for symbol in symbols),
            Ask(file_by_filename="agent/agent.proto"), Ask(file_by_filename="no.proto"),
            Ask(all_extension_numbers_of_type="x")]
        told = list(info(iter(asked), timeout=10))
        assert [answer.original_request for answer in told] == asked
        assert [service.name for service in told[0].list_services_response.service] == [
            "shannon.agent.AgentService", "grpc.health.v1.Health",
            "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"]
        files = [[descriptor_pb2.FileDescriptorProto.FromString(file).name
                  for file in answer.file_descriptor_response.file_descriptor_proto]
                 for answer in told]
        agent = ["google/protobuf/struct.proto", "google/protobuf/timestamp.proto",
                 "common/common.proto", "agent/agent.proto"]
        assert [sorted(found) for found in files[1:10]] == [
            sorted(found) for found in (agent, agent, agent[:1], agent[:1], [], [], agent, [],
                                        agent)]
        assert [told[i].error_response.error_code for i in (5, 6, 8, 10, 11)] == [5, 5, 5, 5, 12]


# Sockets and TLS.

def test_a_unix_socket_is_the_owners_alone_and_tells_who_calls(serve, tmp_path):
    path = tmp_path / "s"
    server = serve(path, "127.0.0.1:0")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and server.addresses[0] == str(path)
    server.address = server.addresses[1]
    with Client(f"unix:{path}") as client:
        assert client.ask("peer").split("|")[:4] == ["unix", "1", str(os.getuid()),
                                                     str(os.getpid())]
    os.kill(server.pid, signal.SIGKILL)
    server.process.wait()
    assert path.is_socket()
    again = serve(path)  # in place of the one that was left behind
    with Client(f"unix:{path}") as client:
        assert client.ask("x") == "x"
    with pytest.raises(AssertionError, match="in use"):
        Server(path, log=tmp_path / "refused")
    path.with_name("file").touch()
    with pytest.raises(AssertionError, match="in use"):
        Server(path.with_name("file"), log=tmp_path / "refused")
    assert again.stop() == 0 and not path.exists()
    server.process.returncode = 0  # as it was meant to


def test_a_socket_that_was_passed_is_listened_on(serve):
    with socket.create_server(("127.0.0.1", 0)) as passed:
        server = serve(f"fd:{passed.fileno()}", pass_fds=[passed.fileno()])
        assert server.address == "127.0.0.1:%d" % passed.getsockname()[1]
        with server.client() as client:
            assert client.ask("x") == "x"


def test_the_kernel_asks_clients_whether_they_are_there(serve):
    server = serve()
    port = int(server.address.split(":")[1])
    with Raw(server) as raw:
        assert raw.read_frame()

        def timers():
            sockets = [line.split() for line in open("/proc/net/tcp") if f":{port:04X} " in line]
            return [words[5][:2] for words in sockets
                    if words[1].endswith(f":{port:04X}") and words[3] == "01"]
        end = time.monotonic() + 20
        while timers() == ["01"]:  # until what was sent is acknowledged
            assert time.monotonic() < end
            time.sleep(0.01)
        assert timers() == ["02"]  # that of keep-alive


@pytest.mark.parametrize("address", ["localhost:1", "1", ":1", "127.0.0.1", "127.0.0.1:x",
                                     "127.0.0.1:", "::1:2"])
def test_an_address_that_is_none_is_refused(tmp_path, address):
    with pytest.raises(AssertionError, match="no address to listen on"):
        Server(address, log=tmp_path / "log")


def openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


def authority(folder, name):
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem", "-subj",
            f"/CN={name}", "-days", "2")


def certificate(folder, name, ca, subject):
    openssl("req", "-utf8", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.csr", "-subj", subject,
            "-addext", "subjectAltName=IP:127.0.0.1")
    openssl("x509", "-req", "-in", folder / f"{name}.csr", "-CA", folder / f"{ca}.pem", "-CAkey",
            folder / f"{ca}.key", "-CAcreateserial", "-copy_extensions", "copyall", "-days", "2",
            "-out", folder / f"{name}.pem")


@pytest.fixture
def keys(tmp_path):
    for name in ("ca", "other"):
        authority(tmp_path, name)
    certificate(tmp_path, "server", "ca", "/CN=server")
    certificate(tmp_path, "client", "ca", "/O=Tenants, Inc./CN=tenant-é")
    certificate(tmp_path, "stranger", "other", "/CN=stranger")
    return tmp_path


def credentials(keys, client=None, ca="ca"):
    own = [(keys / f"{client}.{end}").read_bytes() for end in ("key", "pem")] if client else []
    return grpc.ssl_channel_credentials((keys / f"{ca}.pem").read_bytes(), *own)


def tls(keys, *more):
    return (f"certificate={keys}/server.pem", f"key={keys}/server.key", *more)


def test_calls_over_tls(serve, keys):
    server = serve(*tls(keys), "127.0.0.1:0", "plain:127.0.0.1:0")
    with server.client(credentials=credentials(keys)) as client:
        assert client.ask("x" * 1000000) == "x" * 1000000
        assert len(client.ask("big 8000000")) == 8000000
        assert len(list(client.updates("count 20000"))) == 20000
        assert client.ask("peer").split("|")[4] == ""
    with server.client() as client:
        assert failure(client.ask, "x", timeout=10)[0] == "UNAVAILABLE"
    with Client(server.addresses[1]) as client:
        assert client.ask("x") == "x"
    server.address = server.addresses[1]
    server.is_well()


def test_a_client_must_have_a_certificate_where_an_authority_is_set(serve, keys):
    server = serve(*tls(keys, f"client_ca={keys}/ca.pem"), "127.0.0.1:0", "plain:127.0.0.1:0")
    with server.client(credentials=credentials(keys, "client")) as client:
        assert client.ask("peer").split("|")[4] == "CN=tenant-\\C3\\A9,O=Tenants\\, Inc."
    for name in (None, "stranger"):
        with server.client(credentials=credentials(keys, name)) as client:
            assert failure(client.ask, "x", timeout=10)[0] == "UNAVAILABLE"
    server.address = server.addresses[1]
    server.is_well()


def test_new_certificates_are_for_new_connections_and_bad_ones_for_none(serve, keys):
    server = serve(*tls(keys))
    old, new = credentials(keys), credentials(keys, ca="other")
    with server.client(credentials=old) as client:
        client.ask("x")
        (keys / "server.pem").write_text("none")
        os.kill(server.pid, signal.SIGHUP)
        with server.client(credentials=old) as second:
            assert second.ask("x") == "x"
        certificate(keys, "server", "other", "/CN=new")
        os.kill(server.pid, signal.SIGHUP)
        with server.client(credentials=new) as second:
            assert second.ask("x", wait_for_ready=True) == "x"
        assert client.ask("x") == "x"
    assert "certificate" in server.log.read_text()


def test_tls_without_h2_is_refused(serve, keys):
    import ssl
    server = serve(*tls(keys), "127.0.0.1:0", "plain:127.0.0.1:0")
    host, port = server.address.split(":")
    for protocols in (None, ["http/1.1"]):
        context = ssl.create_default_context(cafile=keys / "ca.pem")
        context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
        if protocols:
            context.set_alpn_protocols(protocols)
        with socket.create_connection((host, int(port)), timeout=20) as plain:
            with pytest.raises(ssl.SSLError) if protocols else threading.Lock():
                with context.wrap_socket(plain, server_hostname=host,
                                         suppress_ragged_eofs=False) as secure:
                    while secure.recv(1000):  # until it says goodbye
                        pass
    assert "does not ask for h2" in server.log.read_text()
    server.address = server.addresses[1]
    server.is_well()


@pytest.mark.parametrize("cipher, fine", [("ECDHE-ECDSA-AES128-GCM-SHA256", True),
                                          ("ECDHE-ECDSA-AES128-SHA256", False)])
def test_of_tls_1_2_only_what_http2_allows_is_taken(serve, keys, cipher, fine):
    import ssl
    host, port = serve(*tls(keys)).address.split(":")
    context = ssl.create_default_context(cafile=keys / "ca.pem")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(cipher)
    context.set_alpn_protocols(["h2"])
    with socket.create_connection((host, int(port)), timeout=20) as plain:
        with threading.Lock() if fine else pytest.raises(ssl.SSLError):
            with context.wrap_socket(plain, server_hostname=host) as secure:
                assert secure.selected_alpn_protocol() == "h2"


# The end.

def test_a_drain_lets_calls_finish_and_takes_no_more(serve):
    server = serve()
    with server.client() as client:
        client.ask("x")
        call = client.execute.future(Request(query="sleep 1000"), timeout=30)
        stream = client.updates("count 10 100")
        next(stream)
        os.kill(server.pid, signal.SIGTERM)
        refused = failure(lambda: [client.ask("x", timeout=5) for _ in range(20)])
        assert refused[0] == "UNAVAILABLE"
        assert call.result().result == "slept" and len(list(stream)) == 9
    assert server.process.wait(timeout=30) == 0


def test_a_drain_without_calls_ends_at_once_and_ends_those_who_watch(serve):
    server = serve()
    with server.client() as client, Raw(server) as raw:
        watch = client.channel.unary_stream("/grpc.health.v1.Health/Watch")(b"", timeout=30)
        assert next(watch) == b"\x08\x01"
        os.kill(server.pid, signal.SIGTERM)
        assert next(watch) == b"\x08\x02"
        assert failure(next, watch)[0] == "UNAVAILABLE"
        assert raw.ends()
        assert server.process.wait(timeout=30) == 0


def test_a_drain_does_not_wait_for_handshakes(serve, keys):
    server = serve(*tls(keys, "handshake_us=120000000"))
    with Raw(server, preface=b"") as silent:
        end = time.monotonic() + 20
        while server.sockets() < 2:
            assert time.monotonic() < end
            time.sleep(0.02)
        os.kill(server.pid, signal.SIGTERM)
        assert silent.ends() and server.process.wait(timeout=30) == 0


def test_a_close_cancels_what_lives(serve):
    server = serve()
    with server.client() as client:
        client.ask("x")
        stream = client.updates("count 1000 20")
        next(stream)
        assert server.stop() == 0
        assert failure(lambda: list(stream))[0] in ("UNAVAILABLE", "CANCELLED")
