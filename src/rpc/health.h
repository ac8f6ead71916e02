/* rpc/health.h - grpc.health.v1: whether services are to be sent calls. On the loop's thread. */
#ifndef BRIG_RPC_HEALTH_H
#define BRIG_RPC_HEALTH_H

#include "rpc/rpc.h"

struct rpc_health;

/* Knows no service. NULL without memory. */
struct rpc_health *brig__rpc_health_new(void);
/* After brig__rpc_close(). Accepts NULL. */
void brig__rpc_health_free(struct rpc_health *health);

/* What a server adds to its methods. */
#define RPC_HEALTH_METHODS 2
void brig__rpc_health_methods(struct rpc_health *health,
                              struct rpc_method ret_methods[RPC_HEALTH_METHODS]);

/* "" is the server as a whole. Those who watch it are told. 0 or -ENOMEM. */
int brig__rpc_health_set(struct rpc_health *health, const char *service, bool serving);
/* None serves any more, whatever is set later; those who watch are told, and their calls end,
 * which a drain would wait for. */
void brig__rpc_health_shut_down(struct rpc_health *health);

#endif
