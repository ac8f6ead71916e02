/* A guest that starts from its module, in a worker of the bare zygote; and what
 * it shares with one that goes on from a template. */
#include "pool/worker_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/clock.h"

/* Status, the code and landlock's ruleset, beside the guest's own. */
#define WORKER_FDS 16

static int read_strings(const struct worker *worker, struct worker_strings *ret_strings) {
  const struct wire_task *task = worker->task;
  int block_fd = worker->fds[WIRE_FD_MOUNTS + task->mounts];
  struct stat st;
  if (fstat(block_fd, &st) < 0) return -errno;
  size_t size = (size_t)st.st_size;
  size_t total = (size_t)task->arguments + task->variables + task->entries + task->mounts;
  char **list = calloc(total + 4, sizeof *list);
  char *block = mmap(NULL, size + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE, block_fd, 0);
  close(block_fd);
  if (list == NULL || block == MAP_FAILED) return -ENOMEM;
  const uint32_t counts[] = {task->arguments, task->variables, task->entries, task->mounts};
  char ***starts[] = {&ret_strings->arguments, &ret_strings->variables, &ret_strings->entries,
                      &ret_strings->mounts};
  char *at = block, *end = block + size;
  for (size_t group = 0; group < 4; group++) {
    *starts[group] = list;
    for (uint32_t i = 0; i < counts[group]; i++) {
      if (at >= end) return -EPROTO;
      *list++ = at;
      at += strnlen(at, (size_t)(end - at)) + 1;
    }
    list++; /* calloc's NULL ends the group */
  }
  return 0;
}

void brig__worker_strings(struct worker *worker, struct worker_strings *ret_strings) {
  int rc = read_strings(worker, ret_strings);
  if (rc < 0) brig__worker_fail_errno(worker, rc, "reading the task");
}

struct engine_module *brig__worker_load(struct worker *worker) {
  int code_fd = worker->fds[WIRE_FD_MOUNTS + worker->task->mounts + 1];
  struct engine *engine = brig__worker_engine(worker);
  struct engine_module *module = NULL;
  struct brig_error error;
  char path[32];
  /* The engine maps code from a path only, and the root here is empty: go by the
   * descriptor of the /proc that the zygote kept. */
  snprintf(path, sizeof path, "self/fd/%d", code_fd);
  if (fchdir(worker->context->proc_fd) < 0)
    brig__worker_fail_errno(worker, -errno, "entering /proc");
  if (brig__engine_load(engine, path, &module, &error) < 0) brig__worker_fail(worker, &error);
  if (chdir("/") < 0) brig__worker_fail_errno(worker, -errno, "leaving /proc");
  close(code_fd);
  return module;
}

void brig__worker_account(struct worker *worker, const struct engine_end *end) {
  struct wasi_usage usage;
  brig__wasi_usage(worker->wasi, &usage);
  struct wire_report *report = &worker->report;
  report->kind = WIRE_ENDED;
  report->ended.kind = end->kind;
  report->ended.exit_code = end->exit_code;
  if (end->trap != NULL) snprintf(report->ended.trap, sizeof report->ended.trap, "%s", end->trap);
  snprintf(report->ended.message, sizeof report->ended.message, "%s", end->message);
  report->ended.fuel_used = end->fuel_used;
  report->ended.memory_bytes = end->memory_bytes;
  report->ended.written_bytes = usage.written_bytes;
  report->ended.written_files = usage.written_files;
  report->ended.quota_exceeded = usage.quota_exceeded;
}

void brig__worker_ended(void *context, const struct engine_end *end) {
  struct worker *worker = context;
  brig__worker_account(worker, end);
  brig__worker_leave(worker);
}

void brig__worker_mounts(const struct worker *worker, char *const *names,
                         struct worker_mounts *ret_mounts) {
  const struct wire_task *task = worker->task;
  ret_mounts->jail_count = 0;
  for (uint32_t i = 0; i < task->mounts; i++) {
    bool read_write = (task->writable >> i & 1) != 0;
    int fd = task->placeholders >> i & 1 ? -1 : worker->fds[WIRE_FD_MOUNTS + i];
    ret_mounts->guest[i] =
        (struct wasi_mount){.fd = fd, .name = names[i], .read_write = read_write};
    if (fd >= 0)
      ret_mounts->jail[ret_mounts->jail_count++] =
          (struct jail_mount){.fd = fd, .read_write = read_write};
  }
}

struct wasi_options brig__worker_wasi_options(const struct worker *worker,
                                              const struct worker_mounts *mounts) {
  const struct wire_task *task = worker->task;
  return (struct wasi_options){
      .stdin_fd = worker->fds[WIRE_FD_STDIN],
      .stdout_fd = worker->fds[WIRE_FD_STDOUT],
      .stderr_fd = worker->fds[WIRE_FD_STDERR],
      .has_program = task->program != 0,
      .program_fd = worker->fds[WIRE_FD_PROGRAM],
      .program = worker->program,
      .program_size = worker->program_size,
      .mounts = mounts->guest,
      .mount_count = task->mounts,
      .has_control = task->session != 0,
      .control_fd = worker->fds[task->operation == WIRE_WARM ? (uint32_t)WIRE_FD_STDIN
                                                             : WIRE_FD_REPLY(task)],
      .quota_bytes = task->limits.quota_bytes,
      .quota_files = task->limits.quota_files,
      .held_bytes = task->held_bytes,
      .held_files = task->held_files,
      .open_files = (uint32_t)task->limits.open_files,
  };
}

struct jail_worker brig__worker_plan_jail(const struct worker *worker,
                                          const struct worker_mounts *mounts, uint64_t data_bytes) {
  const struct wire_task *task = worker->task;
  int highest = 0;
  for (size_t i = 0; i < worker->fd_count; i++)
    if (worker->fds[i] > highest) highest = worker->fds[i];
  return (struct jail_worker){
      .profile = task->session         ? JAIL_SESSION
                 : task->mounts == 0   ? JAIL_COMPUTE
                 : task->writable == 0 ? JAIL_READ
                                       : JAIL_WRITE,
      .mounts = mounts->jail,
      .mount_count = mounts->jail_count,
      .data_bytes = data_bytes + WORKER_HEADROOM,
      .file_bytes = task->writable == 0 ? 0 : task->limits.quota_bytes,
      .open_files = (uint64_t)highest + task->limits.open_files + WORKER_FDS,
      .cpu_seconds = task->timeout_us / 1000000 + 2,
  };
}

void brig__worker_run(struct worker *worker) {
  const struct wire_task *task = worker->task;
  struct worker_strings strings;
  struct worker_mounts mounts;
  brig__worker_strings(worker, &strings);
  brig__worker_mounts(worker, strings.mounts, &mounts);
  struct engine_module *module = brig__worker_load(worker);
  struct wasi_options options = brig__worker_wasi_options(worker, &mounts);
  options.argv = strings.arguments;
  options.env = strings.variables;
  int rc = brig__wasi_create(&options, &worker->wasi);
  if (rc < 0) brig__worker_fail_errno(worker, rc, "setting up the host calls");
  struct jail_worker jail = brig__worker_plan_jail(
      worker, &mounts, brig__worker_data_in_use(worker->context) + task->limits.memory_bytes);
  close(worker->context->proc_fd);
  brig__worker_check_walls(worker, brig__jail_worker(worker->context->jail, &jail));
  worker->report.started_us = brig__now_us();
  struct engine_run run = {
      .wasi = worker->wasi,
      .entry = (const char *const *)strings.entries,
      .limits = &task->limits,
      .ended = brig__worker_ended,
      .context = worker,
  };
  brig__engine_run(module, &run);
}
