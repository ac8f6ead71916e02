/* If WebAssembly is escaped: native code in a worker's jail, trying what it would. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "jail/jail.h"

static struct jail *jail;
static int granted; /* a directory */
static char directory[] = "/tmp/brig-jail-XXXXXX";

static int setup(void **state) {
  (void)state;
  if (brig__jail_prepare(&jail) < 0 || mkdtemp(directory) == NULL) return -1;
  int fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
  granted = fcntl(fd, F_DUPFD_CLOEXEC, JAIL_LINK + 1); /* which is another's */
  close(fd);
  return granted < 0 ? -1 : 0;
}

static int teardown(void **state) {
  (void)state;
  close(granted);
  return rmdir(directory);
}

/* Do it in a jailed child: its exit status, or minus the signal it died of. */
static int in_jail(enum jail_profile profile, bool read_write, int (*act)(long), long argument) {
  struct jail_mount mount = {granted, read_write};
  struct jail_worker worker = {.profile = profile,
                               .mounts = &mount,
                               .mount_count = profile == JAIL_COMPUTE ? 0 : 1,
                               .data_bytes = 256 << 20,
                               .file_bytes = 4096,
                               .open_files = 64,
                               .cpu_seconds = 5};
  int status;
  pid_t child = fork();
  if (child == 0) {
    if (brig__jail_worker(jail, &worker) != 0) _exit(99);
    _exit(act(argument));
  }
  assert_int_equal(waitpid(child, &status, 0), child);
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static int call(long number) {
  syscall(number, 0, 0, 0, 0, 0, 0);
  return 0;
}

static void system_calls_that_no_run_needs_kill_the_process(void **state) {
  static const long numbers[] = {
      SYS_execve,
      SYS_execveat,
      SYS_fork,
      SYS_vfork,
      SYS_clone,
      SYS_clone3,
      SYS_socket,
      SYS_socketpair,
      SYS_connect,
      SYS_bind,
      SYS_sendmsg,
      SYS_recvmsg,
      SYS_open,
      SYS_openat,
      SYS_creat,
      SYS_ioctl,
      SYS_prctl,
      SYS_kill,
      SYS_tgkill,
      SYS_tkill,
      SYS_ptrace,
      SYS_process_vm_readv,
      SYS_process_vm_writev,
      SYS_io_uring_setup,
      SYS_userfaultfd,
      SYS_bpf,
      SYS_memfd_create,
      SYS_mount,
      SYS_umount2,
      SYS_setns,
      SYS_unshare,
      SYS_keyctl,
      SYS_pidfd_open,
      SYS_pidfd_getfd,
      SYS_chdir,
      SYS_fchdir,
      SYS_chroot,
      SYS_chmod,
      SYS_fchmodat,
      SYS_chown,
      SYS_fchownat,
      SYS_link,
      SYS_symlink,
      SYS_rename,
      SYS_unlink,
      SYS_mknodat,
      SYS_dup,
      SYS_dup2,
      SYS_dup3,
      SYS_setuid,
      SYS_setresuid,
      SYS_capset,
      SYS_setrlimit,
      SYS_prlimit64,
      SYS_shmget,
      SYS_msgget,
      SYS_semget,
      SYS_inotify_init1,
      SYS_perf_event_open,
      SYS_personality,
      SYS_sysinfo,
      SYS_getppid,
      SYS_sched_setaffinity,
      SYS_setitimer,
      SYS_timer_create,
      SYS_name_to_handle_at,
      SYS_open_by_handle_at,
      SYS_seccomp,
      SYS_reboot,
      SYS_init_module,
  };
  (void)state;
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
    for (int profile = JAIL_COMPUTE; profile <= JAIL_COMPILE; profile++)
      if (in_jail((enum jail_profile)profile, true, call, numbers[i]) != -SIGSYS)
        fail_msg("system call %ld goes through in profile %d", numbers[i], profile);
}

static void writing_calls_are_only_for_those_who_may_write(void **state) {
  static const long numbers[] = {SYS_pwrite64,  SYS_mkdirat,   SYS_unlinkat,
                                 SYS_renameat2, SYS_linkat,    SYS_symlinkat,
                                 SYS_utimensat, SYS_ftruncate, SYS_fallocate};
  (void)state;
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    assert_int_equal(in_jail(JAIL_COMPUTE, false, call, numbers[i]), -SIGSYS);
    assert_int_equal(in_jail(JAIL_READ, false, call, numbers[i]), -SIGSYS);
    assert_int_equal(in_jail(JAIL_WRITE, true, call, numbers[i]), 0);
  }
  assert_int_equal(in_jail(JAIL_COMPUTE, false, call, SYS_openat2), -SIGSYS);
}

static int open_path(long path) {
  struct open_how how = {.flags = O_RDONLY};
  long fd = syscall(SYS_openat2, AT_FDCWD, (const char *)path, &how, sizeof how);
  return fd < 0 ? errno : 0;
}

static int create_in(long directory_fd) {
  struct open_how how = {.flags = O_WRONLY | O_CREAT | O_EXCL, .mode = 0600};
  long fd = syscall(SYS_openat2, (int)directory_fd, "made", &how, sizeof how);
  if (fd < 0) return errno;
  syscall(SYS_unlinkat, (int)directory_fd, "made", 0);
  return 0;
}

static void landlock_confines_what_openat2_flags_do_not(void **state) {
  (void)state;
  assert_int_equal(in_jail(JAIL_WRITE, true, open_path, (long)(uintptr_t) "/etc/passwd"), EACCES);
  assert_int_equal(in_jail(JAIL_WRITE, true, open_path, (long)(uintptr_t) "/"), EACCES);
  assert_int_equal(in_jail(JAIL_WRITE, true, open_path, (long)(uintptr_t)directory), 0);
  assert_int_equal(in_jail(JAIL_WRITE, true, create_in, granted), 0);
  assert_int_equal(in_jail(JAIL_WRITE, false, create_in, granted), EACCES);
}

static int map(long protection) {
  void *page = mmap(NULL, 4096, (int)protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return page == MAP_FAILED ? errno : 0;
}

static int protect(long protection) {
  void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return mprotect(page, 4096, (int)protection) < 0 ? errno : 0;
}

static void no_memory_becomes_executable_but_the_compilers(void **state) {
  (void)state;
  assert_int_equal(in_jail(JAIL_COMPUTE, false, map, PROT_READ | PROT_WRITE), 0);
  assert_int_equal(in_jail(JAIL_COMPUTE, false, map, PROT_READ | PROT_EXEC), -SIGSYS);
  assert_int_equal(in_jail(JAIL_WRITE, true, protect, PROT_READ | PROT_EXEC), -SIGSYS);
  assert_int_equal(in_jail(JAIL_COMPILE, false, protect, PROT_READ | PROT_EXEC), 0);
}

static int take_memory(long bytes) {
  void *area =
      mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return area == MAP_FAILED ? errno : 0;
}

static int burn(long unused) {
  (void)unused;
  for (volatile unsigned i = 0; i < UINT32_MAX; i = i % 1000) i++;
  return 0;
}

static void rlimits_bound_memory_and_cpu(void **state) {
  (void)state;
  assert_int_equal(in_jail(JAIL_COMPUTE, false, take_memory, 64 << 20), 0);
  assert_int_equal(in_jail(JAIL_COMPUTE, false, take_memory, 512 << 20), ENOMEM);
  int ended = in_jail(JAIL_COMPUTE, false, burn, 0);
  assert_true(ended == -SIGXCPU || ended == -SIGKILL);
}

enum stage { IN_TEMPLATE, READY, NARROWED };

/* In the zygote of a template, or in its ready worker before and after its task. */
static int in_template(enum stage stage, int (*act)(long), long argument) {
  struct jail_mount mount = {granted, false};
  struct jail_worker worker = {.profile = JAIL_READ,
                               .data_bytes = 256 << 20,
                               .file_bytes = 4096,
                               .open_files = 64,
                               .cpu_seconds = 5};
  int status;
  pid_t child = fork();
  if (child == 0) {
    dup2(open("/dev/null", O_RDONLY | O_CLOEXEC), JAIL_LINK);
    if (brig__jail_zygote(jail, 512 << 20) != 0) _exit(98);
    if (stage >= READY && brig__jail_ready(jail, &worker) != 0) _exit(99);
    worker.mounts = &mount;
    worker.mount_count = 1;
    worker.data_bytes = 128 << 20;
    if (stage == NARROWED && brig__jail_narrow(jail, &worker) != 0) _exit(97);
    _exit(act(argument));
  }
  assert_int_equal(waitpid(child, &status, 0), child);
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static int fork_here(long unused) {
  (void)unused;
  pid_t child = fork();
  if (child == 0) _exit(0);
  return child < 0 ? errno : waitpid(child, NULL, 0) == child ? 0 : 1;
}

/* Of files it reaches none since its root is empty, which this test's is not: Landlock
 * has to wait for the worker's directories. */
static void a_template_may_fork_and_little_else(void **state) {
  static const long numbers[] = {SYS_execve, SYS_socket,         SYS_connect,      SYS_bind,
                                 SYS_openat, SYS_ptrace,         SYS_mount,        SYS_unshare,
                                 SYS_bpf,    SYS_io_uring_setup, SYS_memfd_create, SYS_tgkill,
                                 SYS_setuid, SYS_pidfd_open,     SYS_chdir,        SYS_ioctl};
  (void)state;
  assert_int_equal(in_template(IN_TEMPLATE, fork_here, 0), 0);
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
    if (in_template(IN_TEMPLATE, call, numbers[i]) != -SIGSYS)
      fail_msg("system call %ld goes through in a template", numbers[i]);
  assert_int_equal(in_template(IN_TEMPLATE, take_memory, 600 << 20), ENOMEM);
  assert_int_equal(in_template(IN_TEMPLATE, protect, PROT_READ | PROT_EXEC), -SIGSYS);
}

static int receive_elsewhere(long unused) {
  (void)unused;
  syscall(SYS_recvmsg, 0, NULL, 0);
  return 0;
}

static void a_ready_worker_may_not_fork_and_is_narrowed_to_its_task(void **state) {
  (void)state;
  assert_int_equal(in_template(READY, fork_here, 0), -SIGSYS);
  assert_int_equal(in_template(READY, call, SYS_kill), -SIGSYS);
  assert_int_equal(in_template(READY, call, SYS_sendmsg), -SIGSYS);
  assert_int_equal(in_template(READY, receive_elsewhere, 0), -SIGSYS);
  assert_int_equal(in_template(READY, take_memory, 200 << 20), 0);
  assert_int_equal(in_template(NARROWED, take_memory, 200 << 20), ENOMEM);
  assert_int_equal(in_template(NARROWED, take_memory, 64 << 20), 0);
  assert_int_equal(in_template(NARROWED, fork_here, 0), -SIGSYS);
  assert_int_equal(in_template(NARROWED, call, SYS_prctl), -SIGSYS);
  assert_int_equal(in_template(NARROWED, create_in, granted), EACCES);
  assert_int_equal(in_template(NARROWED, open_path, (long)(uintptr_t)directory), 0);
  assert_int_equal(in_template(NARROWED, open_path, (long)(uintptr_t) "/etc/passwd"), EACCES);
}

static void every_wall_has_a_name_and_a_meaning(void **state) {
  (void)state;
  for (int wall = 0; wall < JAIL_WALL_COUNT; wall++) {
    assert_true(strlen(brig__jail_wall_name((enum jail_wall)wall)) > 2);
    assert_true(strlen(brig__jail_wall_meaning((enum jail_wall)wall)) > 10);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(system_calls_that_no_run_needs_kill_the_process),
      cmocka_unit_test(writing_calls_are_only_for_those_who_may_write),
      cmocka_unit_test(landlock_confines_what_openat2_flags_do_not),
      cmocka_unit_test(no_memory_becomes_executable_but_the_compilers),
      cmocka_unit_test(rlimits_bound_memory_and_cpu),
      cmocka_unit_test(a_template_may_fork_and_little_else),
      cmocka_unit_test(a_ready_worker_may_not_fork_and_is_narrowed_to_its_task),
      cmocka_unit_test(every_wall_has_a_name_and_a_meaning),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
