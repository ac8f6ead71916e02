"""The messages of proto/, in a pool of their own: protobuf's common one takes each file name
once, and a program may have stubs of its own that were generated of the same files."""
from __future__ import annotations

import importlib.resources
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory


def _load() -> descriptor_pool.DescriptorPool:
    pool = descriptor_pool.DescriptorPool()
    packed = (importlib.resources.files(__package__) / "messages.binpb").read_bytes()
    for file in descriptor_pb2.FileDescriptorSet.FromString(packed).file:
        pool.AddSerializedFile(file.SerializeToString())
    return pool


_pool = _load()


def message(name: str) -> Any:
    """The class of a message of the package shannon.agent."""
    found = _pool.FindMessageTypeByName(f"shannon.agent.{name}")
    return message_factory.GetMessageClass(found)


def plain(value: Any) -> Any:
    """A google.protobuf.Value as JSON would have it: its numbers are all doubles."""
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return plain_dict(value.struct_value)
    if kind == "list_value":
        return [plain(item) for item in value.list_value.values]
    if kind == "number_value":
        number = value.number_value
        return int(number) if number.is_integer() else number
    return None if kind in (None, "null_value") else getattr(value, kind)


def plain_dict(struct: Any) -> dict[str, Any]:
    return {key: plain(value) for key, value in struct.fields.items()}
