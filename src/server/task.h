/* server/task.h - what an ExecuteTaskRequest asks for: read and checked, nothing run. */
#ifndef BRIG_SERVER_TASK_H
#define BRIG_SERVER_TASK_H

#include <agent/agent.pb-c.h>
#include "config/config.h"
#include "rpc/rpc.h"
#include "server/arena.h"
#include "server/catalog.h"
#include "server/struct_value.h"

#define TASK_CALLS_MAX 100

struct task_call {
  const struct tool *tool;
  proto_struct *parameters; /* without the tool's name */
};

/* Of the request, which must live as long, and of the arena. */
struct task {
  const Shannon__Agent__ExecuteTaskRequest *request;
  ProtobufCBinaryData id;
  const char *session, *user; /* NULL: none */
  uint64_t timeout_ms;        /* 0: the default */
  uint64_t memory_bytes;      /* likewise */
  struct task_call *calls;
  size_t call_count;
  bool listed; /* they came as a list */
};

/* RPC_OK and a task, or the status that the call ends with and, in the arena, its message. */
enum rpc_status brig__task_read(const Shannon__Agent__ExecuteTaskRequest *request,
                                const struct brig_settings *settings, struct arena *arena,
                                struct task *ret_task, const char **ret_message);

#endif
