#include "wasi/path.h"

#include <fcntl.h>

int brig__path_locate(const struct fd_entry *directory, const char *path, bool follow) {
  return brig__path_open(directory, path, O_PATH | (follow ? 0 : O_NOFOLLOW));
}
