"""What can keep a call from being answered. That a program failed is no error: see Result."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import grpc


class BrigError(Exception):
    """A call that was not answered.

    `status` is the name of gRPC's status, `message` the server's (or gRPC's) own words, `advice`
    what to do next. `retryable`: the same call may succeed later, and was not run.
    """

    retryable: ClassVar[bool] = False

    def __init__(self, status: str, message: str, advice: str) -> None:
        super().__init__(status, message, advice)
        self.status = status
        self.message = message
        self.advice = advice

    def __str__(self) -> str:
        return f"{self.status}: {self.message} ({self.advice})"


class RequestRefused(BrigError):
    """The request is wrong, or beyond a limit: it will be refused again."""


class NotAllowed(BrigError):
    """Who calls is unknown, or may not do this."""


class Busy(BrigError):
    """Nothing was run, as there is no room for it now."""

    retryable = True


class Unavailable(BrigError):
    """The server is not there, or was lost on the way: the program may have been run."""


class DeadlineExceeded(BrigError):
    """There was no answer in time. The server ends what it still ran."""


class Cancelled(BrigError):
    """The call was cancelled, here or by the server."""


class ServerError(BrigError):
    """The server failed: its log says why."""


_REFUSED = "correct the request"
_UNAVAILABLE = ("check that `brig serve` runs at this address, with TLS or without as the client; "
                "if it was lost on the way, look whether the program was run before you call again")
_SERVER = "look into the server's log; this client cannot mend it"

# Status, how its message begins, what it is here, what to do next: the first that fits is taken.
_ERRORS: tuple[tuple[str, str, type[BrigError], str], ...] = (
    ("RESOURCE_EXHAUSTED", "rate_limited", Busy,
     "wait for a second, then call again; pass user_id, so that users are counted apart"),
    ("RESOURCE_EXHAUSTED", "token_limit", RequestRefused, _REFUSED),
    ("RESOURCE_EXHAUSTED", "Session workspace quota exceeded", RequestRefused,
     "use another session_id, or have files of this session deleted"),
    ("RESOURCE_EXHAUSTED", "the message is larger", RequestRefused, "send less at once"),
    ("RESOURCE_EXHAUSTED", "", Busy, "wait for some seconds, then make the same call again"),
    ("UNAVAILABLE", "circuit_open", Busy,
     "too many of this user's calls failed: wait for half a minute, then call again"),
    ("UNAVAILABLE", "", Unavailable, _UNAVAILABLE),
    ("UNAUTHENTICATED", "", NotAllowed, "pass a token, or a certificate, that the server knows"),
    ("PERMISSION_DENIED", "", NotAllowed, "ask the server's operator"),
    ("DEADLINE_EXCEEDED", "timeout", DeadlineExceeded,
     "the server's own limit of a call's time is over: do less at once"),
    ("DEADLINE_EXCEEDED", "", DeadlineExceeded, "do less at once, or pass more deadline_seconds"),
    ("CANCELLED", "", Cancelled, "call again if the result is still wanted"),
    ("INVALID_ARGUMENT", "", RequestRefused, _REFUSED),
    ("FAILED_PRECONDITION", "", RequestRefused, _REFUSED),
    ("OUT_OF_RANGE", "", RequestRefused, _REFUSED),
    ("NOT_FOUND", "", RequestRefused, "ask for what tools() names"),
    ("UNIMPLEMENTED", "", RequestRefused, "check that the address is that of `brig serve`"),
    ("", "", ServerError, _SERVER),
)


def from_status(status: str, message: str) -> BrigError:
    for of_status, beginning, kind, advice in _ERRORS:
        if of_status in ("", status) and message.startswith(beginning):
            return kind(status, message, advice)
    raise AssertionError("the last row fits all")


@contextmanager
def translated() -> Iterator[None]:
    """gRPC's errors, as ours."""
    try:
        yield
    except grpc.RpcError as error:
        call: Any = error  # which it is as well, but not by its type
        raise from_status(call.code().name, call.details() or "") from error


def refused(why: Exception) -> BrigError:
    """What could not even be sent."""
    return from_status("INVALID_ARGUMENT", str(why))
