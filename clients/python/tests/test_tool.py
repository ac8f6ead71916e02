"""PythonExecutorTool: in plain code, and as LangChain's own agents call tools."""
import asyncio
import json
import logging

import pytest
from brig_client import Client, PythonExecutorTool

FOREVER = "while True: pass"


@pytest.fixture
def tool(client):
    return PythonExecutorTool(client, user_id="of-the-tool")


def test_it_says_what_it_is(tool):
    assert tool.name == "python_executor" and "session_id" in tool.description
    properties = tool.args_schema["properties"]
    assert list(properties) == ["code", "session_id", "timeout_seconds", "stdin"]
    assert tool.args_schema["required"] == ["code"]
    assert (properties["timeout_seconds"]["default"], properties["timeout_seconds"]["maximum"]) == (
        30, 60)


def test_a_result_is_what_a_model_reads(tool):
    result = tool.run(code="print(1)\nx = 2\nx", session_id="s")
    assert (result.success, result.output, result.error) == (True, "1\n2", None)
    assert set(result.metadata) == {"execution_time_ms", "session_id", "execution_count",
                                    "interpreter"}
    assert (result.metadata["session_id"], result.metadata["execution_count"]) == ("s", 1)
    assert "CPython" in result.metadata["interpreter"]
    assert tool.run(code="x", session_id="s").output == "2"
    result = tool.run(code="print('before')\nimport requests")
    assert (result.success, result.output) == (False, "before\n")
    assert "ModuleNotFoundError" in result.error and "What to do:" in result.error
    assert result.metadata["session_id"] is None


def test_sessions_are_those_of_its_user(tool, client):
    tool.run(code="y = 1", session_id="mine")
    other = PythonExecutorTool(client, user_id="another")
    assert "NameError" in other.run(code="y", session_id="mine").error


def test_it_is_invoked_as_langchain_does(tool):
    assert tool.invoke("6 * 7")["output"] == "42"
    got = tool.invoke({"code": "input()", "stdin": "a line", "session_id": None,
                       "timeout_seconds": None}, {"tags": []})
    assert got["output"] == "'a line'"
    assert asyncio.run(tool.ainvoke({"code": "6 * 7"}))["output"] == "42"
    assert asyncio.run(tool.ainvoke("1 / 0"))["success"] is False  # in another event loop


@pytest.mark.parametrize("parameters, says", [
    ({}, "No code provided"),
    ({"code": 5}, "'code' must be a string"),
    ({"code": "1", "language": "python"}, "there is no parameter language: there are code,"),
    ({"code": "1", "timeout_seconds": "long"}, "'timeout_seconds' must be a number"),
    ({"code": "1", "timeout_seconds": -1}, "timeout_seconds is not a length of time"),
    ({"code": "1", "session_id": "../x"}, "session"),
    ({"code": "\ud800"}, "INVALID_ARGUMENT"),
    ({"code": object()}, "INVALID_ARGUMENT"),
])
def test_wrong_parameters_are_told_to_the_model(tool, parameters, says):
    result = tool.run(**parameters)
    assert not result.success and says in result.error and result.output == ""
    assert tool.invoke(parameters) == {
        "success": False, "output": "", "error": result.error,
        "metadata": tool.invoke(parameters)["metadata"]}


def test_a_timeout_is_a_result_that_says_what_to_do(tool):
    result = tool.run(code=FOREVER, timeout_seconds=0.5)
    assert result.error.startswith("Execution timeout after 0.5 seconds")
    assert tool.run(code="1", timeout_seconds=1000).success


def test_a_server_that_is_not_there_is_told_to_the_model(monkeypatch, caplog):
    monkeypatch.setenv("AGENT_CORE_ADDR", "127.0.0.1:1")
    monkeypatch.setenv("PYTHON_WASI_SESSION_TIMEOUT", "60")
    with caplog.at_level(logging.WARNING, "brig_client"), PythonExecutorTool() as tool:
        assert tool.run(code="1").error.startswith("UNAVAILABLE")
        assert asyncio.run(tool.arun(code="1")).error.startswith("UNAVAILABLE")
    assert "PYTHON_WASI_SESSION_TIMEOUT has no effect here" in caplog.text
    assert caplog.text.count("python_executor: UNAVAILABLE") == 2


def test_its_server_is_that_of_the_environment(shared, monkeypatch):
    monkeypatch.setenv("AGENT_CORE_ADDR", shared.address)
    with PythonExecutorTool() as tool:
        assert tool.run(code="6 * 7").output == "42"


def test_a_client_that_was_given_stays_open(client):
    with PythonExecutorTool(client):
        pass
    assert client.health().healthy


def test_a_task_that_is_cancelled_ends_its_program(serve):
    server = serve()
    with Client(server.address) as client:
        async def active(count):
            while client.health().active_tasks != count:
                await asyncio.sleep(0.02)

        async def main():
            task = asyncio.create_task(PythonExecutorTool(client).arun(code=FOREVER))
            await asyncio.wait_for(active(1), 20)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.wait_for(active(0), 20)
        asyncio.run(main())


# As LangChain's own.

def test_langchain_calls_it(tool):
    langchain = tool.as_langchain_tool()
    call = {"type": "tool_call", "id": "1", "name": "python_executor",
            "args": {"code": "print('é')\n6 * 7", "session_id": "chain"}}
    message = langchain.invoke(call)
    assert (message.tool_call_id, message.name, message.status) == (
        "1", "python_executor", "success")
    assert json.loads(message.content)["output"] == "é\n42"
    message = asyncio.run(langchain.ainvoke(call | {"args": {"code": "1 / 0"}}))
    assert "ZeroDivisionError" in json.loads(message.content)["error"]


def test_langchain_tells_models_its_parameters(tool):
    from langchain_core.utils.function_calling import convert_to_openai_tool
    for form in (tool.as_langchain_tool(), tool.args_schema):
        function = convert_to_openai_tool(form)["function"]
        assert function["name"] == "python_executor"
        assert function["description"] == tool.description
        assert function["parameters"]["required"] == ["code"]
        assert function["parameters"]["properties"]["timeout_seconds"]["maximum"] == 60
