"""The package as installed."""
import importlib.metadata
import pathlib

import brig_client
from google.protobuf import descriptor_pb2, descriptor_pool


def test_its_version_is_that_of_its_changelog():
    changes = (pathlib.Path(__file__).parents[1] / "CHANGELOG.md").read_text()
    assert f"## {importlib.metadata.version('brig-client')}" in changes


def test_it_lives_beside_other_stubs_of_the_same_files(client):
    """protobuf's common pool takes a file's name once: ours must not be there."""
    another = descriptor_pb2.FileDescriptorProto(name="agent/agent.proto", package="shannon.agent",
                                                 syntax="proto3")
    another.message_type.add(name="ExecuteTaskRequest")
    descriptor_pool.Default().AddSerializedFile(another.SerializeToString())
    assert client.python("1").output == "1"


def test_all_that_it_names_is_there():
    assert all(hasattr(brig_client, name) for name in brig_client.__all__)
