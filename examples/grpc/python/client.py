"""client.py ADDRESS < PROGRAM: run a Python program by AgentService.ExecuteTask."""
import asyncio
import sys

import grpc
from agent import agent_pb2, agent_pb2_grpc
from common import common_pb2
from google.protobuf import struct_pb2

INTERPRETER = "/opt/wasm-interpreters/python-3.11.4.wasm"


def request_for(program):
    context = struct_pb2.Struct()
    context.update({"tool_parameters": {
        "tool": "code_executor",
        "wasm_path": INTERPRETER,
        "stdin": program,
        "argv": ["python", "-c", "import sys; exec(sys.stdin.read())"],
    }})
    return agent_pb2.ExecuteTaskRequest(
        query="Execute Python code",
        context=context,
        mode=common_pb2.EXECUTION_MODE_SIMPLE,
        available_tools=["code_executor"],
        metadata=common_pb2.TaskMetadata(task_id="example", user_id="ada", session_id="notebook"),
        session_context=agent_pb2.SessionContext(session_id="notebook", user_id="ada"),
        config=agent_pb2.AgentConfig(timeout_seconds=20),
    )


async def main(address):
    async with grpc.aio.insecure_channel(address) as channel:
        stub = agent_pb2_grpc.AgentServiceStub(channel)
        reply = await stub.ExecuteTask(request_for(sys.stdin.read()), timeout=30)
    if reply.status != common_pb2.STATUS_CODE_OK:
        sys.exit(reply.error_message)
    print(reply.result, end="")


asyncio.run(main(sys.argv[1]))
