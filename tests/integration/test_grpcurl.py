"""grpcurl, which knows of the server what its reflection says."""
import json
import subprocess

import pytest
from conftest import ROOT
from packages import go_program
from serve import Serve

TASK = {"context": {"tool_parameters": {"tool": "python_executor", "code": "print('é')\n6 * 7"}}}


@pytest.fixture(scope="module")
def grpcurl(tmp_path_factory):
    program = go_program("grpcurl", ROOT / "tests/grpcurl",
                         "github.com/fullstorydev/grpcurl/cmd/grpcurl")
    server = Serve(tmp_path_factory.mktemp("serve"))

    def run(*arguments, before=(), fails=0):
        done = subprocess.run([program, "-plaintext", "-max-time", "60", *before, server.address,
                               *arguments], capture_output=True, text=True)
        assert done.returncode == fails, done.stderr
        return done.stdout or done.stderr

    yield run
    assert server.stop() == 0


def test_it_lists_the_services(grpcurl):
    services = grpcurl("list").split()
    assert {"shannon.agent.AgentService", "grpc.health.v1.Health"} <= set(services)
    for service in services:
        assert service in grpcurl("describe", service)


def test_it_finds_messages_with_what_they_import(grpcurl):
    said = grpcurl("describe", "shannon.agent.ExecuteTaskRequest")
    assert ".google.protobuf.Struct context = 3;" in said
    assert ".shannon.common.ExecutionMode mode = 4;" in said


def test_it_calls_methods_of_both_kinds(grpcurl):
    service = "shannon.agent.AgentService"
    reply = json.loads(grpcurl(f"{service}/ExecuteTask", before=["-d", json.dumps(TASK)]))
    assert (reply["status"], reply["result"]) == ("STATUS_CODE_OK", "é\n42")
    said = grpcurl(f"{service}/StreamExecuteTask", before=["-d", json.dumps(TASK)])
    assert '"delta": "é\\n"' in said and '"progress": 1' in said
    assert json.loads(grpcurl("grpc.health.v1.Health/Check"))["status"] == "SERVING"


def test_it_is_told_a_status(grpcurl):
    said = grpcurl("shannon.agent.AgentService/ExecuteTask", before=["-d", "{}"], fails=64 + 9)
    assert "FailedPrecondition" in said
    assert "does not expose service" in grpcurl("shannon.agent.No/No", fails=1)
