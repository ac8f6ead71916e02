/* The calls of brig/python_executor.h that run code. */
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "guest/guest.h"
#include "tool/tool.h"

#define STAGE "python_executor"

static int find_interpreter(struct brig_python_executor *executor, const char *name,
                            struct brig_error *err) {
  CLEANUP_FREE char *directory = NULL;
  CLEANUP_FREE char *path = NULL;
  const struct guest *guest;
  int rc = brig__config_guests_directory(executor->config, &directory, err);
  if (rc == 0) rc = brig__guest_find_installed(directory, name, &guest, &path, err);
  if (rc < 0) return rc;
  if (strcmp(guest->language, "python") != 0 || guest->session == NULL)
    return brig__fail(err, BRIG_E_INVALID, STAGE, "the interpreter %s is no Python with sessions",
                      name);
  executor->guest = strdup(name);
  executor->interpreter = brig__format("CPython %s (WASI)", guest->version);
  return executor->guest != NULL && executor->interpreter != NULL
             ? 0
             : brig__fail(err, BRIG_E_MEMORY, STAGE, "out of memory");
}

int brig_python_executor_open(struct brig_sessions *sessions, const struct brig_config *config,
                              const char *guest, struct brig_python_executor **ret_executor,
                              struct brig_error *err) {
  struct brig_python_executor *executor = calloc(1, sizeof *executor);
  if (executor == NULL) return brig__fail(err, BRIG_E_MEMORY, STAGE, "out of memory");
  executor->sessions = sessions;
  pthread_mutex_init(&executor->lock, NULL);
  int rc = brig__config_copy(config, &executor->config, err);
  if (rc == 0) executor->settings = brig__config_settings(executor->config);
  if (rc == 0) rc = find_interpreter(executor, guest != NULL ? guest : "python", err);
  if (rc == 0)
    *ret_executor = executor;
  else
    brig_python_executor_close(executor);
  return rc;
}

void brig_python_executor_close(struct brig_python_executor *executor) {
  if (executor == NULL) return;
  pthread_mutex_destroy(&executor->lock);
  brig_config_free(executor->config);
  free(executor->guest);
  free(executor->interpreter);
  free(executor->packages);
  free(executor);
}

static int read_call(const struct brig_python_call *call, struct brig_python_call *ret_known,
                     struct brig_error *err) {
  *ret_known = (struct brig_python_call){0};
  if (call == NULL || call->size < sizeof call->size || call->size > sizeof *call)
    return brig__fail(err, BRIG_E_INVALID, STAGE,
                      "not a call of this library's: begin it with BRIG_PYTHON_CALL_INIT");
  memcpy(ret_known, call, call->size);
  return 0;
}

static void run(struct execution *execution) {
  const struct brig_python_call *call = &execution->call;
  struct brig_turn turn = BRIG_TURN_INIT;
  turn.tenant = call->tenant;
  turn.user = call->user;
  turn.session = execution->session_id;
  turn.once = execution->session_id == NULL;
  turn.code = execution->code;
  turn.guest = execution->executor->guest;
  turn.input = call->input;
  turn.input_size = call->input_size;
  turn.limits.timeout_ms = execution->timeout_ms;
  turn.limits.memory_bytes = call->memory_bytes;
  turn.on_output = call->on_output;
  turn.on_output_context = call->on_output_context;
  turn.cancel = call->cancel;
  brig_session_run(execution->executor->sessions, &turn, &execution->turn, &execution->failure);
}

int brig_python_execute(struct brig_python_executor *executor, const struct brig_python_call *call,
                        struct brig_python_result **ret_result, struct brig_error *err) {
  struct execution execution = {.executor = executor, .began_us = brig__now_us()};
  int rc = read_call(call, &execution.call, err);
  if (rc == 0) rc = brig__tool_check(&execution, err);
  if (rc == 0 && execution.hint == HINT_NONE) {
    run(&execution);
    execution.hint = brig__tool_choose(&execution);
  }
  if (rc == 0) rc = brig__tool_result(&execution, ret_result, err);
  brig_turn_result_free(execution.turn);
  free(execution.code);
  return rc;
}
