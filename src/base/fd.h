/* base/fd.h - descriptors, memory and strings that clean up after themselves.
 *
 * Runs in every process. The cleanup macros end a variable's life with its
 * scope; to hand one on, steal it: `return STEAL_FD(fd);`.
 */
#ifndef BRIG_BASE_FD_H
#define BRIG_BASE_FD_H

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

static inline void brig__close_ptr(int *fd) {
  if (*fd >= 0) close(*fd);
}
static inline void brig__free_ptr(void *ptr) { free(*(void **)ptr); }

#define CLEANUP(fn)  __attribute__((cleanup(fn)))
#define CLEANUP_FD   CLEANUP(brig__close_ptr)
#define CLEANUP_FREE CLEANUP(brig__free_ptr)

static inline int brig__steal_fd(int *fd) {
  int value = *fd;
  *fd = -1;
  return value;
}
#define STEAL_FD(fd) brig__steal_fd(&(fd))
#define STEAL_PTR(ptr)                  \
  ({                                    \
    __typeof__(ptr) stolen_ptr = (ptr); \
    (ptr) = NULL;                       \
    stolen_ptr;                         \
  })

/* Write all of `data`, retrying; 0 or -errno. */
int brig__write_all(int fd, const void *data, size_t size);

/* Read up to `size` bytes, until the end of file; the count or -errno. */
ssize_t brig__read_all(int fd, void *data, size_t size);

/* Read a whole regular file of at most `max` bytes into fresh memory, with a 0
 * byte after it. 0, or -errno (-EFBIG beyond `max`). */
int brig__read_file(int dir_fd, const char *path, size_t max, char **ret_data, size_t *ret_size);

/* An empty memfd that can be sealed, and whose content can be mapped to run.
 * The descriptor or -errno. */
int brig__memfd(const char *name);

/* A memfd that can no longer change, holding `data`. The descriptor or -errno. */
int brig__sealed_memfd(const char *name, const void *data, size_t size);

/* Seal a memfd against every change. 0 or -errno. */
int brig__seal(int fd);

/* Make a directory and its parents, each 0700. 0 or -errno. */
int brig__mkdir_p(const char *path);

/* To be read, and never through a symbolic link: to closedir(), or NULL and errno. */
DIR *brig__open_directory(int parent, const char *name);

/* The next name in it, but for its own and its parent's; NULL at the end. */
const char *brig__next_name(DIR *directory);

/* Remove a file, or a directory with all that is in it, never through a symbolic link.
 * Best effort. */
void brig__remove_tree(int parent, const char *name);

/* printf into fresh memory, NULL if there is none. */
char *brig__format(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
