/* deny SYSCALL... -- COMMAND: run a command on a kernel that lacks system calls
 * (they fail with EPERM; landlock ones with ENOSYS), to see it do without. */
#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv) {
  scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
  int i = 1;
  for (; i < argc && strcmp(argv[i], "--") != 0; i++) {
    uint32_t error = strncmp(argv[i], "landlock", 8) == 0 ? ENOSYS : EPERM;
    int number = seccomp_syscall_resolve_name(argv[i]);
    if (number == __NR_SCMP_ERROR && strcmp(argv[i], "landlock_create_ruleset") == 0) number = 444;
    if (seccomp_rule_add(filter, SCMP_ACT_ERRNO(error), number, 0) < 0) return 2;
  }
  if (i + 1 >= argc || seccomp_load(filter) < 0) return 2;
  execv(argv[i + 1], argv + i + 1);
  perror(argv[i + 1]);
  return 2;
}
