#include "server/deltas.h"

#include <stdlib.h>
#include <string.h>

void brig__deltas_init(struct deltas *deltas) {
  *deltas = (struct deltas){.announced = false};
  pthread_mutex_init(&deltas->lock, NULL);
  TAILQ_INIT(&deltas->list);
}

static void remove_first(struct deltas *deltas) {
  struct delta *first = TAILQ_FIRST(&deltas->list);
  TAILQ_REMOVE(&deltas->list, first, link);
  free(first->data);
  free(first);
}

void brig__deltas_free(struct deltas *deltas) {
  while (!TAILQ_EMPTY(&deltas->list)) remove_first(deltas);
  pthread_mutex_destroy(&deltas->lock);
}

/* --- With the lock ------------------------------------------------------------------------ */

static struct delta *add(struct deltas *deltas, enum brig_stream stream) {
  struct delta *delta = calloc(1, sizeof *delta);
  if (delta == NULL) {
    deltas->failed = true;
    return NULL;
  }
  delta->stream = stream;
  TAILQ_INSERT_TAIL(&deltas->list, delta, link);
  return delta;
}

static void append(struct deltas *deltas, enum brig_stream stream, const void *data, size_t size) {
  struct delta *last = TAILQ_LAST(&deltas->list, delta_list);
  if (size == 0) return;
  if (last == NULL || last->stream != stream) last = add(deltas, stream);
  if (last == NULL) return;
  if (last->size + size > last->capacity) {
    size_t capacity = 2 * (last->size + size);
    uint8_t *more = realloc(last->data, capacity);
    if (more == NULL) {
      deltas->failed = true;
      return;
    }
    last->data = more;
    last->capacity = capacity;
  }
  memcpy(last->data + last->size, data, size);
  last->size += size;
}

static size_t length_by_first(uint8_t first) {
  return first >= 0xf0 && first <= 0xf4  ? 4
         : first >= 0xe0 && first < 0xf0 ? 3
         : first >= 0xc2 && first < 0xe0 ? 2
                                         : 1;
}

/* How many bytes at the end are a character's beginning. */
static size_t unfinished(const uint8_t *data, size_t size) {
  for (size_t back = 1; back <= 3 && back <= size; back++) {
    uint8_t byte = data[size - back];
    if ((byte & 0xc0) == 0x80) continue;
    return length_by_first(byte) > back ? back : 0;
  }
  return 0;
}

static bool announce(struct deltas *deltas) {
  bool first = !deltas->announced && !TAILQ_EMPTY(&deltas->list);
  if (first) deltas->announced = true;
  return first;
}

/* --- Without ------------------------------------------------------------------------------- */

bool brig__deltas_add(struct deltas *deltas, enum brig_stream stream, const void *data,
                      size_t size) {
  int index = stream == BRIG_STDOUT ? 0 : 1;
  const uint8_t *bytes = data;
  pthread_mutex_lock(&deltas->lock);
  append(deltas, stream, deltas->begun[index].bytes, deltas->begun[index].size);
  deltas->begun[index].size = 0;
  append(deltas, stream, bytes, size);
  struct delta *last = TAILQ_LAST(&deltas->list, delta_list);
  if (last != NULL && last->stream == stream) {
    size_t kept = unfinished(last->data, last->size);
    memcpy(deltas->begun[index].bytes, last->data + last->size - kept, kept);
    deltas->begun[index].size = kept;
    last->size -= kept;
    if (last->size == 0) {
      TAILQ_REMOVE(&deltas->list, last, link);
      free(last->data);
      free(last);
    }
  }
  bool first = announce(deltas);
  pthread_mutex_unlock(&deltas->lock);
  return first;
}

bool brig__deltas_end_run(struct deltas *deltas, size_t run) {
  pthread_mutex_lock(&deltas->lock);
  for (int index = 0; index < 2; index++) {
    append(deltas, index == 0 ? BRIG_STDOUT : BRIG_STDERR, deltas->begun[index].bytes,
           deltas->begun[index].size);
    deltas->begun[index].size = 0;
  }
  struct delta *end = add(deltas, 0);
  if (end != NULL) end->run = run;
  bool first = announce(deltas);
  pthread_mutex_unlock(&deltas->lock);
  return first;
}

/* With the lock: a part of it, which ends with a character's end if it is text at all. */
static bool take_part(struct delta *from, size_t size, struct delta *ret_delta) {
  for (int back = 0; back < 3 && (from->data[size] & 0xc0) == 0x80; back++) size--;
  *ret_delta = (struct delta){.stream = from->stream, .data = malloc(size), .size = size};
  if (ret_delta->data == NULL) return false;
  memcpy(ret_delta->data, from->data, size);
  memmove(from->data, from->data + size, from->size - size);
  from->size -= size;
  return true;
}

bool brig__deltas_next(struct deltas *deltas, size_t max, struct delta *ret_delta) {
  pthread_mutex_lock(&deltas->lock);
  struct delta *first = TAILQ_FIRST(&deltas->list);
  bool found = first != NULL;
  if (!found) deltas->announced = false;
  if (found && first->size > max) {
    found = take_part(first, max, ret_delta);
    if (!found) deltas->failed = true;
  } else if (found) {
    *ret_delta = *first;
    first->data = NULL;
    remove_first(deltas);
  }
  pthread_mutex_unlock(&deltas->lock);
  return found;
}
