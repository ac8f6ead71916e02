/* Runs in a fresh fork, first with the zygote's trust, then, from
 * brig__jail_worker() on, as if the guest had written it. */
#include "pool/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"

/* Tables, the engine's own structures and the host calls' buffers, beside the
 * linear memory. */
#define WORKER_HEADROOM (UINT64_C(64) << 20)
/* Status, the code and landlock's ruleset, beside the guest's own. */
#define WORKER_FDS 16

struct worker {
  const struct worker_context *context;
  const struct wire_task *task;
  const int *fds;
  size_t fd_count;
  struct wasi *wasi;
  struct wire_report report;
};

__attribute__((noreturn)) static void leave(struct worker *worker) {
  worker->report.magic = WIRE_MAGIC;
  worker->report.ended_us = brig__now_us();
  /* If the host is gone there is nobody to tell. */
  brig__write_all(worker->fds[WIRE_FD_STATUS], &worker->report, sizeof worker->report);
  _exit(0);
}

__attribute__((noreturn)) static void fail(struct worker *worker, const struct brig_error *error) {
  worker->report.kind = WIRE_FAILED;
  worker->report.error = *error;
  leave(worker);
}

__attribute__((noreturn)) static void fail_errno(struct worker *worker, int rc, const char *what) {
  struct brig_error error;
  brig__fail_errno(&error, -rc, "worker", "%s", what);
  fail(worker, &error);
}

static int compare_ints(const void *a, const void *b) {
  int left = *(const int *)a, right = *(const int *)b;
  return (left > right) - (left < right);
}

static void close_gap(int first, int last) {
  if (first <= last) syscall(SYS_close_range, (unsigned)first, (unsigned)last, 0);
}

/* Everything but the task's own descriptors, and /proc until the code is loaded. */
static void close_others(const struct worker *worker) {
  int keep[WIRE_MAX_FDS + 1];
  size_t count = 0;
  for (size_t i = WIRE_FD_STATUS; i < worker->fd_count; i++) keep[count++] = worker->fds[i];
  keep[count++] = worker->context->proc_fd;
  qsort(keep, count, sizeof *keep, compare_ints);
  dup2(worker->fds[WIRE_FD_STDERR], STDERR_FILENO); /* an engine's last words */
  int first = STDERR_FILENO + 1;
  for (size_t i = 0; i < count; i++) {
    close_gap(first, keep[i] - 1);
    first = keep[i] + 1;
  }
  syscall(SYS_close_range, (unsigned)first, ~0u, 0);
}

/* The strings of the block, as NULL-terminated lists, in one array. */
struct strings {
  char **arguments, **variables, **entries, **mounts;
};

static int read_strings(const struct worker *worker, struct strings *ret_strings) {
  const struct wire_task *task = worker->task;
  struct stat st;
  if (fstat(worker->fds[WIRE_FD_BLOCK], &st) < 0) return -errno;
  size_t size = (size_t)st.st_size;
  size_t total = (size_t)task->arguments + task->variables + task->entries + task->mounts;
  char **list = calloc(total + 4, sizeof *list);
  char *block =
      mmap(NULL, size + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE, worker->fds[WIRE_FD_BLOCK], 0);
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

static uint64_t data_in_use(const struct worker *worker) {
  char text[128] = "";
  unsigned long long data = 0;
  CLEANUP_FD int fd = openat(worker->context->proc_fd, "self/statm", O_RDONLY | O_CLOEXEC);
  if (fd < 0 || brig__read_all(fd, text, sizeof text - 1) <= 0) return UINT64_C(256) << 20;
  sscanf(text, "%*u %*u %*u %*u %*u %llu", &data);
  return (uint64_t)data * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void enter_jail(struct worker *worker, const struct jail_worker *jail) {
  walls_t failed = brig__jail_worker(worker->context->jail, jail);
  walls_t missing = failed & worker->context->required & ~jail->without;
  if (missing == 0) return;
  struct brig_error error;
  enum jail_wall wall = (enum jail_wall)__builtin_ctz(missing);
  brig__fail(&error, BRIG_E_JAIL, "jail", "the wall %s cannot be put up in a worker",
             brig__jail_wall_name(wall));
  fail(worker, &error);
}

/* The zygote's, or one of the task's own where that is set otherwise. */
static struct engine *choose_engine(struct worker *worker) {
  const struct engine_settings *settings = &worker->task->settings;
  struct engine *engine = worker->context->engines[settings->metered != 0];
  struct brig_error error;
  if ((settings->proposals != 0 || settings->stubs != 0) &&
      brig__engine_create(settings, &engine, &error) < 0)
    fail(worker, &error);
  return engine;
}

static struct engine_module *load(struct worker *worker) {
  struct engine *engine = choose_engine(worker);
  struct engine_module *module = NULL;
  struct brig_error error;
  char path[32];
  /* The engine maps code from a path only, and the root here is empty: go by the
   * descriptor of the /proc that the zygote kept. */
  snprintf(path, sizeof path, "self/fd/%d", worker->fds[WIRE_FD_CODE]);
  if (fchdir(worker->context->proc_fd) < 0) fail_errno(worker, -errno, "entering /proc");
  if (brig__engine_load(engine, path, &module, &error) < 0) fail(worker, &error);
  if (chdir("/") < 0) fail_errno(worker, -errno, "leaving /proc");
  close(worker->fds[WIRE_FD_CODE]);
  return module;
}

__attribute__((noreturn)) static void guest_ended(void *context, const struct engine_end *end) {
  struct worker *worker = context;
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
  leave(worker);
}

static void list_mounts(const struct worker *worker, const struct strings *strings,
                        struct wasi_mount *guest, struct jail_mount *jail) {
  for (uint32_t i = 0; i < worker->task->mounts; i++) {
    int fd = worker->fds[WIRE_FD_MOUNTS + i];
    bool read_write = (worker->task->writable >> i & 1) != 0;
    guest[i] = (struct wasi_mount){.fd = fd, .name = strings->mounts[i], .read_write = read_write};
    jail[i] = (struct jail_mount){.fd = fd, .read_write = read_write};
  }
}

static void create_wasi(struct worker *worker, const struct strings *strings,
                        const struct wasi_mount *mounts) {
  const struct wire_task *task = worker->task;
  struct wasi_options options = {
      .argv = strings->arguments,
      .env = strings->variables,
      .stdin_fd = worker->fds[WIRE_FD_STDIN],
      .stdout_fd = worker->fds[WIRE_FD_STDOUT],
      .stderr_fd = worker->fds[WIRE_FD_STDERR],
      .mounts = mounts,
      .mount_count = task->mounts,
      .quota_bytes = task->limits.quota_bytes,
      .quota_files = task->limits.quota_files,
      .open_files = (uint32_t)task->limits.open_files,
  };
  int rc = brig__wasi_create(&options, &worker->wasi);
  if (rc < 0) fail_errno(worker, rc, "setting up the host calls");
}

static struct jail_worker plan_jail(const struct worker *worker, const struct jail_mount *mounts) {
  const struct wire_task *task = worker->task;
  int highest = 0;
  for (size_t i = 0; i < worker->fd_count; i++)
    if (worker->fds[i] > highest) highest = worker->fds[i];
  return (struct jail_worker){
      .profile = task->mounts == 0     ? JAIL_COMPUTE
                 : task->writable == 0 ? JAIL_READ
                                       : JAIL_WRITE,
      .mounts = mounts,
      .mount_count = task->mounts,
      .data_bytes = data_in_use(worker) + task->limits.memory_bytes + WORKER_HEADROOM,
      .file_bytes = task->writable == 0 ? 0 : task->limits.quota_bytes,
      .open_files = (uint64_t)highest + task->limits.open_files + WORKER_FDS,
      .cpu_seconds = task->timeout_us / 1000000 + 2,
  };
}

__attribute__((noreturn)) static void run_guest(struct worker *worker) {
  const struct wire_task *task = worker->task;
  struct strings strings;
  struct wasi_mount guest_mounts[WIRE_MAX_MOUNTS];
  struct jail_mount jail_mounts[WIRE_MAX_MOUNTS];
  int rc = read_strings(worker, &strings);
  if (rc < 0) fail_errno(worker, rc, "reading the task");
  list_mounts(worker, &strings, guest_mounts, jail_mounts);
  struct engine_module *module = load(worker);
  create_wasi(worker, &strings, guest_mounts);
  struct jail_worker jail = plan_jail(worker, jail_mounts);
  close(worker->context->proc_fd);
  enter_jail(worker, &jail);
  worker->report.started_us = brig__now_us();
  struct engine_run run = {
      .wasi = worker->wasi,
      .entry = (const char *const *)strings.entries,
      .limits = &task->limits,
      .ended = guest_ended,
      .context = worker,
  };
  brig__engine_run(module, &run);
}

__attribute__((noreturn)) static void compile(struct worker *worker) {
  const struct wire_task *task = worker->task;
  struct brig_error error;
  struct engine *engine = choose_engine(worker);
  struct stat st;
  if (fstat(worker->fds[WIRE_FD_STDIN], &st) < 0) fail_errno(worker, -errno, "the module");
  size_t size = (size_t)st.st_size;
  const void *wasm = mmap(NULL, size, PROT_READ, MAP_PRIVATE, worker->fds[WIRE_FD_STDIN], 0);
  if (wasm == MAP_FAILED) fail_errno(worker, -errno, "the module");
  struct jail_worker jail = {
      .profile = JAIL_COMPILE,
      .data_bytes = data_in_use(worker) + task->memory_bytes,
      .file_bytes = UINT64_C(16) << 30, /* the code, in memory */
      .open_files = 256,
      .cpu_seconds = task->timeout_us / 1000000 + 2,
  };
  close(worker->context->proc_fd);
  enter_jail(worker, &jail);
  worker->report.started_us = brig__now_us();
  struct module_facts facts;
  int rc = brig__engine_compile(engine, wasm, size, worker->fds[WIRE_FD_STDOUT], &facts, &error);
  if (rc < 0) fail(worker, &error);
  worker->report.kind = WIRE_COMPILED;
  worker->report.facts = facts;
  leave(worker);
}

__attribute__((noreturn)) static void probe(struct worker *worker) {
  enum jail_wall wall = (enum jail_wall)worker->task->wall;
  struct jail_worker jail = {
      .profile = JAIL_COMPUTE,
      .data_bytes = data_in_use(worker) + WORKER_HEADROOM,
      .open_files = 256,
      .cpu_seconds = 2,
  };
  if (wall >= JAIL_WALL_COUNT) fail_errno(worker, -EPROTO, "no such wall");
  jail.without = brig__jail_probe_without(wall);
  close(worker->context->proc_fd);
  brig__jail_worker(worker->context->jail, &jail);
  struct jail_proof proof;
  brig__jail_probe(wall, worker->task->host_pid, &proof);
  worker->report.kind = WIRE_PROVED;
  worker->report.proof.proved = proof.proved;
  memcpy(worker->report.proof.text, proof.text, sizeof worker->report.proof.text);
  leave(worker);
}

/* The kernel ends a worker whose zygote is gone, also where there is no pid
 * namespace to do it. */
static void follow_zygote(pid_t zygote) {
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  if (getppid() != zygote) _exit(0);
}

void brig__worker_main(const struct worker_context *context, const struct wire_task *task,
                       const int *fds, size_t fd_count) {
  struct worker worker = {.context = context, .task = task, .fds = fds, .fd_count = fd_count};
  sigset_t none;
  follow_zygote(context->zygote);
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  close_others(&worker);
  switch (task->operation) {
    case WIRE_RUN:
      run_guest(&worker);
    case WIRE_COMPILE:
      compile(&worker);
    case WIRE_PROBE:
      probe(&worker);
    default:
      fail_errno(&worker, -EPROTO, "no such operation");
  }
}
