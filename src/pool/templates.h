/* pool/templates.h - which templates there are, and their zygotes. Runs in the
 * host, any thread; a thread of its own starts zygotes, so that no request waits
 * for one.
 *
 *   1. brig__templates_open()
 *   2. brig__templates_find()    each request asks, by all that its guest could
 *                                see before it asks for input
 *   3. brig__templates_offer()   one that found none says what it was
 *   4. brig__templates_done()    how the call went
 *
 * A template is made when its key has been seen often enough, or at once by
 * brig__templates_warm(). One whose start fails is refused for good, with the
 * reason. Zygotes leave, least recently used first, when they have more memory
 * than they may; each is replaced after so many forks.
 */
#ifndef BRIG_POOL_TEMPLATES_H
#define BRIG_POOL_TEMPLATES_H

#include "base/digest.h"
#include "pool/call.h"

struct templates;

struct template_policy {
  uint64_t seen;         /* requests of a kind before it gets a template; 0: never */
  uint32_t ready;        /* workers forked ahead of demand */
  uint64_t memory_bytes; /* for all zygotes */
  uint64_t forks_per_zygote;
  uint64_t timeout_us; /* for a template's start */
};

int brig__templates_open(const struct pool_options *options, const struct template_policy *policy,
                         struct templates **ret_templates, struct brig_error *err);
void brig__templates_close(struct templates *templates);

/* A zygote that is warm for this key, with a reference for the caller; or NULL.
 * Counts the request. */
struct zygote_process *brig__templates_find(struct templates *templates,
                                            const struct brig_digest *key);

/* Has it been seen often enough, and is it worth saying what it is? */
bool brig__templates_wanted(struct templates *templates, const struct brig_digest *key);

/* What such a request is: a WIRE_WARM task with its descriptors, which are
 * duplicated. Starts a zygote in the background if it has been seen often enough. */
void brig__templates_offer(struct templates *templates, const struct brig_digest *key,
                           const struct wire_task *warm, const int *fds, size_t fd_count);

/* Start a zygote now, and wait for it: the task's number of ready workers, or the
 * policy's if that is 0; `named`: keep it, whatever memory there is. A negative code,
 * and the reason, if it is refused. */
int brig__templates_warm(struct templates *templates, const struct brig_digest *key, bool named,
                         const struct wire_task *warm, const int *fds, size_t fd_count,
                         struct brig_error *err);

/* How many have a zygote now. */
uint64_t brig__templates_warm_count(struct templates *templates);
/* How many of their zygotes have died unasked. */
uint64_t brig__templates_died(struct templates *templates);

/* Give back what brig__templates_find() gave; `state` as brig__call_run() said. */
void brig__templates_done(struct templates *templates, const struct brig_digest *key,
                          struct zygote_process *process, enum call_state state);

#endif
