// @grpc/grpc-js against `brig serve` at the address BRIG_ADDRESS, with the files of PROTO.
"use strict";
const assert = require("node:assert");
const { test, after } = require("node:test");
const grpc = require("@grpc/grpc-js");
const loader = require("@grpc/proto-loader");

const files = loader.loadSync("agent/agent.proto", {
  includeDirs: [process.env.PROTO], keepCase: true, enums: String, defaults: true, longs: Number,
});
const { AgentService } = grpc.loadPackageDefinition(files).shannon.agent;
const client = new AgentService(process.env.BRIG_ADDRESS, grpc.credentials.createInsecure());
after(() => client.close());

function execute(request, options = { deadline: Date.now() + 60000 }) {
  return new Promise((resolve, reject) =>
    client.ExecuteTask(request, options,
      (error, reply) => (error ? reject(error) : resolve(reply))));
}

// proto-loader knows Struct as the message that it is.
function python(code, more = {}) {
  const parameters = { tool: "python_executor", code, ...more };
  const fields = Object.fromEntries(
    Object.entries(parameters).map(([key, value]) => [key, { stringValue: value }]));
  return { context: { fields: { tool_parameters: { structValue: { fields } } } } };
}

test("a program's output comes back", async () => {
  const reply = await execute(python("print('é\\U0001F600')\n6 * 7"));
  assert.equal(reply.status, "STATUS_CODE_OK");
  assert.equal(reply.final_state, "AGENT_STATE_COMPLETED");
  assert.equal(reply.result, "é😀\n42");
});

test("a failing program is a reply", async () => {
  const reply = await execute(python("1 / 0"));
  assert.equal(reply.status, "STATUS_CODE_ERROR");
  assert.equal(reply.result, "");
  assert.match(reply.error_message, /ZeroDivisionError/);
});

test("a session goes on", async () => {
  await execute(python("x = 6", { session_id: "node" }));
  assert.equal((await execute(python("x * 7", { session_id: "node" }))).result, "42");
});

test("calls go on side by side", async () => {
  const numbers = [...Array(16).keys()];
  const replies = await Promise.all(numbers.map((number) => execute(python(`${number}`))));
  assert.deepEqual(replies.map((reply) => reply.result), numbers.map(String));
});

test("a wrong request is refused with its status", async () => {
  await assert.rejects(execute({ context: { fields: {} } }),
    { code: grpc.status.FAILED_PRECONDITION, details: /context\.tool_parameters/ });
});

test("a deadline ends the call", async () => {
  await assert.rejects(execute(python("while True: pass"), { deadline: Date.now() + 500 }),
    { code: grpc.status.DEADLINE_EXCEEDED });
});

test("a stream gives output, then the result", async () => {
  let output = "", last;
  for await (const update of client.StreamExecuteTask(python("for i in range(3): print(i)"))) {
    output += update.delta;
    last = update;
  }
  assert.equal(output, "0\n1\n2\n");
  assert.equal(last.tool_result.output.stringValue, output);
  assert.equal(last.progress, 1);
});

test("a stream is cancelled", async () => {
  const call = client.StreamExecuteTask(python("print(1, flush=True)\nwhile True: pass"));
  await assert.rejects(async () => {
    for await (const update of call) if (update.delta !== "") call.cancel();
  }, { code: grpc.status.CANCELLED });
});
