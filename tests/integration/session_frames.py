"""What a session's drivers are asked, and what they answer."""
import json
import re
import types


def run(source, count=1, times=1):
    """A turn; `times` times, it counts from 0."""
    return {"header": {"op": "run", "count": count if times == 1 else "COUNT"}, "blob": source.encode(),
            "times": times}


def turns(*sources):
    return [run(source, count) for count, source in enumerate(sources, 1)]


def restore(blob):
    return {"header": {"op": "restore"}, "blob": blob}


INFO = {"header": {"op": "info"}, "blob": b""}
SAVE = {"header": {"op": "save"}, "blob": b""}


class Reply(types.SimpleNamespace):
    """A reply: its header's fields, where there are some, and .blob, .header, .output."""

    def __getattr__(self, name):
        return None

    @property
    def why(self):
        return {each["name"]: each["reason"] for each in self.lost}


def parse(reply, output):
    size = int.from_bytes(reply[:4], "little")
    text = reply[4:4 + size].decode()  # It is UTF-8, so has no surrogates but as escapes:
    assert not re.search(r"(?<!\\)(\\\\)*\\u[dD][89a-fA-F]", text)
    header = json.loads(text)
    return Reply(header=header, blob=reply[4 + size:], output=output, **header)
