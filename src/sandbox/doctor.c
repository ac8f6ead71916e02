#include "sandbox/sandbox_internal.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/fd.h"

/* Have a worker try what the wall forbids. */
static void prove(struct pool *pool, enum jail_wall wall, struct brig_wall *item, char *text,
                  size_t size) {
  struct pool_end end;
  struct brig_error error;
  CLEANUP_FD int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  struct pool_call call = {
      .task = {.magic = WIRE_MAGIC,
               .operation = WIRE_PROBE,
               .wall = (uint32_t)wall,
               .host_pid = getpid(),
               .timeout_us = 5000000},
      .fds = {-1, -1, null, null, null},
      .fd_count = WIRE_FD_COMMON,
      .cancel_fd = -1,
  };
  item->proof = text;
  item->proved = 0;
  if (brig__pool_call(pool, &call, &end, &error) < 0) {
    snprintf(text, size, "the trial failed: %.150s", error.message);
  } else if (end.reported && end.report.kind == WIRE_PROVED) {
    item->proved = end.report.proof.proved;
    snprintf(text, size, "%.*s", (int)sizeof end.report.proof.text - 1, end.report.proof.text);
  } else if (WIFSIGNALED(end.exit.wait_status)) {
    item->proved = WTERMSIG(end.exit.wait_status) == SIGSYS && wall == JAIL_WALL_SECCOMP;
    snprintf(text, size, "execve of /bin/true: killed by %s",
             item->proved ? "SIGSYS" : strsignal(WTERMSIG(end.exit.wait_status)));
  } else {
    snprintf(text, size, "the trial ended without a word");
  }
}

int brig_doctor(const struct brig_config *config, int with_proof,
                void (*each)(void *context, const struct brig_wall *wall), void *context,
                struct brig_error *err) {
  struct pool_options options;
  struct pool *pool = NULL;
  CLEANUP_FREE char *helper = NULL;
  int rc = brig__sandbox_pool_options(brig__config_settings(config), &options, &helper, err);
  if (rc < 0) return rc;
  walls_t required = options.required;
  options.required = 0;
  rc = brig__pool_create(&options, &pool, err);
  if (rc < 0) return rc;
  const struct jail_report *report = &brig__pool_hello(pool)->report;
  for (int wall = 0; wall < JAIL_WALL_COUNT; wall++) {
    char text[200] = "";
    struct brig_wall item = {
        .name = brig__jail_wall_name((enum jail_wall)wall),
        .meaning = brig__jail_wall_meaning((enum jail_wall)wall),
        .required = (required >> wall & 1) != 0,
        .up = (report->up >> wall & 1) != 0,
        .detail = report->walls[wall].detail,
        .proved = -1,
        .proof = text,
    };
    if (with_proof && item.up) prove(pool, (enum jail_wall)wall, &item, text, sizeof text);
    each(context, &item);
  }
  brig__pool_destroy(pool);
  return 0;
}
