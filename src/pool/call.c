#include "pool/call.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"

/* How long after its deadline a worker's end may take to be told, before the
 * zygote itself counts as lost. */
#define GRACE_US UINT64_C(10000000)

/* So many of 64 KiB: pipes of 1 MiB are the largest that anybody may have (pipe(7)). */
#define PIPE_READS 17

/* Where nobody wants output as it comes, nobody is woken for what a short program writes:
 * it is there when the worker has reported. One that fills a pipe waits so long. */
#define QUIET_US 4000

enum { CANCEL, CONTROL, STATUS, OUT, ERR, REPLY, WATCHED }; /* the first is the caller's */

struct exchange {
  const struct pool_call *call;
  struct pollfd watched[WATCHED]; /* fd -1: over, or never there */
  int theirs[WIRE_MAX_FDS];       /* what is sent; those we made are ours to close */
  struct pool_end end;
  uint64_t deadline_us;
  /* A turn of a session. */
  int state;        /* our end of its state's socket, or -1 */
  uint64_t stop_us; /* when its time is over */
  enum wire_cause stopped;
};

static void open_exchange(struct exchange *exchange, const struct pool_call *call) {
  *exchange = (struct exchange){.call = call, .state = -1, .stop_us = UINT64_MAX};
  exchange->end.state = -1;
  for (int i = 0; i < WATCHED; i++) exchange->watched[i] = (struct pollfd){-1, POLLIN, 0};
  for (size_t i = 0; i < WIRE_MAX_FDS; i++)
    exchange->theirs[i] = i >= WIRE_FD_STDIN && i < call->fd_count ? call->fds[i] : -1;
  exchange->watched[CANCEL].fd = call->cancel_fd;
}

static bool made_here(const struct exchange *exchange, size_t i) {
  return i < WIRE_FD_STDIN || exchange->call->fds[i] < 0;
}

static void close_theirs(struct exchange *exchange) {
  for (size_t i = 0; i < exchange->call->fd_count; i++) {
    if (made_here(exchange, i) && exchange->theirs[i] >= 0) close(exchange->theirs[i]);
    exchange->theirs[i] = -1;
  }
}

static void close_exchange(struct exchange *exchange) {
  close_theirs(exchange);
  for (int i = CONTROL; i < WATCHED; i++)
    if (exchange->watched[i].fd >= 0) close(exchange->watched[i].fd);
  if (exchange->state >= 0) close(exchange->state);
}

static int make_pipe(struct exchange *exchange, int watched, int theirs) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) < 0) return -errno;
  exchange->watched[watched].fd = ends[0];
  exchange->theirs[theirs] = ends[1];
  return fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

static int make_socket(int *ret_ours, int *ret_theirs) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) return -errno;
  *ret_ours = pair[0];
  *ret_theirs = pair[1];
  return 0;
}

/* A turn's, beside those that every worker has. */
static int make_turn_channels(struct exchange *exchange) {
  const struct wire_task *task = &exchange->call->task;
  int rc = 0;
  if (task->session) rc = make_pipe(exchange, REPLY, (int)WIRE_FD_REPLY(task));
  if (task->session && rc == 0)
    rc = make_socket(&exchange->state, &exchange->theirs[WIRE_FD_STATE(task)]);
  return rc;
}

static int make_program(struct exchange *exchange) {
  const struct pool_call *call = exchange->call;
  if (call->fd_count <= WIRE_FD_PROGRAM || call->fds[WIRE_FD_PROGRAM] >= 0) return 0;
  int fd = brig__sealed_memfd("brig-program", call->program, call->program_size);
  exchange->theirs[WIRE_FD_PROGRAM] = fd;
  return fd < 0 ? fd : 0;
}

static int make_channels(struct exchange *exchange) {
  const struct pool_call *call = exchange->call;
  int rc = make_socket(&exchange->watched[CONTROL].fd, &exchange->theirs[WIRE_FD_CONTROL]);
  if (rc == 0) rc = make_pipe(exchange, STATUS, WIRE_FD_STATUS);
  if (rc == 0) rc = make_program(exchange);
  if (rc == 0 && call->fds[WIRE_FD_STDOUT] < 0) rc = make_pipe(exchange, OUT, WIRE_FD_STDOUT);
  if (rc == 0 && call->fds[WIRE_FD_STDERR] < 0) rc = make_pipe(exchange, ERR, WIRE_FD_STDERR);
  return rc == 0 ? make_turn_channels(exchange) : rc;
}

/* The socket is shared by all callers; when it is full we wait, but for no longer
 * than the zygote may be silent. */
static int send_task(struct zygote_process *process, struct exchange *exchange) {
  const struct pool_call *call = exchange->call;
  uint64_t give_up_us = brig__now_us() + GRACE_US;
  for (;;) {
    int rc = brig__wire_send(process->socket, &call->task, sizeof call->task, exchange->theirs,
                             call->fd_count, MSG_DONTWAIT);
    if (rc != -EAGAIN && rc != -ETOOMANYREFS) return rc;
    if (brig__now_us() > give_up_us) return -ETIMEDOUT;
    struct pollfd room = {.fd = process->socket, .events = POLLOUT};
    poll(&room, 1, 10);
  }
}

/* Returns false at the end of the stream. */
static bool drain(struct exchange *exchange, int which) {
  char buffer[65536] __attribute__((uninitialized)); /* or all of it would be zeroed each time */
  ssize_t got = read(exchange->watched[which].fd, buffer, sizeof buffer);
  if (got < 0) return errno == EAGAIN || errno == EINTR;
  if (got > 0)
    exchange->call->output(exchange->call->context, which - OUT + POOL_STDOUT, buffer, (size_t)got);
  return got > 0;
}

static bool read_report(struct exchange *exchange) {
  struct wire_report report;
  ssize_t got = read(exchange->watched[STATUS].fd, &report, sizeof report);
  if (got < 0) return errno == EAGAIN || errno == EINTR;
  if (got == (ssize_t)sizeof report && report.magic == WIRE_MAGIC && !exchange->end.reported) {
    exchange->end.report = report;
    exchange->end.reported = true;
  }
  return got > 0;
}

static bool read_exit(struct exchange *exchange) {
  size_t none;
  int rc = brig__wire_receive(exchange->watched[CONTROL].fd, &exchange->end.exit,
                              sizeof exchange->end.exit, NULL, 0, &none);
  exchange->end.exited = rc == 0 && exchange->end.exit.magic == WIRE_MAGIC;
  return false;
}

/* The zygote kills the worker, and tells. */
static void stop(struct exchange *exchange, enum wire_cause why) {
  uint64_t soon = brig__now_us() + GRACE_US;
  shutdown(exchange->watched[CONTROL].fd, SHUT_WR);
  exchange->watched[CANCEL].fd = -1; /* the caller's */
  exchange->stop_us = UINT64_MAX;
  exchange->stopped = why;
  if (soon < exchange->deadline_us) exchange->deadline_us = soon;
}

static void serve(struct exchange *exchange, int which) {
  bool more = true;
  if (which == CONTROL) more = read_exit(exchange);
  if (which == STATUS) more = read_report(exchange);
  if (which == OUT || which == ERR || which == REPLY) more = drain(exchange, which);
  if (which == CANCEL) stop(exchange, WIRE_CAUSE_CANCELLED);
  if (more) return;
  close(exchange->watched[which].fd);
  exchange->watched[which].fd = -1;
}

static bool open_ends(const struct exchange *exchange) {
  for (int i = CONTROL; i < WATCHED; i++)
    if (exchange->watched[i].fd >= 0) return true;
  return false;
}

/* As far as has been heard. */
static bool alive(const struct exchange *exchange) {
  return exchange->watched[CONTROL].fd >= 0 && exchange->watched[STATUS].fd >= 0;
}

/* What a guest wrote before its worker reported is in the pipes by then. A state that is
 * more than a guest may go on writing: no more than a pipe can hold is read. */
static void drain_rest(struct exchange *exchange) {
  struct pollfd *ends = &exchange->watched[OUT];
  for (int reads = 0; reads < PIPE_READS && poll(ends, REPLY - OUT + 1, 0) > 0; reads++)
    for (int which = OUT; which <= REPLY; which++)
      if (exchange->watched[which].fd >= 0 && exchange->watched[which].revents != 0)
        serve(exchange, which);
}

/* Until the worker has reported, or is reaped, and its output is read. The answer
 * does not wait for the process to be gone: the zygote sees to that, once we let go
 * of CONTROL. Returns false when the zygote has been silent for too long. */
static bool attend(struct exchange *exchange) {
  const struct wire_task *task = &exchange->call->task;
  uint64_t quiet_us = exchange->call->stream ? 0 : brig__now_us() + QUIET_US;
  exchange->deadline_us = brig__now_us() + task->timeout_us + GRACE_US;
  if (task->session) exchange->stop_us = exchange->deadline_us - GRACE_US;
  while (open_ends(exchange) && !exchange->end.reported) {
    uint64_t now = brig__now_us();
    if (now >= exchange->stop_us) stop(exchange, WIRE_CAUSE_DEADLINE);
    if (now >= exchange->deadline_us) return false;
    uint64_t next_us =
        exchange->stop_us < exchange->deadline_us ? exchange->stop_us : exchange->deadline_us;
    bool quiet = now < quiet_us && alive(exchange);
    int watched = quiet ? OUT : WATCHED;
    if (quiet && quiet_us < next_us) next_us = quiet_us;
    uint64_t left_ms = (next_us - now) / 1000 + 1;
    int ready = poll(exchange->watched, (nfds_t)watched, left_ms > 60000 ? 60000 : (int)left_ms);
    for (int i = 0; i < watched && ready > 0; i++)
      if (exchange->watched[i].fd >= 0 && exchange->watched[i].revents != 0) serve(exchange, i);
  }
  drain_rest(exchange);
  return true;
}

/* A turn that has parked is the session's state, unless we have told the zygote to
 * kill it: then that holds, whatever it said meanwhile. */
static void settle(struct exchange *exchange) {
  struct pool_end *end = &exchange->end;
  struct wire_word keep = {.magic = WIRE_MAGIC, .kind = WIRE_WORD_KEEP};
  if (exchange->stopped != WIRE_CAUSE_NONE && exchange->call->task.session) {
    end->reported = false;
    end->exited = true;
    end->exit.cause = exchange->stopped;
    end->exit.wait_status = SIGKILL;
  } else if (end->reported && end->report.kind == WIRE_PARKED && exchange->state >= 0) {
    if (brig__wire_send(exchange->watched[CONTROL].fd, &keep, sizeof keep, NULL, 0,
                        MSG_DONTWAIT) == 0)
      end->state = STEAL_FD(exchange->state);
  }
}

static int finish(struct exchange *exchange, bool attended, enum call_state *ret_state,
                  struct pool_end *ret_end, struct brig_error *err) {
  bool answered = exchange->end.exited || exchange->end.reported;
  *ret_state = attended && answered ? CALL_ANSWERED : CALL_LOST;
  if (!attended)
    return brig__fail(err, BRIG_E_LOST, "run", "the zygote stopped answering and was ended");
  if (!answered)
    return brig__fail(err, BRIG_E_LOST, "run",
                      "the zygote died during the execution; the next "
                      "one gets a new zygote");
  exchange->end.ended_us = brig__now_us();
  int fork_errno = exchange->end.exit.fork_errno;
  if (fork_errno == EPROTO)
    return brig__fail(err, BRIG_E_SYSTEM, "run", "the zygote did not understand the task");
  if (fork_errno != 0) {
    brig__fail_errno(err, fork_errno, "run", "no worker could be forked");
    if (err != NULL) err->code = BRIG_E_BUSY;
    return BRIG_E_BUSY;
  }
  *ret_end = exchange->end;
  return 0;
}

/* A worker that was forked ahead of demand, if there is one. */
static bool receive_offer(struct zygote_process *process, int ret_fds[WIRE_OFFER_FDS]) {
  struct wire_offer offer;
  int fds[WIRE_OFFER_FDS];
  size_t count = 0;
  if (brig__wire_receive_now(process->socket, &offer, sizeof offer, fds, WIRE_OFFER_FDS, &count) <
      0)
    return false;
  for (size_t i = 0; i < WIRE_OFFER_FDS; i++) ret_fds[i] = i < count ? fds[i] : -1;
  if (count < WIRE_OFFER_FDS) brig__wire_close_offer(ret_fds);
  return count == WIRE_OFFER_FDS;
}

void brig__call_expect(struct zygote_process *process) {
  struct wire_task task = {.magic = WIRE_MAGIC, .operation = WIRE_EXPECT};
  pthread_mutex_lock(&process->lock);
  int *fds = process->expecting;
  /* Those that died meanwhile are passed over. */
  while (fds[0] < 0 && receive_offer(process, fds))
    if (brig__wire_send(fds[WIRE_OFFER_STATUS], &task, sizeof task, NULL, 0, MSG_DONTWAIT) < 0)
      brig__wire_close_offer(fds);
  pthread_mutex_unlock(&process->lock);
}

/* The one that expects a call, or else another. */
static bool take_offer(struct zygote_process *process, struct exchange *exchange) {
  int fds[WIRE_OFFER_FDS];
  pthread_mutex_lock(&process->lock);
  for (int i = 0; i < WIRE_OFFER_FDS; i++) fds[i] = STEAL_FD(process->expecting[i]);
  pthread_mutex_unlock(&process->lock);
  if (fds[0] < 0 && !receive_offer(process, fds)) return false;
  static const int places[] = {[WIRE_OFFER_CONTROL] = CONTROL,
                               [WIRE_OFFER_STATUS] = STATUS,
                               [WIRE_OFFER_STDOUT] = OUT,
                               [WIRE_OFFER_STDERR] = ERR};
  for (size_t i = 0; i < WIRE_OFFER_FDS; i++) exchange->watched[places[i]].fd = fds[i];
  return true;
}

/* A short program goes with its task: a file for it takes longer than it runs. */
static int send_order(struct exchange *exchange) {
  const struct pool_call *call = exchange->call;
  struct wire_order order __attribute__((uninitialized)); /* most of it is not sent */
  int fds[WIRE_MAX_FDS] = {exchange->theirs[WIRE_FD_STDIN]};
  size_t count = 1;
  order.task = call->task;
  if (call->fds[WIRE_FD_PROGRAM] < 0 && call->program_size <= sizeof order.program) {
    memcpy(order.program, call->program, call->program_size);
    order.task.program_size = (uint32_t)call->program_size;
  } else {
    int rc = make_program(exchange);
    if (rc < 0) return rc;
    fds[count++] = exchange->theirs[WIRE_FD_PROGRAM];
  }
  for (size_t i = WIRE_FD_MOUNTS; i < call->fd_count; i++)
    fds[count++] = exchange->theirs[i];
  return brig__wire_send_order(exchange->watched[STATUS].fd, &order, fds, count, MSG_DONTWAIT);
}

static bool give_task(struct exchange *exchange) {
  struct wire_word start = {.magic = WIRE_MAGIC,
                            .kind = WIRE_WORD_START,
                            .timeout_us = exchange->call->task.timeout_us};
  if (make_turn_channels(exchange) < 0) return false;
  int rc = send_order(exchange);
  close_theirs(exchange);
  if (rc < 0) return false;
  /* The zygote is told next, so that it does not run first. From here on the task is
   * given, though the worker may be done with it, and gone, before the zygote hears. */
  brig__wire_send(exchange->watched[CONTROL].fd, &start, sizeof start, NULL, 0, MSG_DONTWAIT);
  return true;
}

/* Ready workers that died meanwhile are passed over. */
static bool start_ready(struct zygote_process *process, struct exchange *exchange) {
  while (take_offer(process, exchange)) {
    if (give_task(exchange)) return true;
    close_exchange(exchange);
    open_exchange(exchange, exchange->call);
  }
  return false;
}

static int start_forked(struct zygote_process *process, struct exchange *exchange,
                        enum call_state *ret_state, struct brig_error *err) {
  int rc = make_channels(exchange);
  if (rc < 0) return brig__fail_errno(err, -rc, "run", "pipes for the guest");
  rc = send_task(process, exchange);
  if (rc < 0) {
    *ret_state = rc == -EPIPE || rc == -ECONNRESET || rc == -ENOTCONN ? CALL_NOT_SENT : CALL_LOST;
    if (*ret_state == CALL_LOST) brig__zygote_process_kill(process);
    return brig__fail_errno(err, -rc, "run", "the zygote takes no task");
  }
  close_theirs(exchange);
  return 0;
}

int brig__call_run(struct zygote_process *process, const struct pool_call *call,
                   enum call_state *ret_state, struct pool_end *ret_end, struct brig_error *err) {
  struct exchange exchange;
  int rc = 0;
  open_exchange(&exchange, call);
  uint64_t sent_us = brig__now_us();
  *ret_state = CALL_ANSWERED;
  bool ready = call->task.operation == WIRE_RESUME && start_ready(process, &exchange);
  if (!ready) rc = start_forked(process, &exchange, ret_state, err);
  if (rc == 0) {
    exchange.end.ready = ready;
    exchange.end.sent_us = sent_us;
    bool attended = attend(&exchange);
    if (!attended)
      brig__zygote_process_kill(process);
    else
      settle(&exchange);
    rc = finish(&exchange, attended, ret_state, ret_end, err);
  }
  close_exchange(&exchange);
  return rc;
}
