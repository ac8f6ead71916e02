"""Run untrusted Python and WebAssembly on a Brig server."""
from ._aio import AsyncClient, AsyncStream
from ._channel import TLS
from ._client import Client, Stream
from ._protocol import Options
from .errors import (BrigError, Busy, Cancelled, DeadlineExceeded, NotAllowed, RequestRefused,
                     ServerError, Unavailable)
from .results import Health, Output, Result, Tool
from .tool import PythonExecutorTool, ToolResult

__all__ = ["AsyncClient", "AsyncStream", "BrigError", "Busy", "Cancelled", "Client",
           "DeadlineExceeded", "Health", "NotAllowed", "Options", "Output", "PythonExecutorTool",
           "RequestRefused", "Result", "ServerError", "Stream", "TLS", "Tool", "ToolResult",
           "Unavailable"]
