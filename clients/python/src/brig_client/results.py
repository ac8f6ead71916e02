"""What calls give back."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Result:
    """What came of a program, well or not.

    `output` is what it wrote; for Python that succeeded also the value of its last expression,
    and what it wrote to standard error. `error` is empty, or says what went wrong and, for
    Python, what to do next. `metadata` is all that the server tells beside, such as
    `peak_memory_bytes` and `cpu_ms`; a stream's result has none, and no output if it failed.
    """

    success: bool
    output: str
    error: str
    execution_time_ms: int
    metadata: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def ended(self) -> str | None:
        """How: "exited", "timeout", "trapped", ..."""
        return self.metadata.get("ended")

    @property
    def exit_code(self) -> int | None:
        """None: it did not come to an exit."""
        return self.metadata.get("exit_code")

    @property
    def stdout(self) -> str:
        return str(self.metadata.get("stdout", ""))

    @property
    def stderr(self) -> str:
        return str(self.metadata.get("stderr", ""))

    @property
    def session_id(self) -> str | None:
        return self.metadata.get("session_id")

    @property
    def execution_count(self) -> int | None:
        """How many calls are part of the session's state."""
        return self.metadata.get("execution_count")

    @property
    def interpreter(self) -> str | None:
        return self.metadata.get("interpreter")


@dataclass(frozen=True)
class Output:
    """A piece of what a program wrote, while it runs."""

    stream: str  # "stdout" or "stderr"
    text: str


@dataclass(frozen=True)
class Health:
    healthy: bool
    message: str
    uptime_seconds: int
    active_tasks: int
    memory_usage_percent: float


@dataclass(frozen=True)
class Tool:
    """A tool of the server's; `input_schema` is a JSON schema."""

    id: str
    name: str
    description: str
    category: str
    version: str
    is_dangerous: bool
    tags: tuple[str, ...]
    input_schema: Mapping[str, Any] = field(repr=False)
