"""Modules, as bytes: small enough to be written by hand."""

HEADER = b"\0asm\1\0\0\0"


def section(number, content):
    return bytes([number, len(content)]) + content


def name(text):
    return bytes([len(text)]) + text.encode()


def started(code, imports=b""):
    """A module whose _start is `code`."""
    count = 1 if imports else 0  # of functions before it
    return (HEADER
            + section(1, b"\2\x60\0\0\x60\1\x7f\0")  # types: () and (i32)
            + (section(2, b"\1" + imports) if imports else b"")
            + section(3, b"\1\0")
            + section(5, b"\1\0\1")  # a memory of one page
            + section(7, b"\2" + name("memory") + b"\2\0" + name("_start") + b"\0" + bytes([count]))
            + section(10, b"\1" + bytes([len(code) + 2]) + b"\0" + code + b"\x0b"))


NOTHING = started(b"")
TRAP = started(b"\0")
EXIT_7 = started(b"\x41\7\x10\0",
                 name("wasi_snapshot_preview1") + name("proc_exit") + b"\0\1")
