#include "server/tool.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/fd.h"
#include "server/enforcement.h"
#include "session/session.h"

void brig__tool_run_end(struct tool_run *run) {
  if (run->python == NULL) brig_result_free(run->result);
  brig_python_result_free(run->python);
  run->result = NULL;
  run->python = NULL;
}

void brig__tool_refuse(struct tool_run *run, const char *format, ...) {
  char *text = NULL;
  va_list args;
  va_start(args, format);
  int length = vasprintf(&text, format, args);
  va_end(args);
  run->success = false;
  run->error = brig__text(brig__arena_take(run->arena, length < 0 ? NULL : text));
}

/* How Brig's errors are told. What is about the request is its result, word for word; what
 * is not ends the call, and of the operator's machine no word reaches the client. */
static const struct {
  int code;
  enum rpc_status status;
  const char *message; /* NULL: the error's own */
} tellings[] = {
    {BRIG_E_INVALID, RPC_OK, NULL},
    {BRIG_E_NOT_FOUND, RPC_OK, NULL},
    {BRIG_E_TOO_LARGE, RPC_OK, NULL},
    {BRIG_E_MODULE, RPC_OK, NULL},
    {BRIG_E_LIMIT, RPC_OK, NULL},
    {BRIG_E_COMPILE, RPC_OK, NULL},
    {BRIG_E_BUSY, RPC_RESOURCE_EXHAUSTED, NULL},
    {BRIG_E_MEMORY, RPC_RESOURCE_EXHAUSTED, "out of memory: try again later"},
    {BRIG_E_LOST, RPC_UNAVAILABLE, "the sandbox process died: try again"},
};

void brig__tool_fail(struct tool_run *run, const struct brig_error *err) {
  size_t row = 0, rows = sizeof tellings / sizeof *tellings;
  while (row < rows && tellings[row].code != err->code) row++;
  run->failure = brig__arena_copy(run->arena, err, sizeof *err);
  run->success = false;
  run->status = row < rows ? tellings[row].status : RPC_INTERNAL;
  if (row == rows)
    run->error = brig__text("the sandbox failed: the server's log says why");
  else if (run->status == RPC_OK)
    brig__tool_refuse(run, "WASI execution error: %s", err->message);
  else
    brig__tool_refuse(run, "%s",
                      tellings[row].message != NULL ? tellings[row].message : err->message);
}

#define TRAVEL_MS 250

uint64_t brig__tool_timeout_ms(const struct tool_run *run, uint64_t timeout_ms) {
  if (run->ends_us == UINT64_MAX) return timeout_ms;
  uint64_t now_us = brig__now_us();
  uint64_t left_ms = run->ends_us > now_us ? (run->ends_us - now_us) / 1000 : 0;
  uint64_t travel_ms = left_ms / 4 < TRAVEL_MS ? left_ms / 4 : TRAVEL_MS;
  bool about_as_long = timeout_ms + travel_ms > left_ms && timeout_ms <= left_ms + TRAVEL_MS;
  return about_as_long && left_ms > travel_ms ? left_ms - travel_ms : timeout_ms;
}

static bool has_room(struct tool_run *run, const char *workspace) {
  struct brig_error err;
  int rc = brig__enforcement_check_workspace(workspace, run->setting->settings, &err);
  if (rc == 0) return true;
  run->status = RPC_RESOURCE_EXHAUSTED;
  brig__tool_refuse(run, "%s", err.message);
  return false;
}

bool brig__tool_directories(struct tool_run *run, const char *session, const char **ret_workspace,
                            const char **ret_memory) {
  const char *user = run->task->user;
  char *workspace = NULL, *memory = NULL;
  struct brig_error err;
  if (session == NULL && user == NULL) return true;
  CLEANUP_FREE char *owner = brig__session_owner(run->tenant, user);
  int rc = owner == NULL ? brig__store_no_memory(&err)
                         : brig__workspace_open(run->setting->sessions->workspaces, owner, session,
                                                &workspace, &memory, &err);
  if (rc < 0) {
    brig__tool_fail(run, &err);
    return false;
  }
  *ret_memory = brig__arena_take(run->arena, memory);
  if (user == NULL) *ret_memory = NULL;
  if (session == NULL) return true;
  *ret_workspace = brig__arena_take(run->arena, workspace);
  return *ret_workspace != NULL && has_room(run, *ret_workspace);
}
