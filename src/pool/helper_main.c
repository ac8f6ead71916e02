/* brig-helper: the launcher, which becomes the parent of one zygote. Started by
 * the host with an empty environment and a socket as descriptor 3. It holds no
 * more than it was given, takes the namespaces, and waits for its zygote. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/error.h"
#include "base/fd.h"
#include "pool/id_map.h"
#include "pool/template.h"
#include "pool/zygote.h"

#ifndef PR_THP_DISABLE_EXCEPT_ADVISED
#define PR_THP_DISABLE_EXCEPT_ADVISED (1 << 1) /* Linux 6.18 */
#endif

/* A huge page is a huge copy after fork. Those of code are asked for: before Linux 6.18
 * it is none or all. */
static void avoid_huge_pages(void) {
  if (prctl(PR_SET_THP_DISABLE, 1, PR_THP_DISABLE_EXCEPT_ADVISED, 0, 0) < 0)
    prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
}

static void prepare_process(void) {
  struct rlimit files;
  signal(SIGPIPE, SIG_IGN); /* guests get EPIPE, */
  signal(SIGXFSZ, SIG_IGN); /* and EFBIG */
  umask(077);
  avoid_huge_pages();
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
}

/* A bare zygote, unless its first task makes it a template's. */
static int serve(struct worker_context *context) {
  static struct zygote_job job;
  struct zygote_options options = {.context = context, .socket = WIRE_SOCKET};
  switch (brig__zygote_serve(&options, &job)) {
    case ZYGOTE_WORKER:
      brig__worker_main(context, &job.task, job.fds, job.fd_count);
    case ZYGOTE_WARM:
      brig__template_run(context, WIRE_SOCKET, &job);
    default:
      return 0;
  }
}

static int zygote(struct jail *jail, const struct wire_setup *setup, int id_map_fd) {
  static struct wire_hello hello = {.magic = WIRE_MAGIC, .version = WIRE_VERSION};
  struct brig_error error;
  struct worker_context context = {.jail = jail, .required = setup->required, .zygote = getpid()};
  /* So that a host can end even a zygote that is stopped: by its launcher. */
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  snprintf(hello.engine, sizeof hello.engine, "%s; brig %s", brig__engine_id(), BRIG_VERSION);
  context.proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
  context.task_fd = open("/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (context.proc_fd < 0 || context.task_fd < 0) return 1;
  for (unsigned metered = 0; metered < 2; metered++) {
    struct engine_settings settings = {.metered = metered};
    if (brig__engine_create(&settings, &context.engines[metered], &error) < 0) return 1;
  }
  brig__jail_lock_root(jail);
  hello.report = *brig__jail_report(jail);
  hello.id_map = id_map_fd >= 0;
  int rc = brig__wire_send(WIRE_SOCKET, &hello, sizeof hello, &id_map_fd, hello.id_map, 0);
  if (id_map_fd >= 0) close(id_map_fd);
  return rc < 0 ? 1 : serve(&context);
}

int main(void) {
  struct wire_setup setup;
  struct jail *jail = NULL;
  size_t none;
  syscall(SYS_close_range, WIRE_SOCKET + 1, ~0u, 0);
  if (dup2(STDOUT_FILENO, JAIL_LINK) < 0) return 1; /* keeps the number free */
  prepare_process();
  if (brig__wire_receive(WIRE_SOCKET, &setup, sizeof setup, NULL, 0, &none) < 0 ||
      setup.magic != WIRE_MAGIC || setup.version != WIRE_VERSION) {
    fprintf(stderr, "brig-helper is started by brig and libbrig, version %s, not by hand\n",
            BRIG_VERSION);
    return 2;
  }
  int id_map_fd = brig__id_map_create((uid_t)setup.uid);
  if (brig__jail_prepare(&jail) < 0) return 1;
  pid_t child = brig__jail_enter(jail, (uid_t)setup.uid);
  if (child == 0) return zygote(jail, &setup, id_map_fd);
  if (child < 0) return 1;
  close(WIRE_SOCKET); /* so that the host sees the zygote's end */
  int status;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
