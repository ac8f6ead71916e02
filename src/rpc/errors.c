#include "rpc/errors.h"

#include <stddef.h>

/* The first row of a code, or of a status, counts. */
static const struct {
  int code;
  enum rpc_status status;
} rows[] = {
    {BRIG_E_INVALID, RPC_INVALID_ARGUMENT},
    {BRIG_E_NOT_FOUND, RPC_NOT_FOUND},
    {BRIG_E_BUSY, RPC_RESOURCE_EXHAUSTED},
    {BRIG_E_LOST, RPC_ABORTED},
    {BRIG_E_LIMIT, RPC_OUT_OF_RANGE},
    {BRIG_E_PERMISSION, RPC_PERMISSION_DENIED},
    {BRIG_E_INTEGRITY, RPC_DATA_LOSS},
    {BRIG_E_TOO_LARGE, RPC_OUT_OF_RANGE},
    {BRIG_E_MODULE, RPC_FAILED_PRECONDITION},
    {BRIG_E_COMPILE, RPC_FAILED_PRECONDITION},
    {BRIG_E_MEMORY, RPC_RESOURCE_EXHAUSTED},
    {BRIG_E_PERMISSION, RPC_UNAUTHENTICATED},
    {BRIG_E_BUSY, RPC_UNAVAILABLE},
    {BRIG_E_BUSY, RPC_DEADLINE_EXCEEDED},
};
#define ROWS (sizeof rows / sizeof *rows)

enum rpc_status brig__rpc_status_of(int code) {
  for (size_t i = 0; i < ROWS; i++)
    if (rows[i].code == code) return rows[i].status;
  return RPC_INTERNAL;
}

int brig__rpc_error_of(enum rpc_status status) {
  for (size_t i = 0; i < ROWS; i++)
    if (rows[i].status == status) return rows[i].code;
  return BRIG_E_SYSTEM;
}
