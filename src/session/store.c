#include "session/store.h"

#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/fd.h"

int brig__store_no_memory(struct brig_error *err) {
  return brig__fail(err, BRIG_E_MEMORY, "session", "out of memory");
}

int brig__store_is_full(const struct store *store, struct brig_error *err) {
  return brig__fail(err, BRIG_E_LIMIT, "session",
                    "the states of all saved sessions may have %llu bytes together "
                    "(session.store_bytes), and this one would take them beyond; drop sessions, or "
                    "raise the limit",
                    (unsigned long long)store->limits.max_bytes);
}

static char *append(char **at, const char *text) {
  char *copy = *at;
  *at = stpcpy(copy, text) + 1;
  return copy;
}

struct session_record *brig__record_copy(const struct session_record *record) {
  size_t size = record->has_state && record->state != NULL ? record->state_size : 0;
  struct session_record *copy = malloc(sizeof *copy + strlen(record->owner) + strlen(record->id) +
                                       strlen(record->guest) + 3 + size);
  if (copy == NULL) return NULL;
  char *at = (char *)(copy + 1);
  *copy = *record;
  copy->owner = append(&at, record->owner);
  copy->id = append(&at, record->id);
  copy->guest = append(&at, record->guest);
  copy->state = size == 0 ? NULL : memcpy(at, record->state, size);
  if (!record->has_state) copy->state_size = 0;
  return copy;
}

bool brig__record_list_add(struct record_list *list, const struct session_record *record) {
  struct session_record stateless = *record;
  if (list->count == list->capacity) {
    size_t capacity = list->capacity == 0 ? 64 : 2 * list->capacity;
    void *more = realloc(list->records, capacity * sizeof *list->records);
    if (more == NULL) return false;
    list->records = more;
    list->capacity = capacity;
  }
  stateless.state = NULL;
  list->records[list->count] = brig__record_copy(&stateless);
  return list->records[list->count] != NULL && ++list->count;
}

static void free_list(struct record_list *list) {
  for (size_t i = 0; i < list->count; i++) free(list->records[i]);
  free(list->records);
}

void brig__store_close(struct store *store) {
  if (store != NULL) store->ops->close(store);
}

static bool fits(const char *text, size_t min, size_t max) {
  size_t length = strnlen(text, max + 1);
  return length >= min && length <= max;
}

/* Numbers that a signed one holds, in any implementation. */
static bool is_valid(const struct session_record *record) {
  return fits(record->owner, 0, STORE_OWNER_MAX) && fits(record->id, 1, STORE_ID_MAX) &&
         fits(record->guest, 0, STORE_GUEST_MAX) && record->created_us < INT64_MAX &&
         record->used_us < INT64_MAX && record->turns < INT64_MAX &&
         (!record->has_state || record->state_size == 0 || record->state != NULL);
}

static int too_large(const struct session_record *record, uint64_t max, const char *key,
                     struct brig_error *err) {
  return brig__fail(err, BRIG_E_TOO_LARGE, "session",
                    "the session's state has %zu bytes, and %llu may be kept (%s); let go of what "
                    "it no longer needs, or raise the limit",
                    record->state_size, (unsigned long long)max, key);
}

int brig__store_put(struct store *store, const struct session_record *record,
                    struct brig_error *err) {
  if (!is_valid(record))
    return brig__fail(err, BRIG_E_INVALID, "session",
                      "a session has an owner of at most %d bytes, an id of 1 to %d, a guest of at "
                      "most %d, times and turns below 2^63, and the state that it says it has",
                      STORE_OWNER_MAX, STORE_ID_MAX, STORE_GUEST_MAX);
  if (record->has_state && record->state_size > store->limits.max_state_bytes)
    return too_large(record, store->limits.max_state_bytes, "session.max_state_bytes", err);
  if (record->has_state && store->limits.max_bytes != 0 &&
      record->state_size > store->limits.max_bytes)
    return too_large(record, store->limits.max_bytes, "session.store_bytes", err);
  return store->ops->put(store, record, err);
}

int brig__store_get(struct store *store, const char *owner, const char *id,
                    struct session_record **ret_record, struct brig_error *err) {
  struct session_record *record = NULL;
  int rc = store->ops->get(store, owner, id, &record, err);
  if (rc < 0) return rc;
  if (record == NULL)
    return brig__fail(err, BRIG_E_NOT_FOUND, "session",
                      "no session %s is kept: it expired, was removed, or is another's", id);
  *ret_record = record;
  return 0;
}

int brig__store_remove(struct store *store, const char *owner, const char *id,
                       struct brig_error *err) {
  bool removed;
  return store->ops->remove(store, owner, id, INT64_MAX, &removed, err);
}

int brig__store_remove_unused(struct store *store, const struct session_record *listed,
                              bool *ret_removed, struct brig_error *err) {
  return store->ops->remove(store, listed->owner, listed->id, listed->used_us, ret_removed, err);
}

static int by_use(const void *a, const void *b) {
  const struct session_record *left = *(struct session_record *const *)a,
                              *right = *(struct session_record *const *)b;
  if (left->used_us != right->used_us) return left->used_us < right->used_us ? -1 : 1;
  int owners = strcmp(left->owner, right->owner);
  return owners != 0 ? owners : strcmp(left->id, right->id);
}

int brig__store_list(struct store *store, const char *owner, uint64_t used_before_us,
                     store_visit *visit, void *context, struct brig_error *err) {
  struct record_list list = {0};
  if (used_before_us == 0 || used_before_us > INT64_MAX) used_before_us = INT64_MAX;
  int rc = store->ops->list(store, owner, used_before_us, &list, err);
  if (rc == 0 && list.count > 0)
    qsort(list.records, list.count, sizeof *list.records, by_use);
  for (size_t i = 0; i < list.count && rc == 0; i++) rc = visit(list.records[i], context);
  free_list(&list);
  return rc;
}

int brig__store_count(struct store *store, const char *owner, uint64_t *ret_count,
                      struct brig_error *err) {
  return store->ops->count(store, owner, ret_count, err);
}
