#include "pool/zygote.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <fcntl.h>
#include <unistd.h>
#include "base/clock.h"

struct child {
  pid_t pid;
  int control; /* -1 once the host has let go of it */
  uint32_t cause;
  uint64_t forked_us, deadline_us;
};

struct zygote {
  struct worker_context *context;
  int socket, epoll, signals;
  struct child *children;
  size_t count, capacity;
};

/* What an epoll event is about: a child's pid, or one of these. */
#define ABOUT_HOST    0
#define ABOUT_SIGNALS 1

static int watch(const struct zygote *zygote, int fd, uint32_t events, uint64_t about) {
  struct epoll_event event = {.events = events, .data.u64 = about};
  return epoll_ctl(zygote->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static struct child *find(struct zygote *zygote, pid_t pid) {
  for (size_t i = 0; i < zygote->count; i++)
    if (zygote->children[i].pid == pid) return &zygote->children[i];
  return NULL;
}

static int reserve(struct zygote *zygote) {
  if (zygote->count < zygote->capacity) return 0;
  size_t capacity = zygote->capacity == 0 ? 64 : zygote->capacity * 2;
  struct child *children = realloc(zygote->children, capacity * sizeof *children);
  if (children == NULL) return -ENOMEM;
  zygote->children = children;
  zygote->capacity = capacity;
  return 0;
}

/* fork() copies one thread; a lock that another holds would stay locked. */
static void assert_one_thread(const struct zygote *zygote) {
  struct stat st;
  if (fstatat(zygote->context->proc_fd, "self/task", &st, 0) == 0 && st.st_nlink > 3) abort();
}

static void refuse(int control, int fork_errno) {
  struct wire_exit notice = {.magic = WIRE_MAGIC, .fork_errno = fork_errno};
  brig__wire_send(control, &notice, sizeof notice, NULL, 0, MSG_DONTWAIT);
}

static void start_worker(struct zygote *zygote, const struct wire_task *task, const int *fds,
                         size_t fd_count) {
  int rc = reserve(zygote);
  uint64_t now = brig__now_us();
  pid_t pid = -1;
  if (rc == 0) {
    assert_one_thread(zygote);
    pid = fork();
    rc = pid < 0 ? -errno : 0;
  }
  if (pid == 0) brig__worker_main(zygote->context, task, fds, fd_count);
  if (rc < 0) {
    refuse(fds[WIRE_FD_CONTROL], -rc);
    return;
  }
  struct child *child = &zygote->children[zygote->count++];
  *child = (struct child){.pid = pid,
                          .control = fcntl(fds[WIRE_FD_CONTROL], F_DUPFD_CLOEXEC, 3),
                          .forked_us = now,
                          .deadline_us = now + task->timeout_us};
  /* Level-triggered: whatever the host does with it, a word or its end, means
   * "stop". One that cannot be watched must not run. */
  if (child->control < 0 || watch(zygote, child->control, EPOLLIN | EPOLLRDHUP, (uint64_t)pid) < 0)
    kill(pid, SIGKILL);
}

/* Returns false when the host is gone. */
static bool serve_host(struct zygote *zygote) {
  struct wire_task task;
  int fds[WIRE_MAX_FDS];
  size_t count = 0;
  int rc = brig__wire_receive(zygote->socket, &task, sizeof task, fds, WIRE_MAX_FDS, &count);
  if (rc == -EAGAIN || rc == -EMFILE || rc == -ENFILE) return true;
  if (rc < 0) return false;
  size_t wanted = WIRE_FD_COMMON;
  if (task.operation == WIRE_RUN) wanted = WIRE_FD_MOUNTS + task.mounts;
  if (task.magic == WIRE_MAGIC && count == wanted)
    start_worker(zygote, &task, fds, count);
  else if (count > 0)
    refuse(fds[WIRE_FD_CONTROL], EPROTO);
  for (size_t i = 0; i < count; i++) close(fds[i]);
  return true;
}

static uint64_t microseconds(struct timeval time) {
  return (uint64_t)time.tv_sec * 1000000u + (uint64_t)time.tv_usec;
}

static void report_exit(struct zygote *zygote, struct child *child, int status,
                        const struct rusage *usage) {
  struct wire_exit notice = {
      .magic = WIRE_MAGIC,
      .wait_status = status,
      .cause = child->cause,
      .forked_us = child->forked_us,
      .exited_us = brig__now_us(),
      .cpu_us = microseconds(usage->ru_utime) + microseconds(usage->ru_stime),
      .rss_bytes = (uint64_t)usage->ru_maxrss * 1024u,
  };
  if (child->control >= 0) {
    brig__wire_send(child->control, &notice, sizeof notice, NULL, 0, MSG_DONTWAIT);
    /* By hand: a sibling forked a moment ago may still hold a copy. */
    epoll_ctl(zygote->epoll, EPOLL_CTL_DEL, child->control, NULL);
    close(child->control);
  }
  *child = zygote->children[--zygote->count];
}

static void reap(struct zygote *zygote) {
  struct signalfd_siginfo info;
  struct rusage usage;
  int status;
  while (read(zygote->signals, &info, sizeof info) > 0) continue;
  for (;;) {
    pid_t pid = wait4(-1, &status, WNOHANG, &usage);
    if (pid <= 0) return;
    struct child *child = find(zygote, pid);
    if (child != NULL) report_exit(zygote, child, status, &usage);
  }
}

static void stop(struct zygote *zygote, pid_t pid) {
  struct child *child = find(zygote, pid);
  if (child == NULL || child->control < 0) return;
  if (child->cause == WIRE_CAUSE_NONE) child->cause = WIRE_CAUSE_CANCELLED;
  epoll_ctl(zygote->epoll, EPOLL_CTL_DEL, child->control, NULL);
  kill(child->pid, SIGKILL);
}

/* Kill what is past its deadline; the milliseconds until the next, -1 for none. */
static int keep_deadlines(struct zygote *zygote) {
  uint64_t now = brig__now_us(), next = UINT64_MAX;
  for (size_t i = 0; i < zygote->count; i++) {
    struct child *child = &zygote->children[i];
    if (child->cause != WIRE_CAUSE_NONE) continue;
    if (child->deadline_us <= now) {
      child->cause = WIRE_CAUSE_DEADLINE;
      kill(child->pid, SIGKILL);
    } else if (child->deadline_us < next) {
      next = child->deadline_us;
    }
  }
  if (next == UINT64_MAX) return -1;
  uint64_t wait_ms = (next - now) / 1000 + 1;
  return wait_ms > 60000 ? 60000 : (int)wait_ms;
}

static int open_zygote(struct zygote *zygote) {
  sigset_t mask;
  sigemptyset(&mask);
  sigaddset(&mask, SIGCHLD);
  if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0) return -errno;
  zygote->signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
  zygote->epoll = epoll_create1(EPOLL_CLOEXEC);
  if (zygote->signals < 0 || zygote->epoll < 0) return -errno;
  int rc = watch(zygote, zygote->socket, EPOLLIN | EPOLLRDHUP, ABOUT_HOST);
  if (rc == 0) rc = watch(zygote, zygote->signals, EPOLLIN, ABOUT_SIGNALS);
  return rc;
}

/* Reaping comes last: until then a pid in an event cannot be another's. */
static bool serve_events(struct zygote *zygote, const struct epoll_event *events, int count) {
  bool alive = true, signalled = false;
  for (int i = 0; i < count; i++) {
    if (events[i].data.u64 == ABOUT_HOST)
      alive = serve_host(zygote) && alive;
    else if (events[i].data.u64 == ABOUT_SIGNALS)
      signalled = true;
    else
      stop(zygote, (pid_t)events[i].data.u64);
  }
  if (signalled) reap(zygote);
  return alive;
}

int brig__zygote_serve(struct worker_context *context, int socket) {
  struct zygote zygote = {.context = context, .socket = socket};
  struct epoll_event events[64];
  bool alive = open_zygote(&zygote) == 0;
  while (alive) {
    int count = epoll_wait(zygote.epoll, events, 64, keep_deadlines(&zygote));
    if (count < 0 && errno != EINTR) break;
    alive = serve_events(&zygote, events, count < 0 ? 0 : count);
  }
  for (size_t i = 0; i < zygote.count; i++) kill(zygote.children[i].pid, SIGKILL);
  return alive ? 1 : 0;
}
