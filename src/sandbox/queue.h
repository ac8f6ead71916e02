/* sandbox/queue.h - how many are at work at once, and who is next: of a sandbox's
 * requests, and of a session's turns. Any thread.
 *
 * Beyond the cap requests wait: each tenant in a line of its own, first come first
 * served, and the lines take turns, so that one that asks for much does not keep out
 * one that asks for little. When all places to wait are taken, a newcomer takes the
 * last one of the longest line; whoever has no place is told that Brig is busy.
 */
#ifndef BRIG_SANDBOX_QUEUE_H
#define BRIG_SANDBOX_QUEUE_H

#include <brig/error.h>
#include <stdint.h>

struct queue;

struct queue_policy {
  uint64_t working;    /* requests at work at once */
  uint64_t waiting;    /* and those that wait, of all tenants */
  uint64_t timeout_ms; /* how long one waits */
  /* For its errors, constant: such as "requests are at work (pool.max_workers)", and
   * the key of `waiting`. That of `timeout_ms` is pool.queue_timeout_secs. */
  const char *at_work, *waiting_key;
};

int brig__queue_open(const struct queue_policy *policy, struct queue **ret_queue,
                     struct brig_error *err);
/* Nobody may be in it. Accepts NULL. */
void brig__queue_close(struct queue *queue);

/* Wait for one's turn. 0, and brig__queue_leave() is owed; BRIG__CANCELLED, once
 * `cancel_fd` (or -1) is readable; or BRIG_E_BUSY. NULL is a tenant too. */
int brig__queue_enter(struct queue *queue, const char *tenant, int cancel_fd,
                      struct brig_error *err);
void brig__queue_leave(struct queue *queue);

/* How many are at work, and wait, now. */
uint64_t brig__queue_working(struct queue *queue);
uint64_t brig__queue_waiting(struct queue *queue);

#endif
