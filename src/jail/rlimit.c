#include "jail/jail_internal.h"

#include <errno.h>
#include <sys/resource.h>

/* Of all sessions of a zygote, and of its other workers. */
#define SESSION_PROCESSES 20000

/* Or to what there is, if that is less. */
static int set(__rlimit_resource_t resource, uint64_t value) {
  struct rlimit limit = {(rlim_t)value, (rlim_t)value};
  if (setrlimit(resource, &limit) == 0) return 0;
  if (errno != EPERM || getrlimit(resource, &limit) < 0) return -errno;
  limit.rlim_cur = limit.rlim_max;
  return setrlimit(resource, &limit) < 0 ? -errno : 0;
}

int brig__jail_bound_data(uint64_t bytes) { return set(RLIMIT_DATA, bytes); }

/* RLIMIT_AS would count the reservation of a linear memory, which is address
 * space alone; RLIMIT_DATA counts what becomes writable, which is what a guest
 * gets when it grows. */
int brig__jail_apply_rlimits(const struct jail_worker *worker) {
  const struct {
    __rlimit_resource_t resource;
    uint64_t value;
  } limits[] = {
      {RLIMIT_CORE, 0},
      {RLIMIT_NPROC, worker->profile == JAIL_SESSION ? SESSION_PROCESSES : 0},
      {RLIMIT_MEMLOCK, 0},
      {RLIMIT_MSGQUEUE, 0},
      {RLIMIT_SIGPENDING, 0},
      {RLIMIT_NOFILE, worker->open_files},
      {RLIMIT_FSIZE, worker->file_bytes},
      {RLIMIT_DATA, worker->data_bytes},
      {RLIMIT_CPU, worker->cpu_seconds},
  };
  int rc = 0;
  for (size_t i = 0; i < sizeof limits / sizeof *limits && rc == 0; i++)
    rc = set(limits[i].resource, limits[i].value);
  return rc;
}

/* Hard limits can be lowered without asking what they are. */
static int lower(__rlimit_resource_t resource, uint64_t value) {
  struct rlimit limit = {(rlim_t)value, (rlim_t)value};
  return setrlimit(resource, &limit) < 0 ? -errno : 0;
}

int brig__jail_lower_rlimits(const struct jail_worker *worker) {
  int rc = lower(RLIMIT_DATA, worker->data_bytes);
  if (rc == 0) rc = lower(RLIMIT_FSIZE, worker->file_bytes);
  if (rc == 0) rc = lower(RLIMIT_CPU, worker->cpu_seconds);
  return rc;
}
