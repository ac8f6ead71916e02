#include "sandbox/sandbox_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"

/* All that an execution holds, so that one function lets go of it. */
struct execution {
  struct brig_sandbox *sandbox;
  const struct brig_request *request;
  struct module module;
  struct mounts mounts;
  struct brig_limits limits;
  struct code code;
  int block, input; /* descriptors, or -1 */
};

static void close_execution(struct execution *execution) {
  brig__code_release(execution->sandbox->modules, &execution->code);
  brig__module_close(&execution->module);
  brig__mounts_close(&execution->mounts);
  if (execution->block >= 0) close(execution->block);
  if (execution->input >= 0) close(execution->input);
}

static int cancel_fd(const struct execution *execution) {
  return execution->request->cancel == NULL ? -1 : execution->request->cancel->fd;
}

static int check_request(const struct brig_request *request, struct brig_error *err) {
  if (request == NULL || request->size < offsetof(struct brig_request, limits) ||
      request->size > sizeof *request)
    return brig__fail(err, BRIG_E_INVALID, "request",
                      "not a request of this library's: begin it with BRIG_REQUEST_INIT");
  if (request->input_from_fd && request->input != NULL)
    return brig__fail(err, BRIG_E_INVALID, "request", "input is given twice");
  return 0;
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

static struct engine_settings engine_settings(const struct execution *execution) {
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
      .settings = engine_settings(execution),
      .bytes = brig__module_bytes,
      .context = &execution->module,
      .memory_bytes = guest != NULL ? settings->compile_interpreter_memory_limit_bytes
                                    : settings->compile_memory_limit_bytes,
      .timeout_us = 1000 * (guest != NULL ? settings->compile_interpreter_timeout_ms
                                          : settings->compile_timeout_ms),
      .cancel_fd = cancel_fd(execution),
  };
  return brig__module_store_get(execution->sandbox->modules, &request, &execution->code, err);
}

static int prepare(struct brig_sandbox *sandbox, const struct brig_request *request,
                   struct execution *execution, struct brig_error *err) {
  *execution = (struct execution){
      .sandbox = sandbox, .request = request, .module = {.fd = -1}, .block = -1, .input = -1};
  const struct guest *guest = NULL;
  int rc = check_request(request, err);
  if (rc == 0 && request->guest != NULL) rc = brig__guest_find(request->guest, &guest, err);
  if (rc == 0) rc = brig__mounts_open(sandbox, request, guest, &execution->mounts, err);
  if (rc == 0) rc = brig__module_open(sandbox, request, &execution->module, err);
  if (rc == 0)
    rc = brig__limits_merge(&sandbox->limits, &request->limits, guest != NULL, &execution->limits,
                            err);
  /* The manifest is the operator's word, as the limits are. */
  if (guest != NULL && guest->table_elements > execution->limits.table_elements)
    execution->limits.table_elements = guest->table_elements;
  if (rc == 0) rc = get_code(execution, err);
  if (rc == 0) rc = check_facts(execution, err);
  return rc;
}

/* Bytes become a sealed memfd: nobody has to feed a pipe while it runs. */
static int open_input(struct execution *execution, struct brig_error *err) {
  const struct brig_request *request = execution->request;
  if (request->input_from_fd)
    execution->input = fcntl(request->input_fd, F_DUPFD_CLOEXEC, 0);
  else if (request->input_size > 0)
    execution->input = brig__sealed_memfd("brig-stdin", request->input, request->input_size);
  else
    execution->input = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (execution->input >= 0) return 0;
  int error = execution->input < -1 ? -execution->input : errno;
  return brig__fail_errno(err, error, "request", "standard input");
}

static int make_call(struct execution *execution, struct pool_call *call, struct brig_error *err) {
  struct wire_task *task = &call->task;
  *task = (struct wire_task){.magic = WIRE_MAGIC,
                             .operation = WIRE_RUN,
                             .timeout_us = execution->limits.timeout_ms * 1000,
                             .settings = engine_settings(execution),
                             .limits = execution->limits};
  execution->block =
      brig__task_block(execution->request, &execution->module, &execution->mounts, task, err);
  if (execution->block < 0) return execution->block;
  int rc = open_input(execution, err);
  if (rc < 0) return rc;
  call->fds[WIRE_FD_STDIN] = execution->input;
  call->fds[WIRE_FD_STDOUT] = -1;
  call->fds[WIRE_FD_STDERR] = -1;
  call->fds[WIRE_FD_BLOCK] = execution->block;
  call->fds[WIRE_FD_CODE] = execution->code.fd;
  for (size_t i = 0; i < execution->mounts.count; i++)
    call->fds[WIRE_FD_MOUNTS + i] = execution->mounts.items[i].fd;
  call->fd_count = WIRE_FD_MOUNTS + execution->mounts.count;
  call->cancel_fd = cancel_fd(execution);
  return 0;
}

static int run(struct execution *execution, struct brig_result *result, uint64_t asked_us,
               struct brig_error *err) {
  struct sink sink = {.request = execution->request,
                      .result = result,
                      .limits = {execution->limits.stdout_bytes, execution->limits.stderr_bytes}};
  struct pool_call call = {.output = brig__sink_output, .context = &sink};
  struct pool_end end;
  int rc = make_call(execution, &call, err);
  if (rc == 0) rc = brig__pool_call(execution->sandbox->pool, &call, &end, err);
  if (rc == 0 && sink.out_of_memory)
    rc = brig__fail(err, BRIG_E_MEMORY, "run", "out of memory for the guest's output");
  if (rc == 0) rc = brig__result_fill(result, &call, &end, asked_us, err);
  result->code_cached = execution->code.cached;
  return rc;
}

static void set_cancelled(struct brig_result *result) {
  result->outcome = BRIG_OUTCOME_CANCELLED;
  strcpy(result->reason, "cancelled by the caller, before it started");
}

int brig_sandbox_execute(struct brig_sandbox *sandbox, const struct brig_request *request,
                         struct brig_result **ret_result, struct brig_error *err) {
  uint64_t asked_us = brig__now_us();
  struct execution execution;
  struct brig_result *result = brig__result_new();
  if (result == NULL) return brig__fail(err, BRIG_E_MEMORY, "run", "out of memory");
  int rc = prepare(sandbox, request, &execution, err);
  if (rc == 0) rc = run(&execution, result, asked_us, err);
  if (rc == MODULE_STORE_CANCELLED) {
    set_cancelled(result);
    rc = 0;
  }
  close_execution(&execution);
  if (rc < 0)
    brig_result_free(result);
  else
    *ret_result = result;
  return rc;
}

int brig_sandbox_prepare(struct brig_sandbox *sandbox, const struct brig_request *request,
                         struct brig_error *err) {
  struct execution execution;
  int rc = prepare(sandbox, request, &execution, err);
  if (rc == MODULE_STORE_CANCELLED)
    rc = brig__fail(err, BRIG_E_BUSY, "compile", "cancelled by the caller");
  close_execution(&execution);
  return rc;
}

int brig_sandbox_validate_permissions(struct brig_sandbox *sandbox,
                                      const struct brig_request *request, struct brig_error *err) {
  struct mounts mounts = {0};
  int rc = check_request(request, err);
  if (rc == 0) rc = brig__mounts_open(sandbox, request, NULL, &mounts, err);
  brig__mounts_close(&mounts);
  return rc;
}
