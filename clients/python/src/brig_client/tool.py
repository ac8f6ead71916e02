"""The tool `python_executor`, as agents call it."""
from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any

from . import _protocol as protocol
from ._client import Client
from .errors import BrigError, refused
from .results import Result

if TYPE_CHECKING:
    from typing_extensions import Self

_log = logging.getLogger(__name__)

_ADDRESS = "agent-core:50051"
_OF_THE_SERVER = ("PYTHON_WASI_WASM_PATH", "PYTHON_WASI_SESSION_TIMEOUT")
_METADATA = ("session_id", "execution_count", "interpreter")
_DESCRIPTION = (
    "Runs Python in a sandbox without network and gives back what it writes and the value of its "
    "last expression. With a session_id, names, imports and files are there in the next call.")
_SCHEMA: dict[str, Any] = {
    "type": "object",
    "title": "python_executor",
    "description": _DESCRIPTION,
    "properties": {
        "code": {"type": "string", "description": "The program"},
        "session_id": {
            "type": "string",
            "description": "Whose names and files it goes on with; left out: it starts afresh"},
        "timeout_seconds": {
            "type": "number", "exclusiveMinimum": 0, "maximum": 60, "default": 30,
            "description": "How long it may run"},
        "stdin": {"type": "string", "description": "What it reads from standard input"},
    },
    "required": ["code"],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class ToolResult:
    """What a model reads. `error` is None, or what went wrong and what to do next; `metadata` has
    execution_time_ms, session_id, execution_count and interpreter."""

    success: bool
    output: str
    error: str | None
    metadata: dict[str, Any] = field(default_factory=dict)


def _told(result: Result) -> ToolResult:
    metadata = {"execution_time_ms": result.execution_time_ms,
                **{key: result.metadata.get(key) for key in _METADATA}}
    return ToolResult(result.success, result.output, result.error or None, metadata)


def _untold(error: BrigError) -> ToolResult:
    """There is one who waits for an answer, whatever came of it."""
    _log.warning("python_executor: %s", error)
    return _told(Result(False, "", f"{error.status}: {error.message}\n\n"
                                   f"What to do: {error.advice}", 0))


async def _wait(call: Any) -> None:
    """For a call of grpc's, in whatever loop this is; who does not wait on ends it."""
    loop, done = asyncio.get_running_loop(), asyncio.Event()

    def tell(_: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed already
            loop.call_soon_threadsafe(done.set)

    call.add_done_callback(tell)
    try:
        await done.wait()
    except asyncio.CancelledError:
        call.cancel()
        raise


class PythonExecutorTool:
    """`client` stays its caller's to close. Without one, the server is that of AGENT_CORE_ADDR,
    and the tool is closed itself. Sessions are those of `user_id`, and live in the server."""

    name = "python_executor"
    description = _DESCRIPTION
    args_schema = _SCHEMA

    def __init__(self, client: Client | None = None, *, user_id: str = "") -> None:
        self._own = client is None
        self._client = client or Client(os.environ.get("AGENT_CORE_ADDR") or _ADDRESS)
        self._user_id = user_id
        for variable in filter(os.environ.get, _OF_THE_SERVER):
            _log.warning("%s has no effect here: it is for the environment of `brig serve`",
                         variable)

    def run(self, **parameters: Any) -> ToolResult:
        """code, and if need be session_id, timeout_seconds, stdin. Never raises a BrigError."""
        try:
            return _told(self._client._execute(self._prepare(parameters)))
        except BrigError as error:
            return _untold(error)

    async def arun(self, **parameters: Any) -> ToolResult:
        """run(), in any event loop."""
        try:
            call = self._client._start(self._prepare(parameters))
            await _wait(call)
            return _told(self._client._finish(call))
        except BrigError as error:
            return _untold(error)

    def invoke(self, input: str | Mapping[str, Any], config: Any = None,
               **ignored: Any) -> dict[str, Any]:
        """As LangChain calls tools: with the code, or all parameters. `config` is ignored."""
        return asdict(self.run(**_parameters(input)))

    async def ainvoke(self, input: str | Mapping[str, Any], config: Any = None,
                      **ignored: Any) -> dict[str, Any]:
        return asdict(await self.arun(**_parameters(input)))

    def as_langchain_tool(self) -> Any:
        """A StructuredTool of langchain_core's, which has to be installed."""
        from langchain_core.tools import StructuredTool

        def run(**parameters: Any) -> dict[str, Any]:
            return self.invoke(parameters)

        async def arun(**parameters: Any) -> dict[str, Any]:
            return await self.ainvoke(parameters)

        return StructuredTool.from_function(
            func=run, coroutine=arun, name=self.name, description=self.description,
            args_schema=self.args_schema, infer_schema=False)

    def close(self) -> None:
        if self._own:
            self._client.close()

    def _prepare(self, parameters: Mapping[str, Any]) -> protocol.Run:
        unknown = sorted(parameters.keys() - _SCHEMA["properties"].keys())
        if unknown:
            raise refused(ValueError(f"there is no parameter {', '.join(unknown)}: there are "
                                     f"{', '.join(_SCHEMA['properties'])}"))
        return protocol.tool(self.name, parameters, self._user_id)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()


def _parameters(given: str | Mapping[str, Any]) -> Mapping[str, Any]:
    return {"code": given} if isinstance(given, str) else given
