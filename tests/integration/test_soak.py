"""`brig serve` under many clients that behave badly, and killed in the middle of it."""
import base64
import itertools
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import command
from serve import Serve, grpc, notebook, python, task

CLIENTS, CALLS = 64, 10_000


@pytest.fixture
def serve(tmp_path):
    servers = []

    def start(**more):
        options = {"enforcement.circuit_breaker_min_requests": 1000000,
                   "enforcement.per_request_timeout_secs": 120, "pool.max_workers": CLIENTS,
                   "pool.queue_timeout_secs": 120, "wasi.execution_timeout_secs": 60, **more}
        servers.append(Serve(tmp_path, options))
        return servers[-1]

    yield start
    for server in servers:
        if server.process.poll() is None:
            server.stop()


def is_idle(server, client):
    health = client.call("HealthCheck", "HealthCheckRequest", "HealthCheckResponse")
    workers = [pid for pid in server.descendants() if server.depth(pid) == 3]
    return health.active_tasks == 0 and len(workers) <= 4  # those that are ready


def test_ten_thousand_calls_are_all_accounted_for(serve, wasm):
    server = serve()
    trap = base64.b64encode(wasm(command("unreachable")).read_bytes()).decode()
    ends, numbers, lock = {"own": 0, "cancelled": 0, "timeout": 0, "trapped": 0}, itertools.count(), \
        threading.Lock()

    def one(client, number):
        if number % 10 == 0:
            call = client.execute.future(python("import time\ntime.sleep(60)"), timeout=120)
            time.sleep(0.02)
            call.cancel()
            return "cancelled" if call.code() == grpc.StatusCode.CANCELLED else str(call.code())
        if number % 10 == 1:
            reply = client.fail(python("import time\ntime.sleep(60)", timeout=1), timeout=120)
        elif number % 10 == 2:
            reply = client.fail(task({"tool": "code_executor", "wasm_base64": trap}), timeout=120)
        else:
            return "own" if client.run(python(f"print({number})"), timeout=120).result == \
                f"{number}\n" else "another's"
        return reply.metadata["ended"]

    def caller(_):
        with server.client() as client:
            while (number := next(numbers)) < CALLS:
                end = one(client, number)
                with lock:
                    ends[end] = ends.get(end, 0) + 1

    with server.client() as client:
        client.run(python("1"))
        client.fail(task({"tool": "code_executor", "wasm_base64": trap}))
        before = len(os.listdir(f"/proc/{server.pid}/fd"))
        with ThreadPoolExecutor(CLIENTS) as pool:
            list(pool.map(caller, range(CLIENTS)))
        assert ends == {"own": CALLS * 7 // 10, "cancelled": CALLS // 10, "timeout": CALLS // 10,
                        "trapped": CALLS // 10}
        end = time.monotonic() + 30
        while not is_idle(server, client):
            assert time.monotonic() < end, server.descendants()
            time.sleep(0.1)
        # A few for the templates that it has made, and what is ready of each.
        assert len(os.listdir(f"/proc/{server.pid}/fd")) <= before + 40
    assert server.stop() == 0


@pytest.mark.parametrize("number", (signal.SIGTERM, signal.SIGKILL))
def test_what_was_answered_before_it_ended_is_there_after(serve, number):
    server = serve()
    answered, statuses = [0] * 16, set()

    def caller(index):
        with server.client() as client:
            while True:
                try:
                    reply = client.run(notebook("x = globals().get('x', 0) + 1\nx",
                                                session=f"soak-{index}"), timeout=60)
                except grpc.RpcError as error:
                    statuses.add(error.code().name)
                    return
                assert int(reply.result) == answered[index] + 1
                answered[index] += 1

    with ThreadPoolExecutor(16) as pool:
        calls = [pool.submit(caller, index) for index in range(16)]
        while sum(answered) < 400:
            time.sleep(0.01)
        server.stop(number)
        for call in calls:
            call.result()
    assert statuses <= {"UNAVAILABLE"}, statuses
    with serve().client() as client:
        for index, count in enumerate(answered):
            there = int(client.run(notebook("x", session=f"soak-{index}")).result)
            assert there in (count, count + 1), (index, there, count)
