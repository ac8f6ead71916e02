/* server/pace.h - a client that reads slowly is sent no more than 1 MiB ahead of itself. */
#ifndef BRIG_SERVER_PACE_H
#define BRIG_SERVER_PACE_H

#include <event2/event.h>
#include "rpc/rpc.h"

/* The most that is sent at once. */
#define PACE_PIECE ((size_t)256 << 10)

/* 1: send it more. 0: not yet; `again` is called with `context` when there may be room. -1: out
 * of memory. `timer` is NULL at first, and its owner's to free. */
int brig__pace(struct event **timer, struct event_base *base, const struct rpc_call *call,
               event_callback_fn again, void *context);

#endif
