#include "wasi/fd_table.h"
#include "wasi/dir.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct fd_entry empty = {.kind = FD_FREE, .host = -1, .given = -1, .listing = -1};

static void close_entry(struct fd_entry *entry) {
  if (entry->given < 0 && entry->host >= 0) close(entry->host);
  brig__dir_forget(entry);
  free(entry->preopen);
  *entry = empty;
}

static wasi_errno grow(struct fd_table *table) {
  uint32_t capacity = table->capacity == 0 ? 16 : table->capacity * 2;
  if (capacity > table->max) capacity = table->max;
  struct fd_entry *items = realloc(table->items, capacity * sizeof *items);
  if (items == NULL) return WASI_ENOMEM;
  table->items = items;
  table->capacity = capacity;
  return WASI_ESUCCESS;
}

static wasi_errno find_free(struct fd_table *table, uint32_t *ret_fd) {
  for (uint32_t fd = 0; fd < table->count; fd++) {
    if (table->items[fd].kind != FD_FREE) continue;
    *ret_fd = fd;
    return WASI_ESUCCESS;
  }
  if (table->count == table->max) return WASI_EMFILE;
  wasi_errno error = table->count < table->capacity ? WASI_ESUCCESS : grow(table);
  if (error == WASI_ESUCCESS) *ret_fd = table->count++;
  return error;
}

wasi_errno brig__fd_insert(struct fd_table *table, const struct fd_entry *entry, uint32_t *ret_fd) {
  wasi_errno error = find_free(table, ret_fd);
  if (error == WASI_ESUCCESS) {
    table->items[*ret_fd] = *entry;
    return error;
  }
  struct fd_entry lost = *entry;
  close_entry(&lost);
  return error;
}

wasi_errno brig__fd_get(struct fd_table *table, uint32_t fd, wasi_rights rights,
                        struct fd_entry **ret_entry) {
  if (fd >= table->count || table->items[fd].kind == FD_FREE) return WASI_EBADF;
  struct fd_entry *entry = &table->items[fd];
  if ((entry->base & rights) != rights) return WASI_ENOTCAPABLE;
  *ret_entry = entry;
  return WASI_ESUCCESS;
}

wasi_errno brig__fd_get_writable(struct fd_table *table, uint32_t fd, wasi_rights rights,
                                 struct fd_entry **ret_entry) {
  struct fd_entry *entry;
  wasi_errno error = brig__fd_get(table, fd, rights, &entry);
  if (error != WASI_ESUCCESS) return error;
  if (entry->read_only) return WASI_EROFS;
  *ret_entry = entry;
  return WASI_ESUCCESS;
}

wasi_errno brig__fd_close(struct fd_table *table, uint32_t fd) {
  struct fd_entry *entry;
  wasi_errno error = brig__fd_get(table, fd, 0, &entry);
  if (error == WASI_ESUCCESS) close_entry(entry);
  return error;
}

wasi_errno brig__fd_move(struct fd_table *table, uint32_t from, uint32_t to) {
  struct fd_entry *source, *target;
  wasi_errno error = brig__fd_get(table, from, 0, &source);
  if (error == WASI_ESUCCESS) error = brig__fd_get(table, to, 0, &target);
  if (error != WASI_ESUCCESS || source == target) return error;
  close_entry(target);
  *target = *source;
  *source = empty;
  return WASI_ESUCCESS;
}

bool brig__fd_has_open(const struct fd_table *table, dev_t dev, ino_t ino) {
  struct stat st;
  for (uint32_t fd = 0; fd < table->count; fd++)
    if (table->items[fd].kind == FD_FILE && fstat(table->items[fd].host, &st) == 0 &&
        st.st_dev == dev && st.st_ino == ino)
      return true;
  return false;
}

void brig__fd_table_finish(struct fd_table *table) {
  for (uint32_t fd = 0; fd < table->count; fd++) close_entry(&table->items[fd]);
  free(table->items);
  *table = (struct fd_table){0};
}
