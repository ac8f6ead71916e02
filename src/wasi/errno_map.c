#include <errno.h>
#include "wasi/preview1.h"

wasi_errno brig__wasi_errno(int host_errno) {
  static const struct {
    wasi_errno guest;
    int host;
  } map[] = {
#define X(name, value, host) {WASI_E##name, host},
      WASI_ERRNO_LIST(X)
#undef X
  };
  for (size_t i = 0; i < sizeof map / sizeof *map; i++)
    if (map[i].host == host_errno) return map[i].guest;
  return WASI_EIO;
}
