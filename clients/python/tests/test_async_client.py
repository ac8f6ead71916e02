"""AsyncClient against `brig serve`: what is not Client's as well."""
import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from brig_client import (AsyncClient, Cancelled, Client, DeadlineExceeded, NotAllowed, Output,
                         RequestRefused, ServerError)
from modules import EXIT_7

FOREVER = "print('on', flush=True)\nwhile True: pass"


async def until(holds, seconds=20):
    end = time.monotonic() + seconds
    while not await holds():
        assert time.monotonic() < end
        await asyncio.sleep(0.02)


def with_client(shared, use):
    async def main():
        async with AsyncClient(shared.address) as client:
            return await use(client)
    return asyncio.run(main())


def test_all_that_it_can_do(shared):
    async def use(client):
        assert (await client.python("x = 6\nx * 7", session_id="async")).output == "42"
        assert (await client.python("x", session_id="async")).output == "6"
        assert (await client.execute(EXIT_7)).exit_code == 7
        assert (await client.health()).healthy
        assert [tool.id for tool in await client.tools("fenced")] == ["code_executor"]
        async with client.stream("print('a', flush=True)\n1 / 0") as stream:
            assert await anext(stream) == Output("stdout", "a\n")
            assert not (await stream.result()).success
    with_client(shared, use)


def test_calls_go_on_side_by_side(shared):
    async def use(client):
        results = await asyncio.gather(*(client.python(str(number)) for number in range(16)))
        assert [result.output for result in results] == [str(number) for number in range(16)]
    with_client(shared, use)


def test_errors_are_those_of_the_client(shared):
    async def use(client):
        with pytest.raises(RequestRefused):
            await client.python("1", session_id="../x")
        with pytest.raises(DeadlineExceeded):
            await client.python(FOREVER, timeout_seconds=50, deadline_seconds=0.5)
        with pytest.raises(DeadlineExceeded, match="deadline_seconds"):
            await client.stream(FOREVER, timeout_seconds=50, deadline_seconds=0.5).result()
    with_client(shared, use)


def test_a_task_that_is_cancelled_ends_its_program(serve):
    server = serve()

    async def use(client):
        async def busy():
            return (await client.health()).active_tasks == 1

        async def idle():
            return (await client.health()).active_tasks == 0
        task = asyncio.create_task(client.python(FOREVER, timeout_seconds=50))
        await until(busy)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(idle)
        async with client.stream(FOREVER, timeout_seconds=50) as stream:
            await anext(stream)
        await until(idle)
        with pytest.raises(Cancelled):
            await stream.result()
        stream = client.stream(FOREVER, timeout_seconds=50)
        await anext(stream)
        task = asyncio.create_task(stream.result())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(idle)
    with_client(server, use)


def test_a_token_says_who_calls(serve, tmp_path):
    tokens = tmp_path / "tokens"
    tokens.write_text("one:a-token-of-the-first\n")
    tokens.chmod(0o600)
    server = serve(server__tokens_file=tokens)

    async def main():
        async with AsyncClient(server.address, token="a-token-of-the-first") as client:
            assert (await client.python("1")).output == "1"
        async with AsyncClient(server.address) as client:
            with pytest.raises(NotAllowed):
                await client.stream("1").result()
    asyncio.run(main())


class Empty(grpc.GenericRpcHandler):
    """Of another server: streams that end before they said anything."""

    def service(self, details):
        return grpc.unary_stream_rpc_method_handler(lambda request, context: iter(()))


def test_a_stream_without_a_result_is_an_error():
    server = grpc.server(ThreadPoolExecutor(1), [Empty()])
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()

    async def main():
        async with AsyncClient(address) as client:
            with pytest.raises(ServerError, match="without a result"):
                await client.stream("1").result()
    try:
        asyncio.run(main())
        with Client(address) as client, pytest.raises(ServerError, match="without a result"):
            client.stream("1").result()
    finally:
        server.stop(None).wait()
