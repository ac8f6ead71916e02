/* What is sent to a zygote for an execution: to run it, or to make a template of it. */
#include "sandbox/execution.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/error.h"
#include "base/fd.h"

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

static int make_program(struct execution *execution, struct brig_error *err) {
  if (execution->frame != NULL)
    return brig__turn_frame_block(execution->frame, &execution->given, err);
  if (execution->program.text == NULL) return 0;
  return brig__task_program(&execution->program, &execution->given, err);
}

static struct task_source source_of(const struct execution *execution, const char *preload) {
  return (struct task_source){.request = &execution->request,
                              .driven = execution->program.text != NULL,
                              .session = execution->frame != NULL,
                              .module = &execution->module,
                              .mounts = &execution->mounts,
                              .preload = preload};
}

int brig__execution_describe(struct execution *execution, struct pool_call *call,
                             struct brig_error *err) {
  struct wire_task *task = &call->task;
  struct task_source source = source_of(execution, NULL);
  *task = (struct wire_task){.magic = WIRE_MAGIC,
                             .operation = WIRE_RESUME,
                             .timeout_us = execution->limits.timeout_ms * 1000,
                             .settings = brig__execution_settings(execution),
                             .limits = execution->limits};
  int rc = brig__task_block(&source, task, &execution->strings, err);
  task->placeholders = 0;
  return rc;
}

int brig__execution_open(struct execution *execution, struct pool_call *call,
                         struct brig_error *err) {
  const struct wire_task *task = &call->task;
  const struct task_block *given = &execution->given;
  int rc = open_input(execution, err);
  if (rc == 0) rc = make_program(execution, err);
  if (rc < 0) return rc;
  int input = execution->input >= 0 ? execution->input : execution->sandbox->null;
  call->fds[WIRE_FD_STDIN] = input;
  call->fds[WIRE_FD_STDOUT] = -1;
  call->fds[WIRE_FD_STDERR] = -1;
  call->program = given->data;
  call->program_size = given->size;
  call->fds[WIRE_FD_PROGRAM] = given->size > 0 ? -1 : input;
  for (size_t i = 0; i < execution->mounts.count; i++)
    call->fds[WIRE_FD_MOUNTS + i] = execution->mounts.items[i].fd;
  call->fd_count = brig__wire_fd_count(task);
  if (task->session) call->fds[WIRE_FD_REPLY(task)] = call->fds[WIRE_FD_STATE(task)] = -1;
  call->cancel_fd = brig__execution_cancel_fd(execution);
  call->stream = execution->request.on_output != NULL;
  return 0;
}

struct template_kind brig__execution_kind(const struct execution *execution,
                                    const struct pool_call *call) {
  return (struct template_kind){.module = &execution->module,
                                .task = &call->task,
                                .strings = &execution->strings,
                                .tenant = execution->request.tenant};
}

static int open_sample(const struct guest *guest, bool session, struct brig_error *err) {
  const struct program sample = {.text = guest->sample, .size = strlen(guest->sample)};
  struct task_block block;
  int rc = session ? brig__turn_frame_block(&TURN_RUN(sample.text), &block, err)
                   : brig__task_program(&sample, &block, err);
  return rc < 0 ? rc : brig__task_memfd(&block, err);
}

int brig__execution_start(const struct execution *execution, struct pool_call *call, int ret_own[2],
                      struct brig_error *err) {
  const struct guest *guest = execution->module.guest;
  bool session = execution->frame != NULL, driven = session || execution->program.text != NULL;
  CLEANUP_FREE char *preload =
      driven ? brig__warm_preload(execution->sandbox, guest, execution->request.env) : NULL;
  struct task_source source = source_of(execution, preload);
  struct task_block strings;
  int rc = brig__task_block(&source, &call->task, &strings, err);
  if (rc < 0) return rc;
  ret_own[0] = brig__task_memfd(&strings, err);
  ret_own[1] = driven ? open_sample(guest, session, err) : open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (ret_own[0] < 0 || ret_own[1] < 0) return BRIG_E_SYSTEM;
  call->task.operation = WIRE_WARM;
  call->task.limits = brig__warm_limits(execution->sandbox, &execution->limits);
  call->task.timeout_us = call->task.limits.timeout_ms * 1000;
  for (size_t i = 0; i < WIRE_FD_COMMON; i++) call->fds[i] = ret_own[1];
  call->fds[WIRE_FD_PROGRAM] = ret_own[1];
  for (uint32_t i = 0; i < call->task.mounts; i++)
    if (call->task.placeholders >> i & 1) call->fds[WIRE_FD_MOUNTS + i] = ret_own[1];
  call->fd_count = WIRE_FD_MOUNTS + call->task.mounts;
  call->fds[call->fd_count++] = ret_own[0];
  call->fds[call->fd_count++] = execution->code.fd;
  return 0;
}
