/* jail/jail.h - the kernel's fence around a worker.
 *
 * Used by the helper program alone, in this order:
 *   launcher: brig__jail_prepare()     filters are built, ABI versions asked
 *             brig__jail_enter()       uid, namespaces; forks: the child is the zygote
 *   zygote:   brig__jail_lock_root()   an empty root directory, no capabilities
 *   worker:   brig__jail_worker()      rlimits, no_new_privs, Landlock, seccomp
 *
 * Each step notes in a report which walls it put up, and why not. A wall that
 * is required and not up ends the process that wanted it: the caller decides by
 * brig__jail_report(). After fork nothing here allocates.
 */
#ifndef BRIG_JAIL_JAIL_H
#define BRIG_JAIL_JAIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "jail/walls.h"

/* What the jail's filters allow, by what the worker is for. */
enum jail_profile {
  JAIL_COMPUTE, /* no directories */
  JAIL_READ,    /* read-only directories */
  JAIL_WRITE,   /* read-write directories too */
  JAIL_COMPILE, /* makes code: may map memory executable */
  JAIL_SESSION, /* runs a session's turns, and forks for the next */
  JAIL_ZYGOTE,  /* runs a template's start, then forks workers of the others' kinds */
  JAIL_PROFILE_COUNT
};

struct jail;

/* Build what workers will need. 0 or -errno. */
int brig__jail_prepare(struct jail **ret_jail);

/* Become the unprivileged `uid` (if root), take the namespaces, and fork: returns
 * 0 in the child, which is process 1 of its own pid namespace if there is one,
 * and the child's pid in the parent; or -errno. */
pid_t brig__jail_enter(struct jail *jail, uid_t uid);

/* Leave the host's file system for an empty one, and drop all capabilities. */
void brig__jail_lock_root(struct jail *jail);

const struct jail_report *brig__jail_report(const struct jail *jail);

struct jail_mount {
  int fd;
  bool read_write;
};

struct jail_worker {
  enum jail_profile profile;
  const struct jail_mount *mounts;
  size_t mount_count;
  uint64_t data_bytes;  /* RLIMIT_DATA: what the process may have, all in all */
  uint64_t file_bytes;  /* RLIMIT_FSIZE */
  uint64_t open_files;  /* RLIMIT_NOFILE */
  uint64_t cpu_seconds; /* RLIMIT_CPU, a backstop behind the deadline */
  walls_t without;      /* walls left out, for a trial of the others */
};

/* Put up the worker's own walls, the last of them seccomp. Returns the set of
 * walls that failed. */
walls_t brig__jail_worker(struct jail *jail, const struct jail_worker *worker);

/* In the zygote of a template, before its guest's start: what a worker has, but
 * for what forking and fencing workers takes. Its workers fence themselves
 * further. Returns the set of walls that failed. */
walls_t brig__jail_zygote(struct jail *jail, uint64_t data_bytes);

/* The same in two steps, for a worker that is ready before it knows its task:
 * first all that no task changes, with the limits as ceilings and Landlock if
 * there will be no directories; its task then comes over descriptor JAIL_LINK;
 * then the task's own limits and directories. */
#define JAIL_LINK 4
walls_t brig__jail_ready(struct jail *jail, const struct jail_worker *worker);
walls_t brig__jail_narrow(struct jail *jail, const struct jail_worker *worker);

/* Trials of the walls from inside a worker: see probe.c. Each wall has at most
 * one; brig__jail_probe_without() says which others would be in its way. */
struct jail_proof {
  int32_t proved; /* 1 denied, 0 went through, -1 there is no trial */
  char text[120];
};
walls_t brig__jail_probe_without(enum jail_wall wall);
void brig__jail_probe(enum jail_wall wall, pid_t host_pid, struct jail_proof *ret_proof);

#endif
