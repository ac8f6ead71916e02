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
  struct brig_request request; /* as this version knows it */
  struct module module;
  struct program program; /* for the guest's driver, if it has a text */
  struct mounts mounts;
  struct brig_limits limits;
  struct code code;
  struct task_block strings;
  int block, input, program_fd; /* or -1 */
  bool has_turn;
};

static void close_execution(struct execution *execution) {
  brig__code_release(execution->sandbox->modules, &execution->code);
  brig__module_close(&execution->module);
  brig__mounts_close(&execution->mounts);
  brig__task_block_free(&execution->strings);
  if (execution->block >= 0) close(execution->block);
  if (execution->input >= 0) close(execution->input);
  if (execution->program_fd >= 0) close(execution->program_fd);
  if (execution->has_turn) brig__queue_leave(execution->sandbox->queue);
}

static int cancel_fd(const struct execution *execution) {
  return execution->request.cancel == NULL ? -1 : execution->request.cancel->fd;
}

/* Callers built with an older header know fewer fields. */
static int read_request(const struct brig_request *request, struct brig_request *ret_known,
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
                             cancel_fd(execution), err);
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

static int prepare(struct brig_sandbox *sandbox, const struct brig_request *asked,
                   struct execution *execution, struct brig_error *err) {
  *execution = (struct execution){
      .sandbox = sandbox, .module = {.fd = -1}, .block = -1, .input = -1, .program_fd = -1};
  const struct brig_request *request = &execution->request;
  const struct guest *guest = NULL;
  int rc = read_request(asked, &execution->request, err);
  if (rc == 0) rc = take_turn(execution, err);
  if (rc == 0 && request->guest != NULL)
    rc = brig__guest_find(sandbox->guests_directory, request->guest, GUEST_ANY, &guest, err);
  if (rc == 0) rc = brig__mounts_open(sandbox, request, guest, &execution->mounts, err);
  if (rc == 0) rc = brig__module_open(sandbox, request, guest, &execution->module, err);
  if (rc == 0) {
    find_program(execution);
    guest = execution->module.guest;
    rc = brig__limits_merge(&sandbox->limits, &request->limits, guest != NULL, &execution->limits,
                            err);
  }
  /* The manifest is the operator's word, as the limits are. */
  if (guest != NULL && guest->table_elements > execution->limits.table_elements)
    execution->limits.table_elements = guest->table_elements;
  if (rc == 0) rc = get_code(execution, err);
  if (rc == 0) rc = check_facts(execution, err);
  return rc;
}

/* Bytes become a sealed memfd: nobody has to feed a pipe while it runs. */
static int open_input(struct execution *execution, struct brig_error *err) {
  const struct brig_request *request = &execution->request;
  if (request->input_from_fd)
    execution->input = fcntl(request->input_fd, F_DUPFD_CLOEXEC, 0);
  else if (request->input_size > 0)
    execution->input = brig__sealed_memfd("brig-stdin", request->input, request->input_size);
  else
    return 0;
  if (execution->input >= 0) return 0;
  int error = execution->input < -1 ? -execution->input : errno;
  return brig__fail_errno(err, error, "request", "standard input");
}

static int open_program(struct execution *execution, struct brig_error *err) {
  if (execution->program.text == NULL) return 0;
  execution->program_fd = brig__task_program(&execution->program, err);
  return execution->program_fd < 0 ? execution->program_fd : 0;
}

static struct task_source source_of(const struct execution *execution, const char *preload) {
  return (struct task_source){.request = &execution->request,
                              .driven = execution->program.text != NULL,
                              .module = &execution->module,
                              .mounts = &execution->mounts,
                              .preload = preload};
}

/* All that a worker of a template needs. */
static int make_call(struct execution *execution, struct pool_call *call, struct brig_error *err) {
  struct wire_task *task = &call->task;
  struct task_source source = source_of(execution, NULL);
  *task = (struct wire_task){.magic = WIRE_MAGIC,
                             .operation = WIRE_RESUME,
                             .timeout_us = execution->limits.timeout_ms * 1000,
                             .settings = engine_settings(execution),
                             .limits = execution->limits};
  int rc = brig__task_block(&source, task, &execution->strings, err);
  if (rc == 0) rc = open_input(execution, err);
  if (rc == 0) rc = open_program(execution, err);
  if (rc < 0) return rc;
  task->placeholders = 0;
  int input = execution->input >= 0 ? execution->input : execution->sandbox->null;
  call->fds[WIRE_FD_STDIN] = input;
  call->fds[WIRE_FD_STDOUT] = -1;
  call->fds[WIRE_FD_STDERR] = -1;
  call->fds[WIRE_FD_PROGRAM] = execution->program_fd >= 0 ? execution->program_fd : input;
  for (size_t i = 0; i < execution->mounts.count; i++)
    call->fds[WIRE_FD_MOUNTS + i] = execution->mounts.items[i].fd;
  call->fd_count = brig__wire_fd_count(task);
  call->cancel_fd = cancel_fd(execution);
  return 0;
}

/* What a worker of the bare zygote needs beside. */
static int add_start(struct execution *execution, struct pool_call *call, struct brig_error *err) {
  execution->block = brig__task_memfd(&execution->strings, err);
  if (execution->block < 0) return execution->block;
  call->task.operation = WIRE_RUN;
  call->fds[call->fd_count++] = execution->block;
  call->fds[call->fd_count++] = execution->code.fd;
  return 0;
}

static struct template_kind kind_of(const struct execution *execution,
                                    const struct pool_call *call) {
  return (struct template_kind){.module = &execution->module,
                                .task = &call->task,
                                .strings = &execution->strings,
                                .tenant = execution->request.tenant};
}

/* What is run to make a template of this: with the operator's ceilings as limits,
 * any directories, and nothing of the request's beyond what the template's key
 * has. `ret_own` are descriptors to close. */
static int make_start(const struct execution *execution, struct pool_call *call, int ret_own[2],
                      struct brig_error *err) {
  const struct guest *guest = execution->module.guest;
  bool driven = execution->program.text != NULL;
  CLEANUP_FREE char *preload =
      driven ? brig__warm_preload(execution->sandbox, guest, execution->request.env) : NULL;
  struct program sample = {0};
  if (driven) sample = (struct program){.text = guest->sample, .size = strlen(guest->sample)};
  struct task_source source = source_of(execution, preload);
  struct task_block strings;
  int rc = brig__task_block(&source, &call->task, &strings, err);
  if (rc < 0) return rc;
  ret_own[0] = brig__task_memfd(&strings, err);
  ret_own[1] = driven ? brig__task_program(&sample, err) : open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (ret_own[0] < 0 || ret_own[1] < 0) return BRIG_E_SYSTEM;
  call->task.operation = WIRE_WARM;
  call->task.limits = brig__warm_limits(execution->sandbox, &execution->limits);
  call->task.timeout_us = call->task.limits.timeout_ms * 1000;
  for (size_t i = 0; i < WIRE_FD_COMMON; i++) call->fds[i] = ret_own[1];
  call->fds[WIRE_FD_PROGRAM] = ret_own[1];
  for (uint32_t i = 0; i < call->task.mounts; i++)
    if (call->task.placeholders >> i & 1) call->fds[WIRE_FD_MOUNTS + i] = ret_own[1];
  call->fds[call->fd_count++] = ret_own[0];
  call->fds[call->fd_count++] = execution->code.fd;
  return 0;
}

/* If such requests are to have a template, say what it would be. */
static void offer(const struct execution *execution, const struct brig_digest *key,
                  const struct pool_call *call) {
  struct pool_call start = *call;
  int own[2] = {-1, -1};
  if (!brig__templates_wanted(execution->sandbox->templates, key)) return;
  if (make_start(execution, &start, own, NULL) == 0)
    brig__templates_offer(execution->sandbox->templates, key, &start.task, start.fds,
                          start.fd_count);
  for (int i = 0; i < 2; i++)
    if (own[i] >= 0) close(own[i]);
}

static int start_template(struct execution *execution, uint32_t ready, struct brig_error *err) {
  struct pool_call call;
  struct template_kind kind = kind_of(execution, &call);
  struct brig_digest key;
  int own[2] = {-1, -1};
  int rc = make_call(execution, &call, err);
  if (rc < 0) return rc;
  if (!brig__warm_possible(execution->sandbox, &kind) || brig__warm_key(&kind, &key) < 0)
    return brig__fail(err, BRIG_E_JAIL, "template",
                      "modules are warmed only behind the wall %s, which is not up",
                      brig__jail_wall_name(JAIL_WALL_ROOT));
  rc = make_start(execution, &call, own, err);
  call.task.ready = ready;
  if (rc == 0)
    rc = brig__templates_warm(execution->sandbox->templates, &key, &call.task, call.fds,
                              call.fd_count, err);
  for (int i = 0; i < 2; i++)
    if (own[i] >= 0) close(own[i]);
  return rc;
}

static int run_cold(struct execution *execution, struct pool_call *call, struct pool_end *ret_end,
                    struct brig_error *err) {
  int rc = add_start(execution, call, err);
  return rc < 0 ? rc : brig__pool_call(execution->sandbox->pool, call, ret_end, err);
}

/* From a template if there is one, else from the beginning. */
static int run_somewhere(struct execution *execution, struct pool_call *call,
                         struct pool_end *ret_end, struct brig_result *result,
                         struct brig_error *err) {
  struct templates *templates = execution->sandbox->templates;
  struct template_kind kind = kind_of(execution, call);
  struct brig_digest key;
  if (!brig__warm_possible(execution->sandbox, &kind) || brig__warm_key(&kind, &key) < 0)
    return run_cold(execution, call, ret_end, err);
  struct zygote_process *process = brig__templates_find(templates, &key);
  enum call_state state = CALL_NOT_SENT;
  int rc = 0;
  if (process != NULL && process->memory_bytes <= execution->limits.memory_bytes)
    rc = brig__call_run(process, call, &state, ret_end, err);
  else if (process != NULL)
    state = CALL_ANSWERED; /* more memory than it may have: not this one's fault */
  bool unused = process == NULL || state == CALL_NOT_SENT ||
                process->memory_bytes > execution->limits.memory_bytes;
  if (process != NULL) brig__templates_done(templates, &key, process, state);
  result->warm = !unused;
  if (!unused) return rc;
  if (process == NULL) offer(execution, &key, call);
  return run_cold(execution, call, ret_end, err);
}

static int run(struct execution *execution, struct brig_result *result, uint64_t asked_us,
               struct brig_error *err) {
  struct sink sink = {.request = &execution->request,
                      .result = result,
                      .limits = {execution->limits.stdout_bytes, execution->limits.stderr_bytes}};
  struct pool_call call = {.output = brig__sink_output, .context = &sink};
  struct pool_end end;
  int rc = make_call(execution, &call, err);
  if (rc == 0) rc = run_somewhere(execution, &call, &end, result, err);
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
  if (rc == BRIG__CANCELLED) {
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

int brig__execution_warm(struct brig_sandbox *sandbox, const struct brig_request *request,
                         uint32_t ready, struct brig_error *err) {
  struct execution execution;
  int rc = prepare(sandbox, request, &execution, err);
  if (rc == 0) rc = start_template(&execution, ready, err);
  close_execution(&execution);
  return rc;
}

int brig_sandbox_prepare(struct brig_sandbox *sandbox, const struct brig_request *request,
                         struct brig_error *err) {
  struct execution execution;
  int rc = prepare(sandbox, request, &execution, err);
  if (rc == BRIG__CANCELLED)
    rc = brig__fail(err, BRIG_E_BUSY, "compile", "cancelled by the caller");
  close_execution(&execution);
  return rc;
}

int brig_sandbox_validate_permissions(struct brig_sandbox *sandbox,
                                      const struct brig_request *request, struct brig_error *err) {
  struct mounts mounts = {0};
  struct brig_request known;
  int rc = read_request(request, &known, err);
  if (rc == 0) rc = brig__mounts_open(sandbox, &known, NULL, &mounts, err);
  brig__mounts_close(&mounts);
  return rc;
}
