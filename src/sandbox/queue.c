#include "sandbox/queue.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"

enum fate { WAITS, ITS_TURN, TURNED_AWAY };

struct waiter { /* on its own thread's stack */
  struct waiter *next;
  enum fate fate;
  int event; /* an eventfd: written once its fate is known */
};

struct line {
  struct line *next;
  struct waiter *first;
  uint64_t count;
  char tenant[];
};

struct queue {
  struct queue_policy policy;
  pthread_mutex_t lock; /* of all below, and of the waiters */
  uint64_t working, waiting;
  struct line *lines; /* none is empty; the one whose turn is next comes first */
};

int brig__queue_open(const struct queue_policy *policy, struct queue **ret_queue,
                     struct brig_error *err) {
  struct queue *queue = calloc(1, sizeof *queue);
  if (queue == NULL) return brig__fail(err, BRIG_E_MEMORY, "start", "out of memory");
  queue->policy = *policy;
  pthread_mutex_init(&queue->lock, NULL);
  *ret_queue = queue;
  return 0;
}

void brig__queue_close(struct queue *queue) {
  if (queue == NULL) return;
  pthread_mutex_destroy(&queue->lock);
  free(queue);
}

static struct line **find_line(struct queue *queue, const char *tenant) {
  struct line **at = &queue->lines;
  while (*at != NULL && strcmp((*at)->tenant, tenant) != 0) at = &(*at)->next;
  return at;
}

static void decide(struct queue *queue, struct line *line, struct waiter **at, enum fate fate) {
  struct waiter *waiter = *at;
  *at = waiter->next;
  line->count--;
  queue->waiting--;
  waiter->fate = fate;
  eventfd_write(waiter->event, 1);
}

static void drop_if_empty(struct line **at) {
  struct line *line = *at;
  if (line->first != NULL) return;
  *at = line->next;
  free(line);
}

static void move_to_end(struct line **at) {
  struct line *line = *at, **end = at;
  while (*end != NULL) end = &(*end)->next;
  if (end == &line->next) return;
  *end = line;
  *at = line->next;
  line->next = NULL;
}

/* Room for one of a line of `count`: the last of a longer line loses its place. */
static bool make_room(struct queue *queue, uint64_t count) {
  struct line **longest = &queue->lines;
  if (queue->waiting < queue->policy.waiting) return true;
  for (struct line **at = longest; *at != NULL; at = &(*at)->next)
    if ((*at)->count > (*longest)->count) longest = at;
  if (*longest == NULL || (*longest)->count <= count + 1) return false;
  struct waiter **last = &(*longest)->first;
  while ((*last)->next != NULL) last = &(*last)->next;
  decide(queue, *longest, last, TURNED_AWAY);
  return true;
}

static bool join(struct queue *queue, const char *tenant, struct waiter *waiter) {
  struct line **line = find_line(queue, tenant);
  if (!make_room(queue, *line == NULL ? 0 : (*line)->count)) return false;
  if (*line == NULL) {
    struct line *made = calloc(1, sizeof *made + strlen(tenant) + 1);
    if (made == NULL) return false;
    memcpy(made->tenant, tenant, strlen(tenant) + 1);
    *line = made;
  }
  struct waiter **end = &(*line)->first;
  while (*end != NULL) end = &(*end)->next;
  *end = waiter;
  (*line)->count++;
  queue->waiting++;
  return true;
}

static void give_up(struct queue *queue, const char *tenant, struct waiter *waiter) {
  struct line **line = find_line(queue, tenant);
  struct waiter **at = &(*line)->first;
  while (*at != waiter) at = &(*at)->next;
  decide(queue, *line, at, TURNED_AWAY);
  drop_if_empty(line);
}

/* Returns whether it was cancelled. */
static bool wait_for_fate(const struct queue *queue, const struct waiter *waiter, int cancel_fd) {
  struct pollfd either[] = {{waiter->event, POLLIN, 0}, {cancel_fd, POLLIN, 0}};
  uint64_t now, end_us = brig__now_us() + queue->policy.timeout_ms * 1000;
  while ((now = brig__now_us()) < end_us) {
    int ready = poll(either, 2, (int)((end_us - now) / 1000 + 1));
    if (ready > 0) return either[0].revents == 0;
    if (ready < 0 && errno != EINTR) break;
  }
  return false;
}

static int busy(struct brig_error *err, const struct queue *queue, bool waited) {
  const struct queue_policy *policy = &queue->policy;
  unsigned long long working = policy->working;
  if (waited)
    return brig__fail(err, BRIG_E_BUSY, "queue",
                      "busy: %llu %s and no turn came in %g s (pool.queue_timeout_secs); try again "
                      "later",
                      working, policy->at_work, (double)policy->timeout_ms / 1000);
  return brig__fail(err, BRIG_E_BUSY, "queue",
                    "busy: %llu %s and as many wait as may (%s); try again later", working,
                    policy->at_work, policy->waiting_key);
}

/* With the lock, which is let go of meanwhile. */
static int wait_in_line(struct queue *queue, const char *tenant, int cancel_fd,
                        struct brig_error *err) {
  CLEANUP_FD int event = eventfd(0, EFD_CLOEXEC);
  struct waiter waiter = {.event = event};
  if (event < 0) return brig__fail_errno(err, errno, "queue", "an event descriptor");
  if (!join(queue, tenant, &waiter)) return busy(err, queue, false);
  pthread_mutex_unlock(&queue->lock);
  bool cancelled = wait_for_fate(queue, &waiter, cancel_fd);
  pthread_mutex_lock(&queue->lock);
  if (waiter.fate == ITS_TURN) return 0; /* cancelled or not: the turn is ours to give back */
  if (waiter.fate == TURNED_AWAY) return busy(err, queue, false);
  give_up(queue, tenant, &waiter);
  return cancelled ? BRIG__CANCELLED : busy(err, queue, true);
}

int brig__queue_enter(struct queue *queue, const char *tenant, int cancel_fd,
                      struct brig_error *err) {
  int rc = 0;
  pthread_mutex_lock(&queue->lock);
  if (queue->working < queue->policy.working)
    queue->working++;
  else
    rc = wait_in_line(queue, tenant == NULL ? "" : tenant, cancel_fd, err);
  pthread_mutex_unlock(&queue->lock);
  return rc;
}

/* One's turn goes to the next who waits: nobody overtakes. */
void brig__queue_leave(struct queue *queue) {
  pthread_mutex_lock(&queue->lock);
  struct line **line = &queue->lines;
  if (*line == NULL) {
    queue->working--;
  } else {
    decide(queue, *line, &(*line)->first, ITS_TURN);
    if ((*line)->first == NULL)
      drop_if_empty(line);
    else
      move_to_end(line);
  }
  pthread_mutex_unlock(&queue->lock);
}

static uint64_t read_locked(struct queue *queue, const uint64_t *count) {
  pthread_mutex_lock(&queue->lock);
  uint64_t value = *count;
  pthread_mutex_unlock(&queue->lock);
  return value;
}

uint64_t brig__queue_working(struct queue *queue) { return read_locked(queue, &queue->working); }

uint64_t brig__queue_waiting(struct queue *queue) { return read_locked(queue, &queue->waiting); }
