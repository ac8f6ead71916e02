/* From a request to all that an execution holds, each step with its check. */
#include "sandbox/execution.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/error.h"
#include "base/fd.h"

void brig__execution_close(struct execution *execution) {
  brig__code_release(execution->sandbox->modules, &execution->code);
  brig__module_close(&execution->module);
  brig__mounts_close(&execution->mounts);
  brig__task_block_free(&execution->strings);
  brig__task_block_free(&execution->given);
  if (execution->block >= 0) close(execution->block);
  if (execution->input >= 0) close(execution->input);
  if (execution->has_turn) brig__queue_leave(execution->sandbox->queue);
}

int brig__execution_cancel_fd(const struct execution *execution) {
  return brig__cancel_fd(execution->request.cancel);
}

/* Callers built with an older header know fewer fields. */
int brig__request_read(const struct brig_request *request, struct brig_request *ret_known,
                        struct brig_error *err) {
  *ret_known = (struct brig_request){0};
  if (request == NULL || request->size < offsetof(struct brig_request, limits) ||
      request->size > sizeof *request)
    return brig__fail(err, BRIG_E_INVALID, "request",
                      "not a request of this library's: begin it with BRIG_REQUEST_INIT");
  memcpy(ret_known, request, request->size);
  if (ret_known->input_from_fd && ret_known->input != NULL)
    return brig__fail(err, BRIG_E_INVALID, "request", "input is given twice");
  if (ret_known->code != NULL && ret_known->guest == NULL)
    return brig__fail(err, BRIG_E_INVALID, "request",
                      "code is for an installed interpreter: name it in guest");
  return 0;
}

/* Before anything is opened: those who wait cost next to nothing. */
static int take_turn(struct execution *execution, struct brig_error *err) {
  int rc = brig__queue_enter(execution->sandbox->queue, execution->request.tenant,
                             brig__execution_cancel_fd(execution), err);
  execution->has_turn = rc == 0;
  return rc;
}

/* What the compiler found, against the limits of this request. */
static int check_facts(const struct execution *execution, struct brig_error *err) {
  const struct module_facts *facts = &execution->code.facts;
  unsigned long long limit = execution->limits.memory_bytes;
  if (facts->memory_minimum > limit)
    return brig__fail(err, BRIG_E_LIMIT, "module",
                      "the module's memory begins with %llu bytes, above the limit of %llu "
                      "(wasi.memory_limit_bytes, --memory)",
                      (unsigned long long)facts->memory_minimum, limit);
  /* An installed interpreter is the operator's, and held to the limit as it runs. */
  if (facts->memory_maximum != ENGINE_NO_MAXIMUM && facts->memory_maximum > limit &&
      execution->module.guest == NULL)
    return brig__fail(err, BRIG_E_LIMIT, "module",
                      "the module declares a memory of up to %llu bytes, above the limit of %llu "
                      "(wasi.memory_limit_bytes, --memory)",
                      (unsigned long long)facts->memory_maximum, limit);
  if (!facts->exports_start && execution->module.guest == NULL)
    return brig__fail(err, BRIG_E_MODULE, "module",
                      "the module has no function `_start`: it is a library, not a program. Build "
                      "it as a command");
  return 0;
}

struct engine_settings brig__execution_settings(const struct execution *execution) {
  const struct guest *guest = execution->module.guest;
  return (struct engine_settings){
      .metered = execution->limits.fuel != BRIG_UNLIMITED,
      .proposals = guest != NULL ? guest->proposals : 0,
      .stubs = guest != NULL,
  };
}

static int get_code(struct execution *execution, struct brig_error *err) {
  const struct brig_settings *settings = execution->sandbox->settings;
  const struct guest *guest = execution->module.guest;
  struct module_request request = {
      .digest = execution->module.digest,
      .settings = brig__execution_settings(execution),
      .bytes = brig__module_bytes,
      .context = &execution->module,
      .memory_bytes = guest != NULL ? settings->compile_interpreter_memory_limit_bytes
                                    : settings->compile_memory_limit_bytes,
      .timeout_us = 1000 * (guest != NULL ? settings->compile_interpreter_timeout_ms
                                          : settings->compile_timeout_ms),
      .cancel_fd = brig__execution_cancel_fd(execution),
  };
  return brig__module_store_get(execution->sandbox->modules, &request, &execution->code, err);
}

/* What the driver is to run: the request's code; or, for clients that send an
 * interpreter as a module and a program as input, that input. */
static void find_program(struct execution *execution) {
  const struct brig_request *request = &execution->request;
  struct program *program = &execution->program;
  if (request->code != NULL)
    *program =
        (struct program){request->code, strlen(request->code), request->code_name, request->argv};
  if (request->guest != NULL || request->input_size == 0 ||
      memchr(request->input, 0, request->input_size) != NULL)
    return;
  execution->module.guest = brig__guest_for_client(&execution->module.digest, request->argv);
  if (execution->module.guest == NULL) return;
  *program = (struct program){.text = request->input, .size = request->input_size};
  execution->request.input_size = 0;
}

int brig__execution_prepare(struct brig_sandbox *sandbox, const struct brig_request *asked,
                            const struct turn_frame *frame, struct execution *execution,
                            struct brig_error *err) {
  *execution = (struct execution){.sandbox = sandbox,
                                  .frame = frame,
                                  .module = {.fd = -1},
                                  .block = -1,
                                  .input = -1};
  const struct brig_request *request = &execution->request;
  struct module *module = &execution->module;
  const struct guest *guest = NULL;
  int rc = brig__request_read(asked, &execution->request, err);
  if (rc == 0) rc = take_turn(execution, err);
  if (rc == 0 && request->guest != NULL)
    rc = brig__guest_find_installed(sandbox->guests_directory, request->guest, &module->guest,
                                    &module->path, err);
  if (rc == 0) rc = brig__mounts_open(sandbox, request, module->guest, &execution->mounts, err);
  if (rc == 0) rc = brig__module_open(sandbox, request, module, err);
  if (rc == 0) {
    find_program(execution);
    guest = module->guest;
    rc = brig__limits_merge(&sandbox->limits, &request->limits, guest != NULL, &execution->limits,
                            err);
  }
  if (rc == 0 && frame != NULL && guest->session == NULL)
    rc = brig__fail(err, BRIG_E_INVALID, "session", "the interpreter %s has no sessions",
                    guest->name);
  /* The manifest is the operator's word, as the limits are. */
  if (guest != NULL && guest->table_elements > execution->limits.table_elements)
    execution->limits.table_elements = guest->table_elements;
  if (rc == 0) rc = get_code(execution, err);
  if (rc == 0) rc = check_facts(execution, err);
  return rc;
}
