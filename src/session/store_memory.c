#include "session/store.h"

#include <pthread.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

struct memory_store {
  struct store base;
  pthread_mutex_t lock; /* of all below */
  void *tree;           /* of tsearch(): struct session_record * */
  uint64_t bytes;       /* of all states */
};

static int compare(const void *a, const void *b) {
  const struct session_record *left = a, *right = b;
  int owners = strcmp(left->owner, right->owner);
  return owners != 0 ? owners : strcmp(left->id, right->id);
}

/* Where the tree holds it; NULL if it does not. */
static struct session_record **find(struct memory_store *store, const char *owner, const char *id) {
  struct session_record key = {.owner = owner, .id = id};
  return tfind(&key, &store->tree, compare);
}

/* `*record` is then what is to be freed: the one before it, or itself if it was refused. */
static int swap_in(struct memory_store *store, struct session_record **record,
                   struct brig_error *err) {
  struct session_record **found = find(store, (*record)->owner, (*record)->id), *before = NULL;
  uint64_t max = store->base.limits.max_bytes;
  if (found != NULL) before = *found;
  uint64_t bytes = store->bytes - (before == NULL ? 0 : before->state_size) + (*record)->state_size;
  if (max != 0 && bytes > max) return brig__store_is_full(&store->base, err);
  if (found != NULL)
    *found = *record;
  else if (tsearch(*record, &store->tree, compare) == NULL)
    return brig__store_no_memory(err);
  store->bytes = bytes;
  *record = before;
  return 0;
}

static int memory_put(struct store *base, const struct session_record *record,
                      struct brig_error *err) {
  struct memory_store *store = (struct memory_store *)base;
  struct session_record *copy = brig__record_copy(record);
  if (copy == NULL) return brig__store_no_memory(err);
  pthread_mutex_lock(&store->lock);
  int rc = swap_in(store, &copy, err);
  pthread_mutex_unlock(&store->lock);
  free(copy);
  return rc;
}

static int memory_get(struct store *base, const char *owner, const char *id,
                      struct session_record **ret_record, struct brig_error *err) {
  struct memory_store *store = (struct memory_store *)base;
  pthread_mutex_lock(&store->lock);
  struct session_record **found = find(store, owner, id);
  struct session_record *copy = found == NULL ? NULL : brig__record_copy(*found);
  pthread_mutex_unlock(&store->lock);
  if (found != NULL && copy == NULL) return brig__store_no_memory(err);
  *ret_record = copy;
  return 0;
}

static int memory_remove(struct store *base, const char *owner, const char *id,
                         uint64_t used_by_us, bool *ret_removed, struct brig_error *err) {
  struct memory_store *store = (struct memory_store *)base;
  (void)err;
  pthread_mutex_lock(&store->lock);
  struct session_record **found = find(store, owner, id), *record = NULL;
  if (found != NULL && (*found)->used_us <= used_by_us) {
    record = *found;
    store->bytes -= record->state_size;
    tdelete(record, &store->tree, compare);
  }
  pthread_mutex_unlock(&store->lock);
  *ret_removed = record != NULL;
  free(record);
  return 0;
}

struct walk {
  const char *owner;
  uint64_t used_before_us, count;
  struct record_list *list; /* or NULL, to count */
  bool no_memory;
};

static void step(const void *node, VISIT when, void *context) {
  const struct session_record *record = *(struct session_record *const *)node;
  struct walk *walk = context;
  if (when != postorder && when != leaf) return;
  if (walk->owner != NULL && strcmp(walk->owner, record->owner) != 0) return;
  if (record->used_us >= walk->used_before_us) return;
  walk->count++;
  if (walk->list != NULL && !brig__record_list_add(walk->list, record)) walk->no_memory = true;
}

static int walk_all(struct store *base, struct walk *walk, struct brig_error *err) {
  struct memory_store *store = (struct memory_store *)base;
  pthread_mutex_lock(&store->lock);
  twalk_r(store->tree, step, walk);
  pthread_mutex_unlock(&store->lock);
  return walk->no_memory ? brig__store_no_memory(err) : 0;
}

static int memory_list(struct store *base, const char *owner, uint64_t used_before_us,
                       struct record_list *list, struct brig_error *err) {
  struct walk walk = {.owner = owner, .used_before_us = used_before_us, .list = list};
  return walk_all(base, &walk, err);
}

static int memory_count(struct store *base, const char *owner, uint64_t *ret_count,
                        struct brig_error *err) {
  struct walk walk = {.owner = owner, .used_before_us = INT64_MAX};
  int rc = walk_all(base, &walk, err);
  if (rc == 0) *ret_count = walk.count;
  return rc;
}

static void memory_close(struct store *base) {
  struct memory_store *store = (struct memory_store *)base;
  tdestroy(store->tree, free);
  pthread_mutex_destroy(&store->lock);
  free(store);
}

int brig__store_memory_open(const struct store_limits *limits, struct store **ret_store,
                            struct brig_error *err) {
  static const struct store_ops ops = {memory_put,  memory_get,   memory_remove,
                                       memory_list, memory_count, memory_close};
  struct memory_store *store = calloc(1, sizeof *store);
  if (store == NULL) return brig__store_no_memory(err);
  store->base = (struct store){&ops, *limits};
  pthread_mutex_init(&store->lock, NULL);
  *ret_store = &store->base;
  return 0;
}
