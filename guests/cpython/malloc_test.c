/* Tries malloc.c on the machine that builds: random calls, each block's content watched. */
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define malloc             test_malloc
#define free               test_free
#define calloc             test_calloc
#define realloc            test_realloc
#define reallocarray       test_reallocarray
#define aligned_alloc      test_aligned_alloc
#define posix_memalign     test_posix_memalign
#define memalign           test_memalign
#define valloc             test_valloc
#define malloc_usable_size test_malloc_usable_size

static unsigned char memory[8 << 20];
static size_t reached = 1 << 16;

static uintptr_t heap_start(void) { return (uintptr_t)memory + 5; }
static uintptr_t heap_end(void) { return (uintptr_t)memory + reached; }
static int heap_grow(size_t size) {
  if (size > sizeof memory - reached) return 0;
  reached += size;
  return 1;
}

#define MALLOC_TEST
#include "malloc.c"

static uint64_t state = 1;

static size_t random_below(size_t limit) {
  state = state * 6364136223846793005u + 1442695040888963407u;
  return (state >> 33) % limit;
}

/* Mostly small, sometimes large. */
static size_t random_size(void) { return random_below((size_t)1 << random_below(20)); }

/* Walks over all chunks: sizes and bits agree, no two neighbours are free. */
static void check(void) {
  uintptr_t first =
      ((heap_start() + HEADER + ALIGNMENT - 1) & ~(uintptr_t)(ALIGNMENT - 1)) - HEADER;
  size_t before = 0;
  int used = 1;
  for (uintptr_t address = first; address != top; address += size_of(at(address))) {
    struct chunk *chunk = at(address);
    assert(address < top && size_of(chunk) >= SMALLEST && size_of(chunk) % ALIGNMENT == 0);
    assert(!!(chunk->size & BEFORE_IN_USE) == used);
    assert(used || chunk->size_before == before);
    assert(used || chunk->size & IN_USE);
    used = chunk->size & IN_USE;
    before = size_of(chunk);
  }
  assert(used && at(top)->size == BEFORE_IN_USE && fresh >= top + HEADER && fresh <= end);
  for (size_t i = fresh - (uintptr_t)memory; i < reached; i += 97) assert(!memory[i]);
}

int main(void) {
  enum { BLOCKS = 400 };
  static struct {
    unsigned char *at;
    size_t size;
    unsigned char fill;
  } blocks[BLOCKS];
  size_t refused = 0;
  for (int round = 0; round < 500000; round++) {
    size_t which = random_below(BLOCKS), size = random_size(), old = blocks[which].size;
    unsigned char *block = blocks[which].at, fill = blocks[which].fill;
    for (size_t i = 0; i < old; i += i < 64 || i + 64 > old ? 1 : 61) assert(block[i] == fill);
    unsigned action = random_below(8);
    if (block && action >= 3) {
      free(block);
      blocks[which].at = NULL;
      blocks[which].size = 0;
      continue;
    }
    size_t alignment = 16;
    if (block) {
      block = realloc(block, size);
      for (size_t i = 0; block && i < old && i < size; i += 61) assert(block[i] == fill);
    } else if (action == 0) {
      block = calloc(1, size);
      for (size_t i = 0; block && i < size; i++) assert(!block[i]);
    } else if (action == 1) {
      alignment = (size_t)16 << random_below(9);
      block = aligned_alloc(alignment, size);
    } else {
      block = malloc(size);
    }
    if (!block) {
      assert(errno == ENOMEM);
      refused++;
      continue;
    }
    assert((uintptr_t)block % alignment == 0 && malloc_usable_size(block) >= size);
    fill = round;
    memset(block, fill, size);
    blocks[which].at = block;
    blocks[which].size = size;
    blocks[which].fill = fill;
    if (round % 1000 == 0) check();
  }
  for (size_t i = 0; i < BLOCKS; i++) free(blocks[i].at);
  check();
  assert(top < (uintptr_t)memory + 64);
  assert(!malloc(SIZE_MAX) && !calloc(SIZE_MAX / 2, 3) && !malloc(sizeof memory));
  printf("malloc: %zu KiB at most, refused %zu times\n", reached >> 10, refused);
  return 0;
}
