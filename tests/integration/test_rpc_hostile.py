"""What hostile clients try on src/rpc: after each the server answers, and keeps nothing of it."""
import os
import random
import resource
import socket
import struct
import time

import pytest
from rpc_peer import (ACK, AGENT, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS,
                      PING, PREFACE, PRIORITY, RST_STREAM, SANITIZED, SETTINGS, WINDOW_UPDATE, Raw,
                      Request, failure, fields, frame, framed, hpack)
from test_rpc import keys, serve, tls  # noqa: F401 (fixtures)

SECOND = 1000000


@pytest.fixture
def server(serve):  # noqa: F811
    """One that must be well after the test, and must not have grown by much."""
    def start(*arguments, grows=30):
        started = serve(*arguments)
        started.is_well()
        started.grows, started.before = grows, started.memory()
        running.append(started)
        return started
    running = []
    yield start
    for started in running:
        started.is_well()
        if not SANITIZED:
            assert started.memory() - started.before < started.grows


def field(number, body):
    """A length-delimited field."""
    size, out = len(body), b""
    while size > 127:
        out += bytes([size & 127 | 128])
        size >>= 7
    return bytes([number << 3 | 2]) + out + bytes([size]) + body


# Connections.

@pytest.mark.parametrize("said", [
    b"", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    PREFACE[:10], PREFACE, PREFACE + frame(DATA, 0, 1, b"x"), PREFACE + frame(SETTINGS)[:5],
    os.urandom(5000)])
def test_what_is_no_greeting_ends(server, said):
    with Raw(server(f"handshake_us={SECOND // 2}"), preface=said) as raw:
        assert raw.ends()


def test_a_silent_tls_client_is_dropped(server, keys):  # noqa: F811
    one = server(*tls(keys, f"handshake_us={SECOND // 2}"), "plain:127.0.0.1:0", "127.0.0.1:0")
    one.address = one.addresses[1]
    hello = bytes.fromhex("16030100200100001c0303") + bytes(20)
    with Raw(one, preface=b"") as silent, Raw(one, preface=hello) as half:
        assert silent.ends() and half.ends()
    one.address = one.addresses[0]


def test_a_connection_without_a_call_is_told_to_go(server):
    with Raw(server(f"idle_us={SECOND // 2}")) as raw:
        raw.call(1)
        assert raw.read_headers()[":status"] == "200"
        assert raw.read_until(GOAWAY)[3][4:8] == bytes(4)
        assert raw.ends()


def test_pings_do_not_keep_an_idle_connection(server):
    with Raw(server(f"idle_us={SECOND}")) as raw:
        end = time.monotonic() + 20
        while raw.send(frame(PING, 0, 0, bytes(8))):
            assert time.monotonic() < end
            time.sleep(0.1)


def test_connections_beyond_the_bound_are_refused_and_room_is_made(server):
    one = server("max_connections=20")
    raws = [Raw(one) for _ in range(25)]
    let_in = sum(raw.read_until(SETTINGS) is not None for raw in raws)
    assert 19 <= let_in <= 20  # a client that left may be there yet
    for raw in raws:
        raw.close()
    assert one.until(lambda counts: counts["connections"] == 1)["refused"] >= 5


def test_descriptors_that_run_out_do_not_stop_it(server):
    one = server()
    soft, hard = resource.prlimit(one.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(one.pid, resource.RLIMIT_NOFILE, (40, hard))
    raws = [Raw(one) for _ in range(100)]
    time.sleep(1)
    for raw in raws:
        raw.close()
    one.until(lambda counts: counts["connections"] == 1)
    assert 0 < one.log.read_text().count("refused") < 200  # it waits, it does not spin


def test_a_thousand_idle_connections_are_cheap(server):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    one = server(grows=50)
    raws = [Raw(one) for _ in range(1000)]
    assert all(raw.read_until(SETTINGS) for raw in raws)
    assert one.counts()["connections"] == 1001
    if not SANITIZED:
        assert one.memory() < 50
    for raw in raws:
        raw.close(abruptly=True)


# Frames.

def flood(raw, data, limit=60):
    """Send it again and again until the server has had enough; whether it had."""
    end = time.monotonic() + limit
    raw.socket.settimeout(10)
    try:
        while raw.send(data):
            if time.monotonic() > end:
                return False
    except TimeoutError:
        return True  # it does not read any more
    return True


@pytest.mark.parametrize("what", ["ping", "settings", "reset", "continuation", "empty-continuation",
                                  "empty-data", "window", "priority"])
def test_a_flood_is_cut_off_or_costs_nothing(server, what):
    one = server(f"idle_us={2 * SECOND}")
    with Raw(one) as raw:
        if what == "reset":
            for stream in range(1, 60001, 2):
                if not (raw.call(stream, "sleep 100") and raw.send(
                        frame(RST_STREAM, 0, stream, struct.pack(">I", 8)))):
                    break
            assert not raw.send(b"") or raw.ends()
        elif "continuation" in what:
            raw.send(frame(HEADERS, 0, 1, hpack(*fields())))
            block = b"" if "empty" in what else hpack((b"x" * 100, b"y" * 1000)) * 10
            assert flood(raw, frame(CONTINUATION, 0, 1, block) * 10)
        elif what in ("ping", "settings"):
            kind = PING if what == "ping" else SETTINGS
            assert flood(raw, frame(kind, 0, 0, bytes(8) if kind == PING else b"") * 1000)
        else:
            raw.send(frame(HEADERS, END_HEADERS, 1, hpack(*fields())))
            data = {"empty-data": frame(DATA, 0, 1),
                    "window": frame(WINDOW_UPDATE, 0, 1, struct.pack(">I", 1)),
                    "priority": frame(PRIORITY, 0, 1, bytes(5))}[what]
            for _ in range(100):
                raw.send(data * 1000)
            one.counts()


def test_headers_byte_by_byte_are_not_waited_for(server):
    one = server(f"handshake_us={SECOND}")
    block = hpack(*fields(more=[(b"x-pad", b"y" * 5000)]))
    with Raw(one) as raw:
        raw.send(frame(HEADERS, 0, 1, block))
        end = time.monotonic() + 20
        while raw.send(frame(CONTINUATION, 0, 1, b"")) and raw.send(b""):
            assert time.monotonic() < end
            time.sleep(0.3)


def test_a_body_byte_by_byte_is_not_waited_for(server):
    one = server(f"idle_us={SECOND}")
    with Raw(one) as raw:
        raw.send(frame(HEADERS, END_HEADERS, 1, hpack(*fields())))
        body = framed(b"x" * 1000)
        end = time.monotonic() + 20
        raw.socket.settimeout(0.2)
        for byte in body:
            raw.send(frame(DATA, 0, 1, bytes([byte])))
            try:
                assert raw.read_headers()["grpc-status"] == "4"
                break
            except TimeoutError:
                assert time.monotonic() < end


def test_more_calls_than_the_bound_are_refused_even_when_cancelled_ones_go_on(server):
    one = server("max_calls=10")
    with Raw(one) as raw:
        for stream in range(1, 23, 2):
            raw.call(stream, "sleep 1500")
        assert raw.read_until(RST_STREAM)[2:] == (21, struct.pack(">I", 7))  # REFUSED_STREAM
        for stream in range(1, 21, 2):
            raw.send(frame(RST_STREAM, 0, stream, struct.pack(">I", 8)))
        raw.call(23, "sleep 1500")
        assert raw.read_headers()["grpc-status"] == "8"
        assert one.counts()["calls"] == 11


def test_headers_beyond_the_bound_end_the_call_alone(server):
    with Raw(server()) as raw:
        raw.call(1, more=[(b"x-%d" % i, b"y" * 1000) for i in range(16)])
        got = raw.read_headers()
        assert (got["grpc-status"], got["grpc-message"]) == ("8", "the headers are too large")
        raw.call(3)
        assert raw.read_until(DATA)


def test_a_bomb_of_compressed_headers_ends_its_connection(server):
    with Raw(server()) as raw:
        # a large field in the table, then ten thousand times its number
        block = hpack(*fields()) + b"\x40\x01x" + b"\x7f\x81\x1e" + b"y" * 4000
        raw.send(frame(HEADERS, END_HEADERS, 1, block))
        raw.send(frame(HEADERS, END_HEADERS | END_STREAM, 3, hpack(*fields()) + b"\xbe" * 16000))
        assert raw.ends()


# Messages.

def answer(client, body, **more):
    return failure(client.raw, body, timeout=60, **more)


def deep(levels):
    """A list in a list, and so on, in a request."""
    from google.protobuf.internal import encoder
    body = b""
    for _ in range(levels):
        for number in (1, 6):  # Value.list_value in ListValue.values
            body = bytes([number << 3 | 2]) + encoder._VarintBytes(len(body)) + body
    return field(3, field(1, field(1, b"k") + field(2, body)))


MALFORMED = {
    "truncated": b"\x12\x05abc", "number without end": b"\x08" + b"\xff" * 20,
    "overlong": b"\x08" + b"\x80" * 9 + b"\x02", "field 0": b"\x02\x00", "group": b"\x0b\x0c",
    "wire type 7": b"\x0f", "tag without end": b"\x80", "huge field": b"\xff\xff\xff\xff\x7f\x00",
    "length 2^63": b"\x12" + b"\xff" * 8 + b"\x7f", "wrong type": b"\x10\x01",
    "not UTF-8": field(2, b"\xff"), "surrogate": field(2, b"\xed\xa0\x80"),
    "overlong UTF-8": field(2, b"\xc0\x80"), "beyond UTF-8": field(2, b"\xf4\x90\x80\x80"),
    "half a character": field(2, b"\xe2\x82"), "0 in a key": field(3, field(1, field(1, b"\0"))),
    "nested": deep(5000), "nested a little too deep": deep(60), "random": b"\xa5" * 999,
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
def test_what_is_no_message_is_refused(server, body):
    with server().client() as client:
        code, said = answer(client, body)
        assert code == "INTERNAL" and said, said
        assert client.ask("x") == "x"


def test_nesting_that_others_take_is_taken(server):
    with server().client() as client:
        value = []
        for _ in range(30):
            value = [value]
        request = Request()
        request.context.update({"k": value})
        assert client.execute(request, timeout=20).metadata == request.context


@pytest.mark.parametrize("part", [b"\x0a\x00", b"\x7a\x00", b"\x78\x01"],
                         ids=["entries", "unknown messages", "unknown numbers"])
def test_many_small_parts_do_not_become_much_memory(server, part):
    with server(grows=60).client() as client:
        assert answer(client, field(3, part * (2 << 20)))[0] == "RESOURCE_EXHAUSTED"


def test_an_entry_without_key_or_value_is_no_danger(server):
    with server().client() as client:
        body = field(3, field(1, b"") + field(1, field(1, b"k")) + field(1, field(2, b"")))
        client.raw(body, timeout=10)


@pytest.mark.parametrize("prefix, status", [
    (framed(b"x", size=0xFFFFFFFF), "8"), (framed(b"x", size=(16 << 20) + 1), "8"),
    (framed(b"", flag=1), "13"), (framed(b"", flag=255), "13"), (b"\0\0", "13"),
    (framed(b"xx", size=5), "13"), (framed(b"") * 2, "13"), (b"", "13")])
def test_what_is_no_frame_of_a_message_is_refused(server, prefix, status):
    with Raw(server()) as raw:
        raw.send(frame(HEADERS, END_HEADERS, 1, hpack(*fields()))
                 + frame(DATA, END_STREAM, 1, prefix))
        assert raw.read_headers()["grpc-status"] == status
        raw.call(3)
        assert raw.read_until(DATA)


def test_what_all_connections_send_at_once_is_bounded(server):
    one = server("max_buffered_bytes=4000000", grows=40)
    raws = [Raw(one) for _ in range(20)]
    for raw in raws:
        raw.send(frame(HEADERS, END_HEADERS, 1, hpack(*fields())))
        raw.send(frame(DATA, 0, 1, framed(b"", size=10 << 20)))
        for _ in range(50):
            raw.send(frame(DATA, 0, 1, bytes(16000)))
    counts = one.until(lambda counts: counts["ended"] - counts["ended_ok"] >= 14)
    assert counts["buffered_bytes"] < 5000000
    assert "RESOURCE_EXHAUSTED" in one.log.read_text()
    for raw in raws:
        raw.close()


# Replies.

def test_a_client_that_never_reads_a_stream_costs_little_and_is_dropped(server):
    one = server(f"idle_us={2 * SECOND}")
    with Raw(one) as no_window, Raw(one) as no_socket:
        no_window.send(frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 0)))
        no_window.call(1, "flood 1000", path=AGENT + "StreamExecuteTask")
        no_socket.send(frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 0x7FFFFFFF))
                       + frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 0x7FFF0000)))
        no_socket.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        no_socket.call(1, "flood 100000", path=AGENT + "StreamExecuteTask")
        one.until(lambda counts: counts["calls"] == 3)
        assert one.counts()["buffered_bytes"] < 4 << 20
        counts = one.until(lambda counts: counts["calls"] == 1, seconds=30)
        assert counts["cancelled"] == 2


def test_a_client_is_heard_while_much_flows_to_it(server):
    one = server(grows=60)
    with Raw(one) as raw:
        raw.send(frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 0x7FFFFFFF))
                 + frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 0x7FFF0000)))
        raw.call(1, f"big {60 << 20}")
        raw.read_until(DATA)
        raw.send(frame(RST_STREAM, 0, 1, struct.pack(">I", 8)) + frame(PING, 0, 0, bytes(8)))
        read = 0
        while (got := raw.read_frame())[0] != PING:
            read += len(got[3])
            assert read < 40 << 20


def test_a_reply_that_is_never_taken_is_dropped(server):
    one = server(f"idle_us={SECOND}")
    with Raw(one) as raw:
        raw.send(frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 0)))
        raw.call(1, "big 3000000")
        assert raw.read_until(RST_STREAM)[3] == struct.pack(">I", 8)


def test_a_reply_that_is_taken_slowly_is_not_dropped(server):
    one = server(f"idle_us={SECOND}")
    with Raw(one) as raw:
        raw.send(frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 0)))
        raw.call(1, "big 1000000")
        for _ in range(8):
            time.sleep(0.4)
            raw.send(frame(WINDOW_UPDATE, 0, 1, struct.pack(">I", 1000)))
            assert len(raw.read_until(DATA)[3]) == 1000


def test_replies_beyond_what_all_may_hold_end_their_calls(server):
    one = server("max_buffered_bytes=4000000")
    with Raw(one) as raw:
        raw.send(frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 0)))
        for stream in range(1, 21, 2):
            raw.call(stream, "big 1000000")
        one.until(lambda counts: counts["ended"] - counts["ended_ok"] > 5)


def test_a_slow_reader_gets_all_of_its_stream(server):
    one = server(f"idle_us={SECOND}")
    with one.client() as client:
        got = 0
        for update in client.updates("count 60000"):
            got += 1
            if got % 10000 == 0:
                time.sleep(0.3)
        assert got == 60000


# The end of a connection, anywhere.

def test_a_connection_may_end_at_any_byte(server):
    one = server()
    said = (PREFACE + frame(SETTINGS) + frame(HEADERS, END_HEADERS, 1, hpack(*fields()))
            + frame(DATA, END_STREAM, 1, framed(Request(query="sleep 50").SerializeToString()))
            + frame(HEADERS, END_HEADERS, 3, hpack(*fields(AGENT + "StreamExecuteTask")))
            + frame(DATA, END_STREAM, 3, framed(Request(query="count 9 20").SerializeToString())))
    for size in range(0, len(said), 3):
        with Raw(one, preface=said[:size]) as raw:
            raw.close(abruptly=size % 2 == 0)
    one.until(lambda counts: counts["calls"] == 1)


def test_nonsense_of_every_kind_ends_well(server):
    one, chance = server(f"handshake_us={SECOND}", f"idle_us={SECOND}"), random.Random(1)
    good = [frame(HEADERS, END_HEADERS, 1, hpack(*fields())), frame(SETTINGS, ACK),
            frame(DATA, END_STREAM, 1, framed(Request(query="x").SerializeToString())),
            frame(PING, 0, 0, bytes(8)), frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 1)),
            frame(RST_STREAM, 0, 1, bytes(4)), frame(GOAWAY, 0, 0, bytes(8))]
    for _ in range(300):
        said = bytearray(b"".join(chance.choices(good, k=chance.randint(1, 12))))
        for _ in range(chance.randint(0, 6)):
            said[chance.randrange(len(said))] = chance.randrange(256)
        with Raw(one) as raw:
            raw.send(bytes(said))
            if chance.random() < 0.2:
                raw.close(abruptly=True)


def test_a_close_within_everything_is_clean(serve):  # noqa: F811
    one = serve()
    with Raw(one) as half, Raw(one, preface=b"") as silent, Raw(one) as busy:
        half.send(frame(HEADERS, 0, 1, hpack(*fields())))
        busy.call(1, "sleep 300")
        busy.call(3, "flood 1000", path=AGENT + "StreamExecuteTask")
        busy.send(frame(HEADERS, END_HEADERS, 5, hpack(*fields()))
                  + frame(DATA, 0, 5, framed(b"", size=9)))
        one.until(lambda counts: counts["calls"] >= 5)
        assert one.stop() == 0 and silent.ends()
