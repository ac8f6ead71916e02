from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

import grpc.aio

from . import _protocol as protocol
from ._channel import TLS, metadata, open_channel
from .errors import from_status, translated
from .results import Health, Output, Result, Tool

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack


class AsyncStream(AsyncIterator[Output]):
    """Stream, for asyncio. Leaving `async with` ends the program."""

    def __init__(self, call: Any) -> None:
        self._call = call
        self._updates = call.__aiter__()
        self._result: Result | None = None
        self._cancelled = False

    async def __anext__(self) -> Output:
        try:
            with translated():
                async for update in self._updates:
                    read = protocol.read_update(update)
                    if isinstance(read, Output):
                        return read
                    self._result = read or self._result
        except asyncio.CancelledError:
            if not self._cancelled:  # it is the task that was
                raise
            raise from_status("CANCELLED", "the stream was cancelled") from None
        raise StopAsyncIteration

    async def result(self) -> Result:
        """Reads on to the end, and lets go of what it reads."""
        async for _ in self:
            pass
        if self._result is None:
            raise protocol.broken_stream()
        return self._result

    def cancel(self) -> None:
        """End the program."""
        self._cancelled = True
        self._call.cancel()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None,
                        trace: TracebackType | None) -> None:
        self.cancel()


class AsyncClient:
    """Client, for asyncio: made, used and closed in one event loop. Cancelling the task that
    waits for a call ends the program."""

    def __init__(self, address: str, *, token: str | None = None, tls: TLS | None = None,
                 plaintext_token: bool = False) -> None:
        self._metadata = metadata(address, token, tls, plaintext_token)
        self._channel = open_channel(grpc.aio, address, tls)
        self._methods = protocol.Methods(self._channel)

    async def python(self, code: str, **options: Unpack[protocol.Options]) -> Result:
        """Run Python; with a session_id, as its next turn."""
        return await self._execute(protocol.python(code, **options))

    async def execute(self, wasm: bytes | None = None, *, path: str | None = None,
                      argv: Sequence[str] | None = None,
                      **options: Unpack[protocol.Options]) -> Result:
        """Run a WebAssembly module: its bytes, or a path that the server's operator allows.

        `argv` begins with the program's name."""
        return await self._execute(protocol.module(wasm, path, argv, **options))

    def stream(self, code: str, **options: Unpack[protocol.Options]) -> AsyncStream:
        """Run Python, and give its output while it runs."""
        run = protocol.python(code, **options)
        return AsyncStream(self._methods.stream(run.request, timeout=run.deadline_seconds,
                                                metadata=self._metadata))

    async def health(self, *, deadline_seconds: float = 10) -> Health:
        return protocol.read_health(await self._ask(
            self._methods.health, protocol.health_request(), deadline_seconds))

    async def tools(self, query: str = "", *, deadline_seconds: float = 10) -> list[Tool]:
        """What the server can run, or what of that the words of `query` find."""
        return protocol.read_tools(await self._ask(
            self._methods.tools, protocol.tools_request(query), deadline_seconds))

    async def close(self) -> None:
        """Ends what is still running."""
        await self._channel.close()

    async def _ask(self, method: Any, request: Any, deadline_seconds: float) -> Any:
        with translated():
            return await method(request, timeout=deadline_seconds, metadata=self._metadata)

    async def _execute(self, run: protocol.Run) -> Result:
        return protocol.read_reply(await self._ask(self._methods.execute, *run))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None,
                        trace: TracebackType | None) -> None:
        await self.close()
