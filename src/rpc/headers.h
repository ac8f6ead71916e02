/* rpc/headers.h - what gRPC writes into HTTP's headers, read and written. Pure functions. */
#ifndef BRIG_RPC_HEADERS_H
#define BRIG_RPC_HEADERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* "application/grpc", with "+proto" and parameters or without. */
bool brig__rpc_is_grpc(const char *content_type, size_t size);

/* A grpc-timeout, "1500m", in microseconds, rounded up. 0 or -EINVAL. */
int brig__rpc_timeout(const char *text, size_t size, uint64_t *ret_us);

/* Whether a :path is that of a method: "/SERVICE/NAME". */
bool brig__rpc_path_is(const char *path, size_t size, const char *service, const char *name);

/* A grpc-message, percent-encoded: fresh memory, or NULL. What is very long is cut, since
 * clients take 8 KiB of headers. */
char *brig__rpc_percent_encode(const char *message);
/* The reverse: into `ret_text`, which has room for `room` bytes, a last 0 byte among them. What
 * does not fit is cut; a % without two digits stays, a 0 byte becomes '?'. */
void brig__rpc_percent_decode(const char *message, size_t size, char *ret_text, size_t room);

#endif
