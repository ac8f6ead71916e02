"""What both clients send, and how they read what comes back."""
from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypedDict

from ._messages import message, plain_dict
from .errors import BrigError, from_status, refused
from .results import Health, Output, Result, Tool

_SERVICE = "/shannon.agent.AgentService/"
_OK = 1  # shannon.common.StatusCode
_LONGEST = 60.0  # seconds that Python may run, which is what it gets if none are named
_GRACE = 30.0  # seconds beside the program's own: to wait for its turn, to travel

_Request = message("ExecuteTaskRequest")


class Options(TypedDict, total=False):
    """What any run may be told; nothing of it has to be."""

    session_id: str  # whose names (Python's) and files it goes on with
    user_id: str  # whose session it is, and who is counted
    stdin: str
    timeout_seconds: float  # of the program's; whole seconds, rounded up, for a module
    memory_mb: int
    deadline_seconds: float  # of the whole call; else the program's time and 30 s


class Run(NamedTuple):
    request: Any
    deadline_seconds: float


def python(code: str, **options: Any) -> Run:
    return _run("python_executor", {"code": code}, **options)


def module(wasm: bytes | None, path: str | None, argv: Sequence[str] | None,
           **options: Any) -> Run:
    if (wasm is None) == (path is None):
        raise TypeError("pass either the module's bytes or a path of the server's")
    parameters: dict[str, Any] = {} if argv is None else {"argv": list(argv)}
    if wasm is None:
        parameters["wasm_path"] = path
    else:
        parameters["wasm_base64"] = base64.b64encode(wasm).decode()
    return _run("code_executor", parameters, **options)


def tool(name: str, parameters: Mapping[str, Any], user_id: str) -> Run:
    """A tool by its own parameters, which the server checks."""
    seconds = parameters.get("timeout_seconds")
    if not isinstance(seconds, (int, float)) or not 0 < seconds < _LONGEST:
        seconds = _LONGEST
    return _run(name, parameters, user_id=user_id, deadline_seconds=seconds + _GRACE)


def _run(name: str, parameters: Mapping[str, Any], *, session_id: str = "", user_id: str = "",
         stdin: str | None = None, timeout_seconds: float | None = None, memory_mb: int = 0,
         deadline_seconds: float | None = None) -> Run:
    values = {"tool": name, **parameters}
    if stdin is not None:
        values["stdin"] = stdin
    if timeout_seconds is not None and name == "python_executor":
        values["timeout_seconds"] = timeout_seconds
    try:
        if timeout_seconds is not None and not 0 < timeout_seconds < math.inf:
            raise ValueError("timeout_seconds is a number of seconds above 0")
        request = _Request(mode=1, available_tools=[name])
        request.context["tool_parameters"] = values
        request.metadata.user_id = user_id
        request.metadata.session_id = session_id
        request.config.memory_limit_mb = memory_mb
        if timeout_seconds is not None and name == "code_executor":
            request.config.timeout_seconds = math.ceil(timeout_seconds)
    except (TypeError, ValueError, OverflowError, RecursionError) as why:
        raise refused(why) from why
    if deadline_seconds is None:
        deadline_seconds = (timeout_seconds or _LONGEST) + _GRACE
    return Run(request, deadline_seconds)


# What comes back.

def read_reply(reply: Any) -> Result:
    metadata = plain_dict(reply.metadata)
    success = reply.status == _OK
    return Result(success, reply.result if success else str(metadata.get("stdout", "")),
                  reply.error_message, sum(r.execution_time_ms for r in reply.tool_results),
                  metadata)


def read_update(update: Any) -> Output | Result | None:
    if update.HasField("tool_result"):
        result = update.tool_result
        return Result(result.status == _OK, result.output.string_value, result.error_message,
                      result.execution_time_ms)
    return Output(update.message, update.delta) if update.delta else None


def broken_stream() -> BrigError:
    return from_status("INTERNAL", "the stream ended without a result")


def read_health(reply: Any) -> Health:
    return Health(reply.healthy, reply.message, reply.uptime_seconds, reply.active_tasks,
                  reply.memory_usage_percent)


def read_tools(reply: Any) -> list[Tool]:
    return [Tool(tool.id, tool.name, tool.description, tool.category, tool.version,
                 tool.is_dangerous, tuple(tool.tags), plain_dict(tool.input_schema))
            for tool in reply.tools]


# The methods, on a channel of either kind.

class Methods:
    def __init__(self, channel: Any) -> None:
        def method(name: str, request: str, reply: str, make: Callable[..., Any]) -> Any:
            return make(_SERVICE + name, request_serializer=message(request).SerializeToString,
                        response_deserializer=message(reply).FromString)
        self.execute = method("ExecuteTask", "ExecuteTaskRequest", "ExecuteTaskResponse",
                              channel.unary_unary)
        self.stream = method("StreamExecuteTask", "ExecuteTaskRequest", "TaskUpdate",
                             channel.unary_stream)
        self.health = method("HealthCheck", "HealthCheckRequest", "HealthCheckResponse",
                             channel.unary_unary)
        self.tools = method("DiscoverTools", "DiscoverToolsRequest", "DiscoverToolsResponse",
                            channel.unary_unary)


def health_request() -> Any:
    return message("HealthCheckRequest")()


def tools_request(query: str) -> Any:
    return message("DiscoverToolsRequest")(query=query)
