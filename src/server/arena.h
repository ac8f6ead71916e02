/* server/arena.h - memory that is given all at once: what a reply is made of. */
#ifndef BRIG_SERVER_ARENA_H
#define BRIG_SERVER_ARENA_H

#include <stdbool.h>
#include <stddef.h>

struct arena_block;

/* All zero is an empty one. */
struct arena {
  struct arena_block *blocks;
  bool failed; /* some memory could not be had: what was made is not whole */
};

/* Zeroed, and aligned for anything; NULL, and `failed`, if there is no memory. */
void *brig__arena_new(struct arena *arena, size_t size);
/* A copy. */
void *brig__arena_copy(struct arena *arena, const void *data, size_t size);
/* printf. */
char *brig__arena_format(struct arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Memory of malloc()'s, or NULL, becomes the arena's: as it is. */
void *brig__arena_take(struct arena *arena, void *memory);
void brig__arena_free(struct arena *arena);

#endif
