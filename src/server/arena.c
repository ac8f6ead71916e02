#include "server/arena.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct arena_block {
  struct arena_block *next;
  void *taken; /* or NULL: what was asked for follows */
  alignas(max_align_t) char data[];
};

static struct arena_block *add(struct arena *arena, size_t size) {
  struct arena_block *block = calloc(1, sizeof *block + size);
  if (block == NULL) {
    arena->failed = true;
    return NULL;
  }
  block->next = arena->blocks;
  return arena->blocks = block;
}

void *brig__arena_new(struct arena *arena, size_t size) {
  struct arena_block *block = add(arena, size);
  return block == NULL ? NULL : block->data;
}

void *brig__arena_copy(struct arena *arena, const void *data, size_t size) {
  void *copy = brig__arena_new(arena, size);
  if (copy != NULL && size > 0) memcpy(copy, data, size);
  return copy;
}

char *brig__arena_format(struct arena *arena, const char *format, ...) {
  char *text = NULL;
  va_list args;
  va_start(args, format);
  int length = vasprintf(&text, format, args);
  va_end(args);
  return brig__arena_take(arena, length < 0 ? NULL : text);
}

void *brig__arena_take(struct arena *arena, void *memory) {
  struct arena_block *block = memory == NULL ? NULL : add(arena, 0);
  if (block == NULL) {
    arena->failed = true;
    free(memory);
    return NULL;
  }
  return block->taken = memory;
}

void brig__arena_free(struct arena *arena) {
  for (struct arena_block *next; arena->blocks != NULL; arena->blocks = next) {
    next = arena->blocks->next;
    free(arena->blocks->taken);
    free(arena->blocks);
  }
  *arena = (struct arena){0};
}
