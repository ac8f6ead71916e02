/* jail/jail_internal.h - shared by the files of jail/ alone. */
#ifndef BRIG_JAIL_INTERNAL_H
#define BRIG_JAIL_INTERNAL_H

#include <linux/filter.h>
#include "jail/jail.h"

struct jail {
  struct jail_report report;
  int landlock_abi; /* 0: the kernel has none */
  struct sock_fprog filters[JAIL_PROFILE_COUNT];
};

/* Note a wall's state: up if `error` is 0, else not, because of -errno. */
void brig__jail_note(struct jail *jail, enum jail_wall wall, int error, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

int brig__jail_build_filters(struct jail *jail); /* seccomp.c */
int brig__jail_apply_filter(const struct jail *jail, enum jail_profile profile);

int brig__jail_landlock_abi(void); /* landlock.c: 0 or -errno without it */
int brig__jail_apply_landlock(const struct jail *jail, const struct jail_worker *worker);

int brig__jail_apply_rlimits(const struct jail_worker *worker); /* rlimit.c */
int brig__jail_lower_rlimits(const struct jail_worker *worker);
int brig__jail_bound_data(uint64_t bytes);

int brig__jail_drop_capabilities(void); /* capability.c */

#endif
