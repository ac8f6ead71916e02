#include "pool/processor.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include "base/fd.h"

int brig__processor_digest(struct brig_digest *ret_digest) {
  static const char *const names[] = {"\nflags", "\nFeatures"}; /* x86, Arm */
  char text[16384]; /* the first processor is within it */
  CLEANUP_FD int fd = open("/proc/cpuinfo", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -errno;
  ssize_t size = brig__read_all(fd, text, sizeof text - 1);
  if (size < 0) return (int)size;
  text[size] = '\0';
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    const char *line = strstr(text, names[i]);
    if (line != NULL) return brig__digest(line + 1, strcspn(line + 1, "\n"), ret_digest);
  }
  return brig__digest("", 0, ret_digest);
}
