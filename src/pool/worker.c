/* Runs in a fresh fork, first with the zygote's trust, then, from
 * brig__jail_worker() on, as if the guest had written it. Here: what every kind
 * of worker does, and the two kinds that run no guest. */
#include "pool/worker_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"

static uint64_t microseconds(struct timeval time) {
  return (uint64_t)time.tv_sec * 1000000u + (uint64_t)time.tv_usec;
}

void brig__worker_report(struct worker *worker) {
  struct wire_report *report = &worker->report;
  struct rusage usage;
  report->magic = WIRE_MAGIC;
  report->ended_us = brig__now_us();
  if (getrusage(RUSAGE_SELF, &usage) == 0) {
    report->cpu_us = microseconds(usage.ru_utime) + microseconds(usage.ru_stime);
    report->rss_bytes = (uint64_t)usage.ru_maxrss * 1024u;
  }
  /* If the host is gone there is nobody to tell. */
  brig__write_all(worker->fds[WIRE_FD_STATUS], report, sizeof *report);
}

void brig__worker_leave(struct worker *worker) {
  brig__worker_report(worker);
  _exit(0);
}

void brig__worker_fail(struct worker *worker, const struct brig_error *error) {
  worker->report.kind = WIRE_FAILED;
  worker->report.error = *error;
  brig__worker_leave(worker);
}

void brig__worker_fail_errno(struct worker *worker, int rc, const char *what) {
  struct brig_error error;
  brig__fail_errno(&error, -rc, "worker", "%s", what);
  brig__worker_fail(worker, &error);
}

static int compare_ints(const void *a, const void *b) {
  int left = *(const int *)a, right = *(const int *)b;
  return (left > right) - (left < right);
}

size_t brig__worker_keep(const struct wire_task *task, const int *fds, size_t fd_count, int *keep,
                         size_t count) {
  for (size_t i = WIRE_FD_STATUS; i < fd_count; i++)
    if (fds[i] >= 0 && (i != WIRE_FD_PROGRAM || task->program)) keep[count++] = fds[i];
  return count;
}

static void close_gap(int first, int last) {
  if (first <= last) syscall(SYS_close_range, (unsigned)first, (unsigned)last, 0);
}

void brig__worker_close_others(int *keep, size_t count) {
  qsort(keep, count, sizeof *keep, compare_ints);
  int first = STDERR_FILENO + 1;
  for (size_t i = 0; i < count; i++) {
    if (keep[i] < first) continue;
    close_gap(first, keep[i] - 1);
    first = keep[i] + 1;
  }
  syscall(SYS_close_range, (unsigned)first, ~0u, 0);
}

uint64_t brig__worker_data_in_use(const struct worker_context *context) {
  char text[128] = "";
  unsigned long long data = 0;
  CLEANUP_FD int fd = openat(context->proc_fd, "self/statm", O_RDONLY | O_CLOEXEC);
  if (fd < 0 || brig__read_all(fd, text, sizeof text - 1) <= 0) return UINT64_C(256) << 20;
  sscanf(text, "%*u %*u %*u %*u %*u %llu", &data);
  return (uint64_t)data * (uint64_t)sysconf(_SC_PAGESIZE);
}

void brig__worker_check_walls(struct worker *worker, walls_t failed) {
  walls_t missing = failed & worker->context->required;
  if (missing == 0) return;
  struct brig_error error;
  enum jail_wall wall = (enum jail_wall)__builtin_ctz(missing);
  brig__fail(&error, BRIG_E_JAIL, "jail", "the wall %s cannot be put up in a worker",
             brig__jail_wall_name(wall));
  brig__worker_fail(worker, &error);
}

struct engine *brig__worker_engine(struct worker *worker) {
  const struct engine_settings *settings = &worker->task->settings;
  struct engine *engine = worker->context->engines[settings->metered != 0];
  struct brig_error error;
  if ((settings->proposals != 0 || settings->stubs != 0) &&
      brig__engine_create(settings, &engine, &error) < 0)
    brig__worker_fail(worker, &error);
  return engine;
}

__attribute__((noreturn)) static void compile(struct worker *worker) {
  const struct wire_task *task = worker->task;
  struct brig_error error;
  struct engine *engine = brig__worker_engine(worker);
  struct stat st;
  if (fstat(worker->fds[WIRE_FD_STDIN], &st) < 0)
    brig__worker_fail_errno(worker, -errno, "the module");
  size_t size = (size_t)st.st_size;
  const void *wasm = mmap(NULL, size, PROT_READ, MAP_PRIVATE, worker->fds[WIRE_FD_STDIN], 0);
  if (wasm == MAP_FAILED) brig__worker_fail_errno(worker, -errno, "the module");
  struct jail_worker jail = {
      .profile = JAIL_COMPILE,
      .data_bytes = brig__worker_data_in_use(worker->context) + task->memory_bytes,
      .file_bytes = UINT64_C(16) << 30, /* the code, in memory */
      .open_files = 256,
      .cpu_seconds = task->timeout_us / 1000000 + 2,
  };
  close(worker->context->proc_fd);
  brig__worker_check_walls(worker, brig__jail_worker(worker->context->jail, &jail));
  worker->report.started_us = brig__now_us();
  struct module_facts facts;
  int rc = brig__engine_compile(engine, wasm, size, worker->fds[WIRE_FD_STDOUT], &facts, &error);
  if (rc < 0) brig__worker_fail(worker, &error);
  worker->report.kind = WIRE_COMPILED;
  worker->report.facts = facts;
  brig__worker_leave(worker);
}

__attribute__((noreturn)) static void probe(struct worker *worker) {
  enum jail_wall wall = (enum jail_wall)worker->task->wall;
  struct jail_worker jail = {
      .profile = JAIL_COMPUTE,
      .data_bytes = brig__worker_data_in_use(worker->context) + WORKER_HEADROOM,
      .open_files = 256,
      .cpu_seconds = 2,
  };
  if (wall >= JAIL_WALL_COUNT) brig__worker_fail_errno(worker, -EPROTO, "no such wall");
  jail.without = brig__jail_probe_without(wall);
  close(worker->context->proc_fd);
  brig__jail_worker(worker->context->jail, &jail);
  struct jail_proof proof;
  brig__jail_probe(wall, worker->task->host_pid, &proof);
  worker->report.kind = WIRE_PROVED;
  worker->report.proof.proved = proof.proved;
  memcpy(worker->report.proof.text, proof.text, sizeof worker->report.proof.text);
  brig__worker_leave(worker);
}

void brig__worker_follow(pid_t parent) {
  prctl(PR_SET_PDEATHSIG, parent == 0 ? 0 : SIGKILL, 0, 0, 0);
  if (parent != 0 && getppid() != parent) _exit(0);
}

void brig__worker_begin(pid_t parent) {
  sigset_t none;
  brig__worker_follow(parent);
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
}

void brig__worker_main(const struct worker_context *context, const struct wire_task *task,
                       const int *fds, size_t fd_count) {
  struct worker worker = {.context = context, .task = task, .fds = fds, .fd_count = fd_count};
  int keep[WIRE_MAX_FDS + 1];
  size_t count = 0;
  brig__worker_begin(context->zygote);
  dup2(fds[WIRE_FD_STDERR], STDERR_FILENO); /* an engine's last words */
  count = brig__worker_keep(task, fds, fd_count, keep, count);
  keep[count++] = context->proc_fd; /* until the code is loaded */
  brig__worker_close_others(keep, count);
  switch (task->operation) {
    case WIRE_RUN:
      brig__worker_run(&worker);
    case WIRE_COMPILE:
      compile(&worker);
    case WIRE_PROBE:
      probe(&worker);
    default:
      brig__worker_fail_errno(&worker, -EPROTO, "no such operation");
  }
}
