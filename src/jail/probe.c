/* Trials of the walls: each tries, from inside a worker, what its wall forbids.
 * A trial leaves out the walls that would stop it before the one it is about. */
#include "jail/jail_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

struct trial {
  walls_t without;
  const char *what;
  /* 0 if the thing went through, -errno if it was denied. */
  int (*attempt)(pid_t host_pid);
};

static int result(long rc) { return rc < 0 ? -errno : 0; }

static int try_exec(pid_t host_pid) {
  char *const argv[] = {(char *)(uintptr_t) "/bin/true", NULL};
  (void)host_pid;
  return result(execve(argv[0], argv, argv + 1));
}

static int try_privileges(pid_t host_pid) {
  (void)host_pid;
  return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? -EPERM : 0;
}

static int try_open_root(pid_t host_pid) {
  (void)host_pid;
  return result(open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

static int try_fork(pid_t host_pid) {
  (void)host_pid;
  pid_t child = fork();
  if (child == 0) _exit(0);
  return result(child);
}

static int try_dumpable(pid_t host_pid) {
  (void)host_pid;
  return prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0 ? -EPERM : 0;
}

static int try_executable_memory(pid_t host_pid) {
  (void)host_pid;
  void *page =
      mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return page == MAP_FAILED ? -errno : 0;
}

static int try_become_root(pid_t host_pid) {
  (void)host_pid;
  return result(setresuid(0, 0, 0));
}

static int try_signal_host(pid_t host_pid) { return result(kill(host_pid, 0)); }

static int try_connect(pid_t host_pid) {
  (void)host_pid;
  struct sockaddr_in local = {
      .sin_family = AF_INET, .sin_port = htons(9), .sin_addr = {htonl(INADDR_LOOPBACK)}};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  int rc = result(connect(fd, (struct sockaddr *)&local, sizeof local));
  return rc == -ECONNREFUSED ? 0 : rc; /* refused by the host's own stack: reached */
}

static int try_host_name(pid_t host_pid) {
  struct utsname name;
  (void)host_pid;
  if (uname(&name) < 0) return -errno;
  return strcmp(name.nodename, "brig") == 0 ? -ENOENT : 0;
}

static int try_open_passwd(pid_t host_pid) {
  (void)host_pid;
  return result(open("/etc/passwd", O_RDONLY | O_CLOEXEC));
}

static int try_mount(pid_t host_pid) {
  (void)host_pid;
  return result(syscall(SYS_mount, "none", "/", "tmpfs", 0, NULL));
}

static const struct trial trials[JAIL_WALL_COUNT] = {
    [JAIL_WALL_NO_NEW_PRIVS] = {JAIL_WALL(SECCOMP), "asked whether exec may add privileges",
                                try_privileges},
    [JAIL_WALL_SECCOMP] = {0, "execve of /bin/true", try_exec},
    [JAIL_WALL_LANDLOCK] = {JAIL_WALL(SECCOMP), "open of /", try_open_root},
    [JAIL_WALL_RLIMITS] = {JAIL_WALL(SECCOMP), "fork", try_fork},
    [JAIL_WALL_UNDUMPABLE] = {JAIL_WALL(SECCOMP), "asked whether it can be traced", try_dumpable},
    [JAIL_WALL_MDWE] = {JAIL_WALL(SECCOMP), "mmap of writable, executable memory",
                        try_executable_memory},
    [JAIL_WALL_UID] = {JAIL_WALL(SECCOMP), "setresuid to root", try_become_root},
    [JAIL_WALL_USER_NS] = {JAIL_WALL(SECCOMP), "setresuid to root", try_become_root},
    [JAIL_WALL_PID_NS] = {JAIL_WALL(SECCOMP) | JAIL_WALL(LANDLOCK),
                          "signal 0 to the host's process", try_signal_host},
    [JAIL_WALL_NET_NS] = {JAIL_WALL(SECCOMP) | JAIL_WALL(LANDLOCK),
                          "connect to a port of 127.0.0.1", try_connect},
    [JAIL_WALL_UTS_NS] = {JAIL_WALL(SECCOMP), "read the host's name", try_host_name},
    [JAIL_WALL_ROOT] = {JAIL_WALL(SECCOMP) | JAIL_WALL(LANDLOCK), "open of /etc/passwd",
                        try_open_passwd},
    [JAIL_WALL_CAPABILITIES] = {JAIL_WALL(SECCOMP) | JAIL_WALL(LANDLOCK), "mount of a tmpfs",
                                try_mount},
};

walls_t brig__jail_probe_without(enum jail_wall wall) { return trials[wall].without; }

void brig__jail_probe(enum jail_wall wall, pid_t host_pid, struct jail_proof *ret_proof) {
  const struct trial *trial = &trials[wall];
  struct jail_proof proof = {.proved = -1, .text = "there is no trial of it"};
  if (trial->attempt != NULL) {
    int rc = trial->attempt(host_pid);
    proof.proved = rc < 0;
    snprintf(proof.text, sizeof proof.text, "%s: %s", trial->what,
             rc < 0 ? strerror(-rc) : "WENT THROUGH");
  }
  *ret_proof = proof;
}
