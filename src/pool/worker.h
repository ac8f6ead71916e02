/* pool/worker.h - one task, in a fresh fork of the zygote. */
#ifndef BRIG_POOL_WORKER_H
#define BRIG_POOL_WORKER_H

#include "engine/engine.h"
#include "jail/jail.h"
#include "pool/wire.h"

/* What a worker inherits. */
struct worker_context {
  struct jail *jail;
  struct engine *engines[2]; /* without proposals; [1] metered */
  walls_t required;
  pid_t zygote; /* as its children see it */
  int proc_fd;  /* the host's /proc, for loading code before the jail is closed */
  int task_fd;  /* /proc/self/task of the zygote: how many threads it has */
};

/* Do the task, report, and exit. `fds` are the task's. */
void brig__worker_main(const struct worker_context *context, const struct wire_task *task,
                       const int *fds, size_t fd_count) __attribute__((noreturn));

#endif
