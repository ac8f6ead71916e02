/* poll_oneoff: sleeps in the kernel, so that waiting costs nothing. */
#include <errno.h>
#include <poll.h>
#include "wasi/clock.h"
#include "wasi/context.h"

/* More than any descriptor table has room for. */
#define SUBSCRIPTIONS_MAX 1024

struct waiting {
  uint32_t count;
  struct wasi_subscription subscriptions[SUBSCRIPTIONS_MAX];
  wasi_errno errors[SUBSCRIPTIONS_MAX];  /* known before any waiting */
  uint64_t deadlines[SUBSCRIPTIONS_MAX]; /* CLOCK_MONOTONIC, for clocks */
  struct pollfd fds[SUBSCRIPTIONS_MAX];  /* fd -1: not a stream */
  bool ready[SUBSCRIPTIONS_MAX];         /* a file: always */
  bool at_once;
  uint64_t next_deadline;
};

static uint64_t now_of(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return brig__wasi_nanoseconds(&now);
}

static uint64_t add(uint64_t a, uint64_t b) {
  uint64_t sum;
  return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

static wasi_errno plan_clock(struct waiting *waiting, uint32_t i) {
  const struct wasi_subscription *subscription = &waiting->subscriptions[i];
  clockid_t clock;
  uint64_t wait = subscription->clock.timeout;
  if (subscription->clock.id > WASI_CLOCK_MONOTONIC) return WASI_ENOTSUP;
  TRY(brig__wasi_clock(subscription->clock.id, &clock));
  if (subscription->clock.flags & WASI_SUBCLOCK_ABSTIME) {
    uint64_t now = now_of(clock);
    wait = wait > now ? wait - now : 0;
  }
  waiting->deadlines[i] = add(now_of(CLOCK_MONOTONIC), wait);
  if (waiting->deadlines[i] < waiting->next_deadline)
    waiting->next_deadline = waiting->deadlines[i];
  return WASI_ESUCCESS;
}

static wasi_errno plan_fd(struct wasi *wasi, struct waiting *waiting, uint32_t i) {
  const struct wasi_subscription *subscription = &waiting->subscriptions[i];
  bool reads = subscription->tag == WASI_EVENT_FD_READ;
  wasi_rights rights =
      WASI_RIGHT_POLL_FD_READWRITE | (reads ? WASI_RIGHT_FD_READ : WASI_RIGHT_FD_WRITE);
  struct fd_entry *entry;
  TRY(brig__fd_get(&wasi->fds, subscription->fd.fd, 0, &entry));
  if (entry->kind == FD_DIRECTORY) return WASI_EBADF;
  TRY(brig__fd_get(&wasi->fds, subscription->fd.fd, rights, &entry));
  bool program = reads && brig__wasi_gives_program(wasi, entry);
  if (entry->kind == FD_STREAM && !program)
    waiting->fds[i] = (struct pollfd){entry->host, reads ? POLLIN : POLLOUT, 0};
  else
    waiting->ready[i] = true;
  return WASI_ESUCCESS;
}

static bool asks_for_input(struct wasi *wasi, const struct waiting *waiting) {
  struct fd_entry *entry;
  for (uint32_t i = 0; wasi->parks && i < waiting->count; i++)
    if (waiting->subscriptions[i].tag == WASI_EVENT_FD_READ &&
        brig__fd_get(&wasi->fds, waiting->subscriptions[i].fd.fd, 0, &entry) == WASI_ESUCCESS &&
        brig__wasi_must_park(wasi, entry))
      return true;
  return false;
}

static void plan(struct wasi *wasi, struct waiting *waiting) {
  waiting->at_once = false;
  waiting->next_deadline = UINT64_MAX;
  for (uint32_t i = 0; i < waiting->count; i++) {
    uint8_t tag = waiting->subscriptions[i].tag;
    waiting->fds[i] = (struct pollfd){-1, 0, 0};
    waiting->ready[i] = false;
    if (tag == WASI_EVENT_CLOCK)
      waiting->errors[i] = plan_clock(waiting, i);
    else
      waiting->errors[i] = tag > WASI_EVENT_FD_WRITE ? WASI_EINVAL : plan_fd(wasi, waiting, i);
    if (waiting->errors[i] != WASI_ESUCCESS || waiting->ready[i]) waiting->at_once = true;
  }
}

static wasi_errno sleep_until_ready(struct waiting *waiting) {
  struct timespec timeout = {0, 0};
  bool forever = !waiting->at_once && waiting->next_deadline == UINT64_MAX;
  if (!waiting->at_once && !forever) {
    uint64_t now = now_of(CLOCK_MONOTONIC);
    uint64_t left = waiting->next_deadline > now ? waiting->next_deadline - now : 0;
    timeout = (struct timespec){(time_t)(left / 1000000000u), (long)(left % 1000000000u)};
  }
  if (ppoll(waiting->fds, waiting->count, forever ? NULL : &timeout, NULL) < 0 && errno != EINTR)
    return brig__wasi_errno(errno);
  return WASI_ESUCCESS;
}

/* How much can be read is not asked: the jail has no ioctl. At least 1 is true,
 * and at a hangup 0. */
static bool make_event(const struct waiting *waiting, uint32_t i, uint64_t now,
                       struct wasi_event *ret_event) {
  const struct wasi_subscription *subscription = &waiting->subscriptions[i];
  short revents = waiting->fds[i].fd >= 0 ? waiting->fds[i].revents : 0;
  *ret_event = (struct wasi_event){.userdata = subscription->userdata,
                                   .error = (uint16_t)waiting->errors[i],
                                   .type = subscription->tag};
  if (waiting->errors[i] != WASI_ESUCCESS) return true;
  if (subscription->tag == WASI_EVENT_CLOCK) return waiting->deadlines[i] <= now;
  bool hangup = (revents & (POLLHUP | POLLERR)) != 0 && (revents & (POLLIN | POLLOUT)) == 0;
  ret_event->nbytes = hangup ? 0 : 1;
  ret_event->flags = hangup ? WASI_EVENTRW_HANGUP : 0;
  return waiting->ready[i] || revents != 0;
}

static wasi_errno store_events(const struct wasi_view *view, const struct waiting *waiting,
                               uint32_t out, uint32_t *ret_stored) {
  uint64_t now = now_of(CLOCK_MONOTONIC);
  uint32_t stored = 0;
  for (uint32_t i = 0; i < waiting->count; i++) {
    struct wasi_event event;
    if (!make_event(waiting, i, now, &event)) continue;
    TRY(brig__mem_store(view, out + stored * (uint32_t)sizeof event, &event, sizeof event));
    stored++;
  }
  *ret_stored = stored;
  return WASI_ESUCCESS;
}

uint32_t brig__wasi_poll_oneoff(struct wasi *wasi, const struct wasi_view *view, uint32_t in,
                                uint32_t out, uint32_t count, uint32_t ret) {
  struct waiting waiting; /* only as much of it is touched as there are subscriptions */
  uint32_t stored = 0;
  if (count == 0 || count > SUBSCRIPTIONS_MAX) return WASI_EINVAL;
  if (brig__mem_range(view, out, count * sizeof(struct wasi_event)) == NULL ||
      brig__mem_range(view, ret, sizeof stored) == NULL)
    return WASI_EFAULT;
  TRY(brig__mem_load(view, in, waiting.subscriptions, count * sizeof(struct wasi_subscription)));
  waiting.count = count;
  if (asks_for_input(wasi, &waiting)) return WASI_PARKED;
  plan(wasi, &waiting);
  while (stored == 0) {
    TRY(sleep_until_ready(&waiting));
    TRY(store_events(view, &waiting, out, &stored));
  }
  return brig__mem_store_u32(view, ret, stored);
}
