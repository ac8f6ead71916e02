#include "jail/jail_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include "base/fd.h"

enum condition {
  ANY,
  NOT_EXECUTABLE,
  STATUS_FLAGS,
  LINK,
  OWN_LIMITS,
  DUPLICATE,
  FORK,
  PARENT_DEATH
};

#define BIT(profile) (1u << JAIL_##profile)
#define WRITE        BIT(WRITE)
#define READ         (BIT(READ) | WRITE)
#define RUN          (BIT(COMPUTE) | READ)
#define COMPILE      BIT(COMPILE)
#define ZYGOTE       BIT(ZYGOTE)
#define SESSION      BIT(SESSION)
#define ALL          (RUN | COMPILE)

static const struct allowed {
  int number;
  unsigned profiles;
  enum condition condition;
} allowed[] = {
#define X(name, profiles, condition) {SCMP_SYS(name), profiles, condition},
#include "jail/syscalls.def"
#undef X
};

static int allow(scmp_filter_ctx filter, const struct allowed *row) {
  switch (row->condition) {
    case ANY:
      return seccomp_rule_add(filter, SCMP_ACT_ALLOW, row->number, 0);
    case NOT_EXECUTABLE:
      return seccomp_rule_add(filter, SCMP_ACT_ALLOW, row->number, 1,
                              SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    case LINK:
      return seccomp_rule_add(filter, SCMP_ACT_ALLOW, row->number, 1,
                              SCMP_A0(SCMP_CMP_EQ, JAIL_LINK));
    case OWN_LIMITS:
      return seccomp_rule_add(filter, SCMP_ACT_ALLOW, row->number, 2, SCMP_A0(SCMP_CMP_EQ, 0),
                              SCMP_A2(SCMP_CMP_NE, 0));
    case DUPLICATE:
      return seccomp_rule_add(filter, SCMP_ACT_ALLOW, row->number, 1,
                              SCMP_A1(SCMP_CMP_EQ, F_DUPFD_CLOEXEC));
    case FORK:
      return seccomp_rule_add(
          filter, SCMP_ACT_ALLOW, row->number, 1,
          SCMP_A0(SCMP_CMP_EQ, CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | SIGCHLD));
    case PARENT_DEATH:
      return seccomp_rule_add(filter, SCMP_ACT_ALLOW, row->number, 1,
                              SCMP_A0(SCMP_CMP_EQ, PR_SET_PDEATHSIG));
    case STATUS_FLAGS: {
      int rc =
          seccomp_rule_add(filter, SCMP_ACT_ALLOW, row->number, 1, SCMP_A1(SCMP_CMP_EQ, F_GETFL));
      if (rc < 0) return rc;
      return seccomp_rule_add(filter, SCMP_ACT_ALLOW, row->number, 1,
                              SCMP_A1(SCMP_CMP_EQ, F_SETFL));
    }
  }
  return -EINVAL;
}

/* libseccomp writes a filter to a descriptor only. */
static int export_filter(scmp_filter_ctx filter, struct sock_fprog *ret_program) {
  CLEANUP_FD int fd = memfd_create("filter", MFD_CLOEXEC);
  if (fd < 0) return -errno;
  int rc = seccomp_export_bpf(filter, fd);
  if (rc < 0) return rc;
  struct stat st;
  if (fstat(fd, &st) < 0 || lseek(fd, 0, SEEK_SET) < 0) return -errno;
  size_t size = (size_t)st.st_size;
  struct sock_filter *code = malloc(size);
  if (code == NULL) return -ENOMEM;
  if (brig__read_all(fd, code, size) != (ssize_t)size) {
    free(code);
    return -EIO;
  }
  *ret_program = (struct sock_fprog){(unsigned short)(size / sizeof *code), code};
  return 0;
}

/* A filter binds the forks too: a zygote may do what its workers may. */
static unsigned rows_of(enum jail_profile profile) {
  if (profile == JAIL_ZYGOTE) return ZYGOTE | SESSION | WRITE;
  return profile == JAIL_SESSION ? SESSION | WRITE : 1u << profile;
}

static int build(enum jail_profile profile, struct sock_fprog *ret_program) {
  scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
  if (filter == NULL) return -ENOMEM;
  /* A binary tree: a long list would cost each call of the guest's. */
  int rc = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
  if (rc == 0) rc = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
  for (size_t i = 0; i < sizeof allowed / sizeof *allowed && rc == 0; i++)
    if (allowed[i].profiles & rows_of(profile)) rc = allow(filter, &allowed[i]);
  if (rc == 0) rc = export_filter(filter, ret_program);
  seccomp_release(filter);
  return rc;
}

int brig__jail_build_filters(struct jail *jail) {
  int rc = 0;
  for (int profile = 0; profile < JAIL_PROFILE_COUNT && rc == 0; profile++)
    rc = build((enum jail_profile)profile, &jail->filters[profile]);
  return rc;
}

int brig__jail_apply_filter(const struct jail *jail, enum jail_profile profile) {
  const struct sock_fprog *program = &jail->filters[profile];
  if (program->filter == NULL) return -ENOSYS;
  return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program, 0, 0) < 0 ? -errno : 0;
}
