/*
 * malloc() for one thread and one memory that only grows.
 *
 * Zig's own rounds every size up to a power of two and never joins what is freed: a
 * guest with large lists or buffers needs two to three times their size. CPython takes
 * small objects from arenas of its own, so what comes here is arenas and large blocks.
 *
 * Memory is a row of chunks; behind the last is `top`, never used yet or free again. A
 * chunk starts with two words: the size of the chunk before, which is kept only while
 * that one is free, and its own size, whose low bits say which of the two are in use.
 * So a block in use costs one word: its last word lies in the next chunk's first. Free
 * chunks hold two links, in a list of chunks of about the same size; no two free ones
 * are neighbours.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifndef MALLOC_TEST
extern unsigned char __heap_base;
/* Where huge pages begin, so that most of a heap can lie in them. */
static uintptr_t heap_start(void) { return ((uintptr_t)&__heap_base + 0x1fffff) & ~0x1fffff; }
static uintptr_t heap_end(void) { return (uintptr_t)__builtin_wasm_memory_size(0) << 16; }
static int heap_grow(size_t size) {
  return __builtin_wasm_memory_grow(0, (size + 0xffff) >> 16) != SIZE_MAX;
}
#endif

struct chunk {
  size_t size_before;
  size_t size;
  struct chunk *next, *previous;
};

enum {
  ALIGNMENT = 16,
  WORD = sizeof(size_t),
  HEADER = 2 * WORD,
  SMALLEST = (sizeof(struct chunk) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT,
  IN_USE = 1,
  BEFORE_IN_USE = 2,
  BITS = IN_USE | BEFORE_IN_USE,
  /* Lists: one for each multiple of 16 below 512, then eight for each power of two. */
  EXACT = 32,
  LISTS = EXACT + 8 * (8 * WORD - 9),
  GROWTH = 1 << 19,
};
#define LARGEST (SIZE_MAX / 2)

static struct chunk *lists[LISTS];
static uint32_t filled[(LISTS + 31) / 32];
static uintptr_t top, end;
/* Memory from here on was never written. */
static uintptr_t fresh;

static size_t size_of(const struct chunk *chunk) { return chunk->size & ~(size_t)BITS; }
static struct chunk *at(uintptr_t address) { return (struct chunk *)address; }
static void *block_of(struct chunk *chunk) { return (char *)chunk + HEADER; }
static struct chunk *chunk_of(void *block) { return (struct chunk *)((char *)block - HEADER); }
static struct chunk *after(struct chunk *chunk) { return at((uintptr_t)chunk + size_of(chunk)); }

static unsigned list_of(size_t size) {
  if (size < 16 * EXACT) return size / 16;
  unsigned log = 8 * sizeof(long long) - 1 - __builtin_clzll(size);
  return EXACT + 8 * (log - 9) + ((size >> (log - 3)) & 7);
}

static void insert(struct chunk *chunk) {
  unsigned list = list_of(size_of(chunk));
  chunk->previous = NULL;
  chunk->next = lists[list];
  if (chunk->next) chunk->next->previous = chunk;
  lists[list] = chunk;
  filled[list / 32] |= 1u << list % 32;
}

static void take_out(struct chunk *chunk) {
  unsigned list = list_of(size_of(chunk));
  if (chunk->next) chunk->next->previous = chunk->previous;
  if (chunk->previous)
    chunk->previous->next = chunk->next;
  else if (!(lists[list] = chunk->next))
    filled[list / 32] &= ~(1u << list % 32);
}

/* A free chunk of at least this size, or NULL. */
static struct chunk *find(size_t size) {
  unsigned list = list_of(size);
  /* In the first list not all are large enough; but it is not searched for long. */
  struct chunk *chunk = lists[list];
  for (int tries = 0; chunk && tries < 16; chunk = chunk->next, tries++)
    if (size_of(chunk) >= size) return chunk;
  list++;
  for (unsigned word = list / 32; word < sizeof filled / sizeof *filled; word++) {
    uint32_t bits = filled[word];
    if (word == list / 32) bits &= ~0u << list % 32;
    if (bits) return lists[32 * word + __builtin_ctz(bits)];
  }
  return NULL;
}

/* Makes room for `size` bytes and a header at the top. */
static int reach(size_t size) {
  if (!end) {
    top = ((heap_start() + HEADER + ALIGNMENT - 1) & ~(uintptr_t)(ALIGNMENT - 1)) - HEADER;
    if (top + HEADER > heap_end() && !heap_grow(top - heap_end() + GROWTH)) return 0;
    end = heap_end();
    fresh = top;
    at(top)->size = BEFORE_IN_USE;
  }
  if (end - top >= size + HEADER) return 1;
  size_t missing = size + HEADER - (end - top);
  if (!(missing < GROWTH && heap_grow(GROWTH)) && !heap_grow(missing)) return 0;
  end = heap_end();
  return 1;
}

/* Gives a chunk this size, and what is behind it to the top. The chunk's bits are kept. */
static void set_before_top(struct chunk *chunk, size_t size) {
  chunk->size = size | IN_USE | (chunk->size & BEFORE_IN_USE);
  top = (uintptr_t)chunk + size;
  if (fresh < top + HEADER) fresh = top + HEADER;
  at(top)->size = BEFORE_IN_USE;
}

/* Frees a chunk that is in use. */
static void release(struct chunk *chunk) {
  size_t size = size_of(chunk);
  struct chunk *next = after(chunk);
  if (!(chunk->size & BEFORE_IN_USE)) {
    chunk = at((uintptr_t)chunk - chunk->size_before);
    take_out(chunk);
    size += size_of(chunk);
  }
  if ((uintptr_t)next == top) {
    top = (uintptr_t)chunk;
    chunk->size = BEFORE_IN_USE;
    return;
  }
  if (!(next->size & IN_USE)) {
    take_out(next);
    size += size_of(next);
    next = after(next);
  }
  chunk->size = size | BEFORE_IN_USE;
  next->size_before = size;
  next->size &= ~(size_t)BEFORE_IN_USE;
  insert(chunk);
}

/* Shortens a chunk in use, if something is left that can be a chunk. */
static void trim(struct chunk *chunk, size_t size) {
  size_t rest = size_of(chunk) - size;
  if (rest < SMALLEST) return;
  chunk->size -= rest;
  struct chunk *tail = after(chunk);
  tail->size = rest | IN_USE | BEFORE_IN_USE;
  release(tail);
}

/* A chunk's size for a block's; 0 if there can be none. */
static size_t chunk_size(size_t size) {
  if (size > LARGEST) {
    errno = ENOMEM;
    return 0;
  }
  size = (size + WORD + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
  return size < SMALLEST ? SMALLEST : size;
}

void *malloc(size_t size) {
  if (!(size = chunk_size(size))) return NULL;
  struct chunk *chunk = find(size);
  if (chunk) {
    take_out(chunk);
    chunk->size |= IN_USE;
    after(chunk)->size |= BEFORE_IN_USE;
    trim(chunk, size);
  } else if (reach(size)) {
    chunk = at(top);
    set_before_top(chunk, size);
  } else {
    errno = ENOMEM;
    return NULL;
  }
  return block_of(chunk);
}

void free(void *block) {
  if (block) release(chunk_of(block));
}

void *calloc(size_t count, size_t each) {
  size_t size;
  if (__builtin_mul_overflow(count, each, &size)) {
    errno = ENOMEM;
    return NULL;
  }
  uintptr_t written = fresh;
  void *block = malloc(size);
  if (block && (uintptr_t)block < written) {
    size_t dirty = written - (uintptr_t)block;
    __builtin_memset(block, 0, dirty < size ? dirty : size); /* memory.fill: not Zig's, by bytes */
  }
  return block;
}

void *realloc(void *block, size_t wanted) {
  if (!block) return malloc(wanted);
  size_t size = chunk_size(wanted);
  if (!size) return NULL;
  struct chunk *chunk = chunk_of(block);
  size_t old = size_of(chunk);
  if (size > old) {
    struct chunk *next = after(chunk);
    if ((uintptr_t)next == top && reach(size - old)) {
      set_before_top(chunk, size);
      return block;
    }
    if ((uintptr_t)next == top || next->size & IN_USE || old + size_of(next) < size) {
      void *other = malloc(wanted);
      if (other) {
        __builtin_memcpy(other, block, old - WORD);
        release(chunk);
      }
      return other;
    }
    take_out(next);
    chunk->size += size_of(next);
    after(chunk)->size |= BEFORE_IN_USE;
  }
  trim(chunk, size);
  return block;
}

void *aligned_alloc(size_t alignment, size_t size) {
  if (alignment <= ALIGNMENT) return malloc(size);
  if (size > LARGEST - alignment - SMALLEST) {
    errno = ENOMEM;
    return NULL;
  }
  void *block = malloc(size + alignment + SMALLEST);
  if (!block) return NULL;
  uintptr_t address = (uintptr_t)block;
  if (address % alignment) {
    /* What is in front becomes a chunk, and is freed. */
    address = (address + SMALLEST + alignment - 1) & ~(uintptr_t)(alignment - 1);
    struct chunk *front = chunk_of(block), *chunk = chunk_of((void *)address);
    size_t gap = address - (uintptr_t)block;
    chunk->size = (size_of(front) - gap) | IN_USE | BEFORE_IN_USE;
    front->size -= size_of(chunk);
    release(front);
  }
  trim(chunk_of((void *)address), chunk_size(size));
  return (void *)address;
}

int posix_memalign(void **result, size_t alignment, size_t size) {
  void *block = aligned_alloc(alignment, size);
  if (!block) return ENOMEM;
  *result = block;
  return 0;
}

void *memalign(size_t alignment, size_t size) { return aligned_alloc(alignment, size); }
void *valloc(size_t size) { return aligned_alloc(65536, size); }

void *reallocarray(void *block, size_t count, size_t each) {
  size_t size;
  if (__builtin_mul_overflow(count, each, &size)) {
    errno = ENOMEM;
    return NULL;
  }
  return realloc(block, size);
}

size_t malloc_usable_size(void *block) { return block ? size_of(chunk_of(block)) - WORD : 0; }
