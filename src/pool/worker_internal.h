/* pool/worker_internal.h - shared by worker.c, run.c and template.c. */
#ifndef BRIG_POOL_WORKER_INTERNAL_H
#define BRIG_POOL_WORKER_INTERNAL_H

#include "pool/worker.h"

/* Tables, the engine's own structures and the host calls' buffers, beside the
 * linear memory. */
#define WORKER_HEADROOM (UINT64_C(64) << 20)

struct worker {
  const struct worker_context *context;
  const struct wire_task *task;
  const int *fds;
  size_t fd_count;
  const char *program; /* of its task, where no descriptor has it */
  size_t program_size;
  struct wasi *wasi;
  struct wire_report report;
};

/* The strings of a task's block, as NULL-terminated lists. */
struct worker_strings {
  char **arguments, **variables, **entries, **mounts;
};

/* A guest's directories, as the host calls and the jail want them. */
struct worker_mounts {
  struct wasi_mount guest[WIRE_MAX_MOUNTS];
  struct jail_mount jail[WIRE_MAX_MOUNTS]; /* placeholders are not among them */
  size_t jail_count;
};

/* worker.c: report what is in `report`, and exit. */
void brig__worker_report(struct worker *worker);
void brig__worker_leave(struct worker *worker) __attribute__((noreturn));
void brig__worker_fail(struct worker *worker, const struct brig_error *error)
    __attribute__((noreturn));
void brig__worker_fail_errno(struct worker *worker, int rc, const char *what)
    __attribute__((noreturn));

/* Be ended by the kernel when the parent is, also where no pid namespace sees to
 * that; or, with 0, no longer. */
void brig__worker_follow(pid_t parent);

/* Follow the parent, with no signal blocked. */
void brig__worker_begin(pid_t parent);

/* Add the task's descriptors, from STATUS on, to a list; the new count. */
size_t brig__worker_keep(const struct wire_task *task, const int *fds, size_t fd_count, int *keep,
                         size_t count);

/* Close every descriptor but these (fewer than WIRE_MAX_FDS + WORKER_KEPT). */
#define WORKER_KEPT 1024
void brig__worker_close_others(int *keep, size_t count);

/* Fail unless the walls that are required are up. */
void brig__worker_check_walls(struct worker *worker, walls_t failed);

/* Writable memory of this process, by /proc/self/statm. */
uint64_t brig__worker_data_in_use(const struct worker_context *context);

/* The zygote's engine, or one of the task's own where that is set otherwise. */
struct engine *brig__worker_engine(struct worker *worker);

/* run.c */
void brig__worker_run(struct worker *worker) __attribute__((noreturn));
struct engine_module *brig__worker_load(struct worker *worker);
void brig__worker_strings(struct worker *worker, struct worker_strings *ret_strings);
void brig__worker_mounts(const struct worker *worker, char *const *names,
                         struct worker_mounts *ret_mounts);
struct wasi_options brig__worker_wasi_options(const struct worker *worker,
                                              const struct worker_mounts *mounts);
struct jail_worker brig__worker_plan_jail(const struct worker *worker,
                                          const struct worker_mounts *mounts, uint64_t data_bytes);
/* Put into the report what the guest has used, and how it ended. */
void brig__worker_account(struct worker *worker, const struct engine_end *end);
/* engine_run.ended for a struct worker. */
void brig__worker_ended(void *worker, const struct engine_end *end) __attribute__((noreturn));

#endif
