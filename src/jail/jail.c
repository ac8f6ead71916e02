#include "jail/jail_internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#ifndef PR_SET_MDWE
#define PR_SET_MDWE              65 /* Linux 6.3 */
#define PR_MDWE_REFUSE_EXEC_GAIN 1
#endif

void brig__jail_note(struct jail *jail, enum jail_wall wall, int error, const char *format, ...) {
  char *detail = jail->report.walls[wall].detail;
  size_t size = sizeof jail->report.walls[wall].detail;
  va_list args;
  va_start(args, format);
  int used = vsnprintf(detail, size, format, args);
  va_end(args);
  if (error == 0) {
    jail->report.up |= (walls_t)1 << wall;
    return;
  }
  jail->report.up &= ~((walls_t)1 << wall);
  if (used >= 0 && (size_t)used < size)
    snprintf(detail + used, size - (size_t)used, ": %s", strerror(-error));
}

const struct jail_report *brig__jail_report(const struct jail *jail) { return &jail->report; }

int brig__jail_prepare(struct jail **ret_jail) {
  struct jail *jail = calloc(1, sizeof *jail);
  if (jail == NULL) return -ENOMEM;
  int rc = brig__jail_build_filters(jail);
  brig__jail_note(
      jail, JAIL_WALL_SECCOMP, rc,
      rc == 0 ? "an allow-list for each kind of worker" : "the filters cannot be built");
  int abi = brig__jail_landlock_abi();
  jail->landlock_abi = abi > 0 ? abi : 0;
  if (abi > 0)
    brig__jail_note(jail, JAIL_WALL_LANDLOCK, 0, "ABI %d%s", abi,
                    abi < 3 ? "; before 3 it does not cover truncation" : "");
  else
    brig__jail_note(jail, JAIL_WALL_LANDLOCK, abi, "this kernel gives none");
  /* Known only once a worker has tried; brig__jail_worker reports failures. */
  brig__jail_note(jail, JAIL_WALL_NO_NEW_PRIVS, 0, "set in every worker");
  brig__jail_note(jail, JAIL_WALL_RLIMITS, 0, "set in every worker");
  brig__jail_note(jail, JAIL_WALL_UNDUMPABLE, 0, "set in every worker");
  int mdwe = prctl(66 /* PR_GET_MDWE */, 0, 0, 0, 0) < 0 ? -errno : 0;
  brig__jail_note(jail, JAIL_WALL_MDWE, mdwe,
                  mdwe == 0 ? "set in every worker" : "needs Linux 6.3");
  *ret_jail = jail;
  return 0;
}

static int refuse_exec_gain(const struct jail *jail, enum jail_profile profile) {
  if (profile == JAIL_COMPILE || !(jail->report.up & JAIL_WALL(MDWE))) return 0;
  return prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0) < 0 ? -errno : 0;
}

walls_t brig__jail_zygote(struct jail *jail, uint64_t data_bytes) {
  walls_t failed = 0;
  if (brig__jail_bound_data(data_bytes) < 0) failed |= JAIL_WALL(RLIMITS);
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) failed |= JAIL_WALL(NO_NEW_PRIVS);
  if (refuse_exec_gain(jail, JAIL_ZYGOTE) < 0) failed |= JAIL_WALL(MDWE);
  if (brig__jail_apply_filter(jail, JAIL_ZYGOTE) < 0) failed |= JAIL_WALL(SECCOMP);
  return failed;
}

#define PUT_UP(wall, expression) \
  if ((wanted & JAIL_WALL(wall)) && (expression) < 0) failed |= JAIL_WALL(wall)

static walls_t fence(struct jail *jail, const struct jail_worker *worker, bool landlock) {
  walls_t failed = 0;
  walls_t wanted = ~worker->without;
  PUT_UP(RLIMITS, brig__jail_apply_rlimits(worker));
  PUT_UP(UNDUMPABLE, prctl(PR_SET_DUMPABLE, 0, 0, 0, 0));
  PUT_UP(NO_NEW_PRIVS, prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
  PUT_UP(MDWE, refuse_exec_gain(jail, worker->profile));
  if (landlock) PUT_UP(LANDLOCK, brig__jail_apply_landlock(jail, worker));
  PUT_UP(SECCOMP, brig__jail_apply_filter(jail, worker->profile));
  return failed;
}

walls_t brig__jail_worker(struct jail *jail, const struct jail_worker *worker) {
  return fence(jail, worker, true);
}

walls_t brig__jail_ready(struct jail *jail, const struct jail_worker *worker) {
  return fence(jail, worker, worker->profile == JAIL_COMPUTE);
}

walls_t brig__jail_narrow(struct jail *jail, const struct jail_worker *worker) {
  walls_t failed = 0;
  walls_t wanted = ~worker->without;
  PUT_UP(RLIMITS, brig__jail_lower_rlimits(worker));
  if (worker->profile != JAIL_COMPUTE)
    PUT_UP(LANDLOCK, brig__jail_apply_landlock(jail, worker));
  return failed;
}
#undef PUT_UP
