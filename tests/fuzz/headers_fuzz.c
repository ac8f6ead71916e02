/* Headers of any bytes, in memory without room around it. */
#include <stdlib.h>
#include <string.h>
#include "base/fd.h"
#include "rpc/headers.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_message(const char *text) {
  CLEANUP_FREE char *encoded = brig__rpc_percent_encode(text);
  if (encoded == NULL || strlen(encoded) > 6000) abort();
  for (const char *at = encoded; *at != '\0'; at++)
    if (*at < ' ' || *at > '~') abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const char *bytes = (const char *)data;
  uint64_t timeout_us;
  CLEANUP_FREE char *text = strndup(bytes, size);
  if (brig__rpc_timeout(bytes, size, &timeout_us) == 0 && (size < 2 || size > 9)) abort();
  if (brig__rpc_path_is(bytes, size, "a.B", "C") && (size != 6 || memcmp(bytes, "/a.B/C", 6) != 0))
    abort();
  if (brig__rpc_is_grpc(bytes, size) && size < 16) abort();
  check_message(text);
  return 0;
}
