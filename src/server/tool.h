/* server/tool.h - one call of a tool: what it is given, and what came of it. Runs on a
 * thread of the executor's, and blocks it. */
#ifndef BRIG_SERVER_TOOL_H
#define BRIG_SERVER_TOOL_H

#include <brig/python_executor.h>
#include <brig/sandbox.h>
#include <brig/session.h>
#include "guest/guest.h"
#include "server/task.h"

/* What tools run with. It does not change while calls run. */
struct tool_setting {
  const struct brig_settings *settings;
  struct brig_sandbox *sandbox;
  struct brig_sessions *sessions;
  struct brig_python_executor *python; /* NULL: its interpreter is not installed, */
  const struct guest *python_guest;    /* and so is this */
  const char *guests_directory;
};

struct tool_run {
  /* In. */
  const struct tool_setting *setting;
  const struct task *task;
  const struct task_call *call;
  const char *tenant; /* NULL: none in particular */
  uint64_t ends_us;   /* when who waits for it waits no more; UINT64_MAX: never */
  struct arena *arena;
  struct brig_cancel *cancel;
  brig_output_fn on_output; /* NULL: none */
  void *on_output_context;
  /* Out. */
  bool success;
  ProtobufCBinaryData error;         /* for the client, in the arena, or empty. Then */
  enum rpc_status status;            /* if it is not RPC_OK, all of the call ends with these; */
  const struct brig_error *failure;  /* and for the operator, in the arena; NULL: none */
  struct brig_result *result;        /* or NULL; of `python` if that is there, */
  struct brig_python_result *python; /* else the run's own */
  uint64_t time_us;
};

void brig__code_executor_run(struct tool_run *run);
void brig__python_executor_run(struct tool_run *run);
/* Frees the results. */
void brig__tool_run_end(struct tool_run *run);

/* For tools: a client's mistake, told as its result; and Brig's own failure, which is told
 * as far as it is the client's concern. */
void brig__tool_refuse(struct tool_run *run, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void brig__tool_fail(struct tool_run *run, const struct brig_error *err);

/* The time that a program gets which is to have `timeout_ms`. Where its client waits for about
 * as long, a little less, so that the client hears how it ended. */
uint64_t brig__tool_timeout_ms(const struct tool_run *run, uint64_t timeout_ms);

/* A session's workspace (NULL without `session`) and the user's directory (NULL without one),
 * in the arena; false, and told, if they cannot be had or the workspace is full. */
bool brig__tool_directories(struct tool_run *run, const char *session, const char **ret_workspace,
                            const char **ret_memory);

#endif
