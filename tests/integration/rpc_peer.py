"""What drives rpc-echo (tests/support/rpc_echo_main.c): gRPC's own client for Python, fetched
by its digests into the build directory, and a writer of single HTTP/2 frames."""
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time

from conftest import BUILD
from packages import python_environment

ECHO = BUILD / "rpc-echo"
SANITIZED = "BRIG_SANITIZE:BOOL=ON" in (BUILD / "CMakeCache.txt").read_text()


PACKAGES = python_environment("grpc-client", "grpc.txt")
sys.path += map(str, PACKAGES.glob("lib/python*/site-packages"))
import grpc  # noqa: E402
import hpack as headers_of_http2  # noqa: E402
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory  # noqa: E402


def load_messages():
    pool = descriptor_pool.DescriptorPool()
    described = (BUILD / "proto/descriptors.bin").read_bytes()
    for file in descriptor_pb2.FileDescriptorSet.FromString(described).file:
        pool.Add(file)
    return lambda name: message_factory.GetMessageClass(pool.FindMessageTypeByName(name))


message = load_messages()
Request = message("shannon.agent.ExecuteTaskRequest")
Reply = message("shannon.agent.ExecuteTaskResponse")
Update = message("shannon.agent.TaskUpdate")
Struct = message("google.protobuf.Struct")
ListValue = message("google.protobuf.ListValue")

AGENT = "/shannon.agent.AgentService/"
UNBOUNDED = [("grpc.max_receive_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]


class Client:
    """A channel: one connection, made at the first call."""

    def __init__(self, target, credentials=None, options=()):
        options = [*UNBOUNDED, *options]
        self.channel = (grpc.insecure_channel(target, options) if credentials is None
                        else grpc.secure_channel(target, credentials, options))
        self.execute = self.channel.unary_unary(AGENT + "ExecuteTask", Request.SerializeToString,
                                                Reply.FromString)
        self.stream = self.channel.unary_stream(AGENT + "StreamExecuteTask",
                                                Request.SerializeToString, Update.FromString)
        self.raw = self.channel.unary_unary(AGENT + "ExecuteTask")

    def ask(self, query, timeout=60, **more):
        return self.execute(Request(query=query), timeout=timeout, **more).result

    def updates(self, query, timeout=60):
        return self.stream(Request(query=query), timeout=timeout)

    def __enter__(self):
        return self

    def __exit__(self, *ignored):
        self.channel.close()


def failure(call, *args, **kwargs):
    """How a call fails: its code's name, and what it says."""
    try:
        call(*args, **kwargs)
    except grpc.RpcError as error:
        return error.code().name, error.details()
    raise AssertionError("the call did not fail")


class Server:
    """rpc-echo as a process."""

    def __init__(self, *arguments, log, pass_fds=()):
        self.log = log
        with open(log, "wb") as out:
            self.process = subprocess.Popen([ECHO, *map(str, arguments)], stdout=subprocess.PIPE,
                                            stderr=out, pass_fds=pass_fds, text=True)
        count = sum("=" not in str(argument) for argument in arguments)
        self.addresses = [self.process.stdout.readline().strip() for _ in range(count)]
        self.address = self.addresses[0]
        self.pid = self.process.pid
        assert self.address, log.read_text()

    def client(self, **more):
        return Client(self.address, **more)

    def counts(self):
        with self.client() as client:
            health = client.channel.unary_unary(
                AGENT + "HealthCheck", lambda _: b"",
                message("shannon.agent.HealthCheckResponse").FromString)
            return json.loads(health(None, timeout=60, wait_for_ready=True).message)

    def until(self, holds, seconds=20):
        """The counts, once they are so."""
        end = time.monotonic() + seconds
        while not holds(counts := self.counts()):
            assert time.monotonic() < end, counts
            time.sleep(0.02)
        return counts

    def is_well(self):
        """It answers, holds nothing of what was, and has no descriptor left of it."""
        self.until(lambda counts: counts["connections"] == 1 and counts["calls"] == 1
                   and counts["buffered_bytes"] < 1000)
        with self.client() as client:
            assert client.ask("well?") == "well?"
        end = time.monotonic() + 20
        while self.sockets() > len(self.addresses):
            assert time.monotonic() < end, "descriptors are left"
            time.sleep(0.02)

    def sockets(self):
        folder = f"/proc/{self.pid}/fd"
        links = []
        for name in os.listdir(folder):
            try:
                links.append(os.readlink(f"{folder}/{name}"))
            except FileNotFoundError:
                pass
        return sum(link.startswith("socket:") for link in links)

    def memory(self):
        """What it has of its own in memory, in MB."""
        text = open(f"/proc/{self.pid}/status").read()
        return int(text.split("RssAnon:")[1].split()[0]) / 1024

    def stop(self, number=signal.SIGINT):
        """Its exit code: 0, and under the sanitizers that says that it leaked nothing."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            code = self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        self.process.stdout.close()
        return code


# Frames.

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = (
    0, 1, 2, 3, 4, 6, 7, 8, 9)
END_STREAM, END_HEADERS, ACK = 1, 4, 1
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frame(kind, flags=0, stream=0, payload=b""):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + struct.pack(
        ">I", stream) + payload


def hpack(*fields):
    """A header block of literals that nobody remembers."""
    def text(value):
        size, out = len(value), b""
        if size < 127:
            return bytes([size]) + value
        size -= 127
        while size > 127:
            out += bytes([size & 127 | 128])
            size >>= 7
        return b"\x7f" + out + bytes([size]) + value

    return b"".join(b"\0" + text(name) + text(value) for name, value in fields)


def fields(path=AGENT + "ExecuteTask", kind=b"application/grpc", more=()):
    return [(b":method", b"POST"), (b":scheme", b"http"), (b":path", path.encode()),
            (b":authority", b"test"), (b"content-type", kind), (b"te", b"trailers"), *more]


def framed(body, flag=0, size=None):
    """A message behind its prefix."""
    return struct.pack(">BI", flag, len(body) if size is None else size) + body


class Raw:
    """A connection that says exactly what it is told to."""

    def __init__(self, server, preface=PREFACE + frame(SETTINGS)):
        host, port = server.address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.held = b""
        self.decoder = headers_of_http2.Decoder()
        self.send(preface)

    def send(self, data):
        """False: the server has closed it."""
        try:
            self.socket.sendall(data)
            return True
        except (BrokenPipeError, ConnectionResetError):
            return False

    def call(self, stream, query="x", path=AGENT + "ExecuteTask", flags=END_HEADERS, **more):
        body = framed(Request(query=query).SerializeToString())
        return self.send(frame(HEADERS, flags, stream, hpack(*fields(path, **more)))
                         + frame(DATA, END_STREAM, stream, body))

    def read_frame(self):
        """(type, flags, stream, payload), or None at the end."""
        while len(self.held) < 9 or len(self.held) < 9 + int.from_bytes(self.held[:3], "big"):
            try:
                data = self.socket.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                return None
            self.held += data
        size = int.from_bytes(self.held[:3], "big")
        kind, flags, stream = struct.unpack(">BBI", self.held[3:9])
        payload, self.held = self.held[9:9 + size], self.held[9 + size:]
        return kind, flags, stream, payload

    def read_until(self, wanted):
        """The first frame of a type; None: the connection ended before."""
        while (got := self.read_frame()) is not None and got[0] != wanted:
            pass
        return got

    def read_headers(self):
        """The next headers, as a dictionary."""
        return dict(self.decoder.decode(self.read_until(HEADERS)[3]))

    def ends(self):
        """Whether the server closes it within the time-out."""
        try:
            while self.read_frame() is not None:
                pass
            return True
        except TimeoutError:
            return False

    def close(self, abruptly=False):
        if abruptly:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *ignored):
        self.close()
