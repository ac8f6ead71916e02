/* support/count_entries.h - how many names a directory has; /proc/self/fd: descriptors. */
#ifndef BRIG_TESTS_COUNT_ENTRIES_H
#define BRIG_TESTS_COUNT_ENTRIES_H

#include <dirent.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

static inline size_t count_entries(const char *path) {
  size_t count = 0;
  DIR *listed = opendir(path);
  if (listed == NULL) abort();
  while (readdir(listed) != NULL) count++;
  closedir(listed);
  return count;
}

/* As many as there are once no more than `most` are, or after some seconds. */
static inline size_t wait_for_entries(const char *path, size_t most) {
  for (int tries = 0; tries < 5000 && count_entries(path) > most; tries++) usleep(1000);
  return count_entries(path);
}

#endif
