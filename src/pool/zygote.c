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
  bool ready; /* it waits for its task */
  uint64_t forked_us, deadline_us;
};

/* serve_host() and its kin: this process goes on as it is. */
#define ZYGOTE_STAYS ((enum zygote_role) - 1)

/* Where tasks follow each other faster than this, workers forked ahead of them only take
 * the time of those forked on demand, who need less. */
#define REFILL_AFTER_US 2000

struct zygote {
  const struct zygote_options *options;
  struct zygote_job *job;
  int epoll, signals;
  uint32_t ready;        /* workers that wait */
  bool resting;          /* none is to be made ready before the next task */
  uint64_t refill_at_us; /* not before, while others run */
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
  if (fstat(zygote->options->context->task_fd, &st) == 0 && st.st_nlink > 3) abort();
}

static void refuse(int control, int fork_errno) {
  struct wire_exit notice = {.magic = WIRE_MAGIC, .fork_errno = fork_errno};
  brig__wire_send(control, &notice, sizeof notice, NULL, 0, MSG_DONTWAIT);
}

/* Fork, and watch over the child; `control` becomes its own. 0 in the child, else
 * its pid or -errno. */
static pid_t fork_worker(struct zygote *zygote, int control, uint64_t deadline_us) {
  int rc = reserve(zygote);
  uint64_t now = brig__now_us();
  if (rc < 0) return rc;
  assert_one_thread(zygote);
  pid_t pid = fork();
  if (pid < 0) return -errno;
  if (pid == 0) return 0;
  struct child *child = &zygote->children[zygote->count++];
  *child =
      (struct child){.pid = pid, .control = control, .forked_us = now, .deadline_us = deadline_us};
  /* Level-triggered: whatever the host does with it, a word or its end, means
   * "stop". One that cannot be watched must not run. */
  if (control < 0 || watch(zygote, control, EPOLLIN | EPOLLRDHUP, (uint64_t)pid) < 0)
    kill(pid, SIGKILL);
  return pid;
}

static enum zygote_role serve_host(struct zygote *zygote) {
  struct zygote_job *job = zygote->job;
  struct wire_task *task = &job->task;
  enum zygote_role role = ZYGOTE_STAYS;
  int rc = brig__wire_receive(zygote->options->socket, task, sizeof *task, job->fds, WIRE_MAX_FDS,
                              &job->fd_count);
  if (rc == -EAGAIN || rc == -EMFILE || rc == -ENFILE) return role;
  if (rc < 0) return ZYGOTE_ENDED;
  bool forks = task->operation == WIRE_RESUME || task->operation == WIRE_BRANCH;
  bool understood = task->magic == WIRE_MAGIC && job->fd_count == brig__wire_fd_count(task) &&
                    forks == zygote->options->of_template;
  if (understood && task->operation == WIRE_WARM) return ZYGOTE_WARM;
  pid_t pid = -EPROTO;
  if (understood)
    pid = fork_worker(zygote, fcntl(job->fds[WIRE_FD_CONTROL], F_DUPFD_CLOEXEC, 3),
                      brig__now_us() + task->timeout_us +
                          (task->session ? WIRE_TURN_GRACE_US : 0));
  zygote->refill_at_us = brig__now_us() + REFILL_AFTER_US;
  zygote->resting = false;
  if (pid == 0) return ZYGOTE_WORKER;
  if (pid < 0 && job->fd_count > 0) refuse(job->fds[WIRE_FD_CONTROL], -pid);
  for (size_t i = 0; i < job->fd_count; i++) close(job->fds[i]);
  return role;
}

static uint64_t microseconds(struct timeval time) {
  return (uint64_t)time.tv_sec * 1000000u + (uint64_t)time.tv_usec;
}

/* One that exits sooner had a task, and was done with it before we were told. */
static bool left_unused(const struct child *child, int status, uint64_t now) {
  return WIFSIGNALED(status) || now >= child->forked_us + READY_TURN_SECONDS * UINT64_C(1000000);
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
  if (child->ready) {
    zygote->ready--;
    zygote->resting = zygote->options->of_state && left_unused(child, status, notice.exited_us);
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

static void stop(struct zygote *zygote, struct child *child) {
  if (child->cause == WIRE_CAUSE_NONE) child->cause = WIRE_CAUSE_CANCELLED;
  epoll_ctl(zygote->epoll, EPOLL_CTL_DEL, child->control, NULL);
  kill(child->pid, SIGKILL);
}

static void start(struct zygote *zygote, struct child *child, uint64_t timeout_us) {
  child->ready = false;
  child->deadline_us =
      brig__now_us() + timeout_us + (zygote->options->of_state ? WIRE_TURN_GRACE_US : 0);
  zygote->refill_at_us = brig__now_us() + REFILL_AFTER_US;
  zygote->ready--;
  zygote->resting = false;
}

static void let_go(struct zygote *zygote, struct child *child) {
  epoll_ctl(zygote->epoll, EPOLL_CTL_DEL, child->control, NULL);
  close(child->control);
  *child = zygote->children[--zygote->count];
  zygote->resting = zygote->options->of_state;
}

static void serve_control(struct zygote *zygote, pid_t pid) {
  struct child *child = find(zygote, pid);
  struct wire_word word;
  size_t none;
  if (child == NULL || child->control < 0) return;
  bool said = brig__wire_receive_now(child->control, &word, sizeof word, NULL, 0, &none) == 0 &&
              word.magic == WIRE_MAGIC;
  if (said && word.kind == WIRE_WORD_START && child->ready)
    start(zygote, child, word.timeout_us);
  else if (said && word.kind == WIRE_WORD_KEEP)
    let_go(zygote, child);
  else
    stop(zygote, child);
}

/* The channels of a ready worker; [0] the host's ends, [1] the worker's, but for
 * CONTROL, which is the zygote's. */
struct channels {
  int ends[2][WIRE_OFFER_FDS];
};

static int open_channels(struct channels *channels) {
  int rc = 0;
  for (int i = 0; i < WIRE_OFFER_FDS; i++) channels->ends[0][i] = channels->ends[1][i] = -1;
  for (int i = 0; i < WIRE_OFFER_FDS && rc == 0; i++) {
    int pair[2];
    bool socket = i == WIRE_OFFER_CONTROL || i == WIRE_OFFER_STATUS;
    rc = socket ? socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)
                : pipe2(pair, O_CLOEXEC);
    if (rc < 0) break;
    channels->ends[0][i] = pair[0];
    channels->ends[1][i] = pair[1];
  }
  if (rc == 0) return 0;
  rc = -errno;
  brig__wire_close_offer(channels->ends[0]);
  brig__wire_close_offer(channels->ends[1]);
  return rc;
}

static void offer(struct zygote *zygote, pid_t pid, const struct channels *channels) {
  struct wire_offer offer = {.magic = WIRE_MAGIC};
  struct child *child = find(zygote, pid);
  child->ready = true;
  zygote->ready++;
  if (brig__wire_send(zygote->options->socket, &offer, sizeof offer, channels->ends[0],
                      WIRE_OFFER_FDS, MSG_DONTWAIT) < 0)
    stop(zygote, child);
}

/* Fork workers ahead of demand; where that fails, demand will show it. */
static enum zygote_role refill(struct zygote *zygote) {
  bool busy = zygote->count > zygote->ready, of_state = zygote->options->of_state;
  if (zygote->resting || (busy && of_state)) return ZYGOTE_STAYS;
  if ((busy || of_state) && brig__now_us() < zygote->refill_at_us) return ZYGOTE_STAYS;
  while (zygote->ready < zygote->options->ready) {
    struct channels channels;
    if (open_channels(&channels) < 0) return ZYGOTE_STAYS;
    pid_t pid = fork_worker(zygote, channels.ends[1][WIRE_OFFER_CONTROL], UINT64_MAX);
    if (pid == 0) {
      struct zygote_job *job = zygote->job;
      for (int i = 0; i < WIRE_MAX_FDS; i++) job->fds[i] = -1;
      job->fds[WIRE_FD_STATUS] = channels.ends[1][WIRE_OFFER_STATUS];
      job->fds[WIRE_FD_STDOUT] = channels.ends[1][WIRE_OFFER_STDOUT];
      job->fds[WIRE_FD_STDERR] = channels.ends[1][WIRE_OFFER_STDERR];
      return ZYGOTE_READY;
    }
    if (pid > 0) offer(zygote, pid, &channels);
    if (pid > 0) channels.ends[1][WIRE_OFFER_CONTROL] = -1;
    brig__wire_close_offer(channels.ends[0]);
    brig__wire_close_offer(channels.ends[1]);
    if (pid < 0) return ZYGOTE_STAYS;
  }
  return ZYGOTE_STAYS;
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
  if (zygote->ready < zygote->options->ready && zygote->refill_at_us > now &&
      zygote->refill_at_us < next)
    next = zygote->refill_at_us;
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
  int rc = watch(zygote, zygote->options->socket, EPOLLIN | EPOLLRDHUP, ABOUT_HOST);
  if (rc == 0) rc = watch(zygote, zygote->signals, EPOLLIN, ABOUT_SIGNALS);
  return rc;
}

/* Reaping comes last: until then a pid in an event cannot be another's. */
static enum zygote_role serve_events(struct zygote *zygote, const struct epoll_event *events,
                                     int count) {
  enum zygote_role role = ZYGOTE_STAYS;
  bool signalled = false;
  for (int i = 0; i < count; i++) {
    if (events[i].data.u64 == ABOUT_HOST)
      role = serve_host(zygote);
    else if (events[i].data.u64 == ABOUT_SIGNALS)
      signalled = true;
    else
      serve_control(zygote, (pid_t)events[i].data.u64);
    if (role != ZYGOTE_STAYS) return role;
  }
  if (signalled) reap(zygote);
  return refill(zygote);
}

/* What was said of them before the host left still holds. */
static void end_workers(struct zygote *zygote) {
  for (size_t i = zygote->count; i-- > 0;) {
    pid_t pid = zygote->children[i].pid;
    serve_control(zygote, pid);
    if (find(zygote, pid) != NULL) kill(pid, SIGKILL);
  }
}

enum zygote_role brig__zygote_serve(const struct zygote_options *options,
                                    struct zygote_job *ret_job) {
  struct zygote zygote = {.options = options, .job = ret_job};
  struct epoll_event events[64];
  if (open_zygote(&zygote) < 0) return ZYGOTE_ENDED;
  zygote.refill_at_us = brig__now_us() + REFILL_AFTER_US;
  enum zygote_role role = refill(&zygote);
  while (role == ZYGOTE_STAYS) {
    int count = epoll_wait(zygote.epoll, events, 64, keep_deadlines(&zygote));
    if (count < 0 && errno != EINTR) role = ZYGOTE_ENDED;
    if (role == ZYGOTE_STAYS) role = serve_events(&zygote, events, count < 0 ? 0 : count);
  }
  if (role == ZYGOTE_ENDED) end_workers(&zygote);
  free(zygote.children);
  if (role == ZYGOTE_WARM) { /* it serves anew, as a template's */
    close(zygote.epoll);
    close(zygote.signals);
  }
  return role;
}
