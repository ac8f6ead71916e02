/* rpc/errors.h - Brig's errors as statuses of gRPC's, and back: for services whose client is
 * Brig itself. */
#ifndef BRIG_RPC_ERRORS_H
#define BRIG_RPC_ERRORS_H

#include "rpc/rpc.h"

/* Of an enum brig_error_code; RPC_INTERNAL for those that are none of a client's concern. */
enum rpc_status brig__rpc_status_of(int code);
/* Of a status that is not RPC_OK. */
int brig__rpc_error_of(enum rpc_status status);

#endif
