/* rpc/reflection.h - grpc.reflection.v1 and v1alpha: a client asks what a server can do. */
#ifndef BRIG_RPC_REFLECTION_H
#define BRIG_RPC_REFLECTION_H

#include "rpc/rpc.h"

/* What a server adds to its methods: it tells of all of them, by the descriptors of proto/. */
#define RPC_REFLECTION_METHODS 2
extern const struct rpc_method brig__rpc_reflection_methods[RPC_REFLECTION_METHODS];

#endif
