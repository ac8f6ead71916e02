#include "sandbox/execution.h"

#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/error.h"

/* If such requests are to have a template, say what it would be. */
static void offer(const struct execution *execution, const struct brig_digest *key,
                  const struct pool_call *call) {
  struct pool_call start = *call;
  int own[2] = {-1, -1};
  if (!brig__templates_wanted(execution->sandbox->templates, key)) return;
  if (brig__execution_start(execution, &start, own, NULL) == 0)
    brig__templates_offer(execution->sandbox->templates, key, &start.task, start.fds,
                          start.fd_count);
  for (int i = 0; i < 2; i++)
    if (own[i] >= 0) close(own[i]);
}

int brig__execution_warm_up(const struct execution *execution, const struct pool_call *call,
                            bool named, uint32_t ready, struct brig_error *err) {
  struct pool_call start = *call;
  struct template_kind kind = brig__execution_kind(execution, call);
  struct brig_digest key;
  int own[2] = {-1, -1};
  if (!brig__warm_possible(execution->sandbox, &kind) || brig__warm_key(&kind, &key) < 0)
    return brig__fail(err, BRIG_E_JAIL, "template",
                      "modules are warmed only behind the wall %s, which is not up",
                      brig__jail_wall_name(JAIL_WALL_ROOT));
  int rc = brig__execution_start(execution, &start, own, err);
  start.task.ready = ready;
  if (rc == 0)
    rc = brig__templates_warm(execution->sandbox->templates, &key, named, &start.task, start.fds,
                              start.fd_count, err);
  for (int i = 0; i < 2; i++)
    if (own[i] >= 0) close(own[i]);
  return rc;
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

static int run_cold(struct execution *execution, struct pool_call *call, struct pool_end *ret_end,
                    struct brig_error *err) {
  int rc = add_start(execution, call, err);
  return rc < 0 ? rc : brig__pool_call(execution->sandbox->pool, call, ret_end, err);
}

/* The template that it may go on from. */
struct found {
  bool possible;
  struct brig_digest key;
  struct zygote_process *process; /* or NULL */
  enum call_state state;
};

static void let_go(const struct execution *execution, struct found *found) {
  if (found->process != NULL)
    brig__templates_done(execution->sandbox->templates, &found->key, found->process, found->state);
  found->process = NULL;
}

/* Its worker wakes while the rest of the call is made. */
static void find(const struct execution *execution, const struct pool_call *call,
                 struct found *ret_found) {
  struct template_kind kind = brig__execution_kind(execution, call);
  *ret_found = (struct found){.state = CALL_ANSWERED};
  if (!brig__warm_possible(execution->sandbox, &kind) || brig__warm_key(&kind, &ret_found->key) < 0)
    return;
  ret_found->possible = true;
  ret_found->process = brig__templates_find(execution->sandbox->templates, &ret_found->key);
  if (ret_found->process == NULL) return;
  /* With more memory than this one may have it is of no use. */
  ret_found->possible = ret_found->process->memory_bytes <= execution->limits.memory_bytes;
  if (ret_found->possible)
    brig__call_expect(ret_found->process);
  else
    let_go(execution, ret_found);
}

/* From a template if there is one, else from the beginning. */
static int run_somewhere(struct execution *execution, struct pool_call *call, struct found *found,
                         struct pool_end *ret_end, struct brig_result *result,
                         struct brig_error *err) {
  if (found->process != NULL) {
    int rc = brig__call_run(found->process, call, &found->state, ret_end, err);
    result->warm = found->state != CALL_NOT_SENT;
    let_go(execution, found);
    if (result->warm) return rc;
  } else if (found->possible) {
    offer(execution, &found->key, call);
  }
  return run_cold(execution, call, ret_end, err);
}

static int run(struct execution *execution, struct brig_result *result, uint64_t asked_us,
               struct brig_error *err) {
  struct sink sink = {.request = &execution->request,
                      .result = result,
                      .limits = {execution->limits.stdout_bytes, execution->limits.stderr_bytes}};
  struct pool_call call = {.output = brig__sink_output, .context = &sink};
  struct found found;
  struct pool_end end;
  int rc = brig__execution_describe(execution, &call, err);
  if (rc < 0) return rc;
  find(execution, &call, &found);
  rc = brig__execution_open(execution, &call, err);
  if (rc == 0) rc = run_somewhere(execution, &call, &found, &end, result, err);
  let_go(execution, &found);
  if (rc == 0 && sink.out_of_memory)
    rc = brig__fail(err, BRIG_E_MEMORY, "run", "out of memory for the guest's output");
  if (rc == 0) rc = brig__result_fill(result, &call, &end, asked_us, err);
  result->code_cached = execution->code.cached;
  return rc;
}

int brig_sandbox_execute(struct brig_sandbox *sandbox, const struct brig_request *request,
                         struct brig_result **ret_result, struct brig_error *err) {
  uint64_t asked_us = brig__now_us();
  struct execution execution;
  struct brig_result *result = brig__result_new();
  if (result == NULL) return brig__fail(err, BRIG_E_MEMORY, "run", "out of memory");
  int rc = brig__execution_prepare(sandbox, request, NULL, &execution, err);
  if (rc == 0) rc = run(&execution, result, asked_us, err);
  if (rc == BRIG__CANCELLED) {
    brig__result_cancelled(result);
    rc = 0;
  }
  brig__execution_close(&execution);
  if (rc < 0)
    brig_result_free(result);
  else
    *ret_result = result;
  return rc;
}

int brig__execution_warm(struct brig_sandbox *sandbox, const struct brig_request *request,
                         uint32_t ready, struct brig_error *err) {
  struct execution execution;
  int rc = brig__execution_prepare(sandbox, request, NULL, &execution, err);
  struct pool_call call;
  if (rc == 0) rc = brig__execution_describe(&execution, &call, err);
  if (rc == 0) rc = brig__execution_open(&execution, &call, err);
  if (rc == 0) rc = brig__execution_warm_up(&execution, &call, true, ready, err);
  brig__execution_close(&execution);
  return rc;
}

int brig_sandbox_prepare(struct brig_sandbox *sandbox, const struct brig_request *request,
                         struct brig_error *err) {
  struct execution execution;
  int rc = brig__execution_prepare(sandbox, request, NULL, &execution, err);
  if (rc == BRIG__CANCELLED)
    rc = brig__fail(err, BRIG_E_BUSY, "compile", "cancelled by the caller");
  brig__execution_close(&execution);
  return rc;
}

int brig_sandbox_validate_permissions(struct brig_sandbox *sandbox,
                                      const struct brig_request *request, struct brig_error *err) {
  struct mounts mounts = {0};
  struct brig_request known;
  int rc = brig__request_read(request, &known, err);
  if (rc == 0) rc = brig__mounts_open(sandbox, &known, NULL, &mounts, err);
  brig__mounts_close(&mounts);
  return rc;
}
