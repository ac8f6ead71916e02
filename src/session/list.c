/* A user's sessions: those in memory, and those in the store; and how many all have. */
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/fd.h"
#include "session/session.h"

struct row {
  struct brig_session_info info;
  char *id, *guest;
};

struct rows {
  struct row *items;
  size_t count, capacity;
};

static int add(struct rows *rows, const struct brig_session_info *info, const char *id,
               const char *guest) {
  if (rows->count == rows->capacity) {
    size_t capacity = rows->capacity == 0 ? 16 : 2 * rows->capacity;
    struct row *items = realloc(rows->items, capacity * sizeof *items);
    if (items == NULL) return BRIG_E_MEMORY;
    rows->items = items;
    rows->capacity = capacity;
  }
  struct row row = {*info, strdup(id), strdup(guest)};
  rows->items[rows->count++] = row;
  return row.id == NULL || row.guest == NULL ? BRIG_E_MEMORY : 0;
}

static int add_record(const struct session_record *record, void *context) {
  struct rows *rows = context;
  struct brig_session_info info = {.turns = record->turns,
                                   .created_us = record->created_us,
                                   .used_us = record->used_us,
                                   .saved_bytes = record->state_size};
  return add(rows, &info, record->id, record->guest);
}

static struct row *find(struct rows *rows, size_t count, const char *id) {
  for (size_t i = 0; i < count; i++)
    if (strcmp(rows->items[i].id, id) == 0) return &rows->items[i];
  return NULL;
}

/* A live one's numbers are those of its process; the store has older ones. */
static int add_live(struct brig_sessions *sessions, const char *owner, struct rows *rows) {
  size_t saved = rows->count;
  int rc = 0;
  pthread_mutex_lock(&sessions->lock);
  struct session *at;
  TAILQ_FOREACH(at, &sessions->list, of_all) {
    if (rc != 0 || !at->seen_as.live || strcmp(at->owner, owner) != 0) continue;
    struct row *row = find(rows, saved, at->id);
    struct brig_session_info info = {.turns = at->seen_as.turns,
                                     .created_us = at->created_us,
                                     .used_us = at->used_us,
                                     .live = 1,
                                     .memory_bytes = at->seen_as.bytes,
                                     .saved_bytes = row == NULL ? 0 : row->info.saved_bytes};
    if (row != NULL)
      row->info = info;
    else
      rc = add(rows, &info, at->id, at->guest);
  }
  pthread_mutex_unlock(&sessions->lock);
  return rc;
}

static int by_use(const void *a, const void *b) {
  uint64_t left = ((const struct row *)a)->info.used_us;
  uint64_t right = ((const struct row *)b)->info.used_us;
  return (left < right) - (left > right);
}

int brig_session_list(struct brig_sessions *sessions, const struct brig_session_name *name,
                      void (*each)(void *context, const struct brig_session_info *info),
                      void *context, struct brig_error *err) {
  CLEANUP_FREE char *owner = brig__session_owner(name->tenant, name->user);
  struct rows rows = {0};
  if (owner == NULL) return brig__store_no_memory(err);
  int rc = brig__store_list(sessions->store, owner, 0, add_record, &rows, err);
  if (rc == 0) rc = add_live(sessions, owner, &rows);
  if (rows.count > 0) qsort(rows.items, rows.count, sizeof *rows.items, by_use);
  for (size_t i = 0; i < rows.count; i++) {
    rows.items[i].info.id = rows.items[i].id;
    rows.items[i].info.guest = rows.items[i].guest;
    if (rc == 0) each(context, &rows.items[i].info);
  }
  for (size_t i = 0; i < rows.count; i++) {
    free(rows.items[i].id);
    free(rows.items[i].guest);
  }
  free(rows.items);
  return rc == BRIG_E_MEMORY ? brig__store_no_memory(err) : rc;
}

void brig_sessions_counts(struct brig_sessions *sessions, struct brig_session_counts *counts) {
  struct brig_session_counts known = {.size = counts->size};
  pthread_mutex_lock(&sessions->lock);
  known.saved = sessions->saved;
  const struct session *at;
  TAILQ_FOREACH(at, &sessions->list, of_all) known.live += at->seen_as.live;
  pthread_mutex_unlock(&sessions->lock);
  memcpy(counts, &known, counts->size < sizeof known ? counts->size : sizeof known);
}
