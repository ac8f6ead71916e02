/* wasi/fd_table.h - the guest's descriptors. Numbers are the lowest free ones;
 * an entry owns its host descriptor unless it was given at the start. */
#ifndef BRIG_WASI_FD_TABLE_H
#define BRIG_WASI_FD_TABLE_H

#include <stdbool.h>
#include <sys/types.h>
#include "wasi/preview1.h"

enum fd_kind { FD_FREE, FD_STREAM, FD_FILE, FD_DIRECTORY };

struct dir_buffer; /* dir.c: entries read ahead */

enum { GIVEN_STDIN, GIVEN_STDOUT, GIVEN_STDERR, GIVEN_CONTROL, GIVEN_MOUNTS };

struct fd_entry {
  enum fd_kind kind;
  enum wasi_filetype filetype;
  int host;       /* the host's descriptor */
  int given;      /* its place among what was given at the start, which is not ours
                     to close: GIVEN_...; -1: opened by the guest */
  bool read_only; /* of a read-only mount: nothing may change through it */
  uint16_t flags; /* WASI_FDFLAG_... */
  uint32_t mount; /* which mount it is of; directories and files */
  wasi_rights base, inheriting;
  char *preopen; /* its name, if it is a preopen */
  int listing;   /* directories: a second descriptor to list by, or -1 */
  struct dir_buffer *entries;
};

struct fd_table {
  struct fd_entry *items;
  uint32_t count, capacity, max;
};

/* Insert at the lowest free number. The entry is the table's from then on, or,
 * after a failure (WASI_EMFILE, WASI_ENOMEM), closed. */
wasi_errno brig__fd_insert(struct fd_table *table, const struct fd_entry *entry, uint32_t *ret_fd);

/* The entry, if it is open and has all of `rights`: else WASI_EBADF or
 * WASI_ENOTCAPABLE. */
wasi_errno brig__fd_get(struct fd_table *table, uint32_t fd, wasi_rights rights,
                        struct fd_entry **ret_entry);

/* The same, for a call that changes something: WASI_EROFS on a read-only mount.
 * This is the one place where that is decided. */
wasi_errno brig__fd_get_writable(struct fd_table *table, uint32_t fd, wasi_rights rights,
                                 struct fd_entry **ret_entry);

wasi_errno brig__fd_close(struct fd_table *table, uint32_t fd);
wasi_errno brig__fd_move(struct fd_table *table, uint32_t from, uint32_t to);

/* Is this file open in the table? */
bool brig__fd_has_open(const struct fd_table *table, dev_t dev, ino_t ino);

void brig__fd_table_finish(struct fd_table *table);

#endif
