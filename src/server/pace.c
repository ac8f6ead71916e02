#include "server/pace.h"

#define UNSENT_MAX ((uint64_t)1 << 20)

/* The transport does not tell when it has sent: it is asked. */
static const struct timeval unsent_wait = {.tv_usec = 20000};

int brig__pace(struct event **timer, struct event_base *base, const struct rpc_call *call,
               event_callback_fn again, void *context) {
  if (brig__rpc_unsent(call) < UNSENT_MAX) return 1;
  if (*timer == NULL) *timer = evtimer_new(base, again, context);
  return *timer != NULL && event_add(*timer, &unsent_wait) == 0 ? 0 : -1;
}
