from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

import grpc

from . import _protocol as protocol
from ._channel import TLS, metadata, open_channel
from .errors import translated
from .results import Health, Output, Result, Tool

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack


class Stream(Iterator[Output]):
    """What a program writes, as it comes; at its end, result(). Leaving `with` ends the program."""

    def __init__(self, call: Any) -> None:
        self._call = call
        self._result: Result | None = None

    def __next__(self) -> Output:
        with translated():
            for update in self._call:
                read = protocol.read_update(update)
                if isinstance(read, Output):
                    return read
                self._result = read or self._result
        raise StopIteration

    def result(self) -> Result:
        """Reads on to the end, and lets go of what it reads."""
        for _ in self:
            pass
        if self._result is None:
            raise protocol.broken_stream()
        return self._result

    def cancel(self) -> None:
        """End the program. From any thread."""
        self._call.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.cancel()


class Client:
    """A connection to `brig serve`, made at the first call and used by all; threads may share it.

    `address` is HOST:PORT or unix:PATH. A `token` goes without TLS only to this machine, unless
    `plaintext_token` says that something else protects it.
    """

    def __init__(self, address: str, *, token: str | None = None, tls: TLS | None = None,
                 plaintext_token: bool = False) -> None:
        self._metadata = metadata(address, token, tls, plaintext_token)
        self._channel = open_channel(grpc, address, tls)
        self._methods = protocol.Methods(self._channel)

    def python(self, code: str, **options: Unpack[protocol.Options]) -> Result:
        """Run Python; with a session_id, as its next turn."""
        return self._execute(protocol.python(code, **options))

    def execute(self, wasm: bytes | None = None, *, path: str | None = None,
                argv: Sequence[str] | None = None,
                **options: Unpack[protocol.Options]) -> Result:
        """Run a WebAssembly module: its bytes, or a path that the server's operator allows.

        `argv` begins with the program's name."""
        return self._execute(protocol.module(wasm, path, argv, **options))

    def stream(self, code: str, **options: Unpack[protocol.Options]) -> Stream:
        """Run Python, and give its output while it runs."""
        run = protocol.python(code, **options)
        return Stream(self._methods.stream(run.request, timeout=run.deadline_seconds,
                                           metadata=self._metadata))

    def health(self, *, deadline_seconds: float = 10) -> Health:
        return protocol.read_health(self._ask(self._methods.health, protocol.health_request(),
                                              deadline_seconds))

    def tools(self, query: str = "", *, deadline_seconds: float = 10) -> list[Tool]:
        """What the server can run, or what of that the words of `query` find."""
        return protocol.read_tools(self._ask(self._methods.tools, protocol.tools_request(query),
                                             deadline_seconds))

    def close(self) -> None:
        """Ends what is still running, also in other threads."""
        self._channel.close()

    def _ask(self, method: Any, request: Any, deadline_seconds: float) -> Any:
        with translated():
            return method(request, timeout=deadline_seconds, metadata=self._metadata)

    def _execute(self, run: protocol.Run) -> Result:
        return protocol.read_reply(self._ask(self._methods.execute, *run))

    def _start(self, run: protocol.Run) -> Any:
        """A future of grpc's, for _finish() once it is done."""
        return self._methods.execute.future(run.request, timeout=run.deadline_seconds,
                                            metadata=self._metadata)

    def _finish(self, call: Any) -> Result:
        with translated():
            return protocol.read_reply(call.result())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()
