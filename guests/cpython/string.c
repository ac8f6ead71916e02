/*
 * What CPython asks of <string.h> most, a word at a time. Zig's own goes byte by byte, and
 * its strchr() first looks for the end of the string: the tokenizer, which looks for the
 * end of each line, would take the square of a program's length.
 *
 * A word that has a byte in common with a range is read whole: words are aligned, and so
 * within the memory.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef uint64_t __attribute__((may_alias)) word;
typedef uint64_t __attribute__((may_alias, aligned(1))) any_word;

#define ONES  UINT64_C(0x0101010101010101)
#define HIGHS UINT64_C(0x8080808080808080)

/* Not 0 if a byte of it is. The lowest bit that is set tells the first of them. */
static uint64_t zeros(uint64_t value) { return (value - ONES) & ~value & HIGHS; }
static size_t first(uint64_t found) { return (size_t)__builtin_ctzll(found) / 8; }
static size_t misaligned(const void *at) { return (uintptr_t)at % sizeof(word); }

void *memchr(const void *start, int value, size_t size) {
  const unsigned char *at = start, *end = at + size;
  uint64_t wanted = ONES * (unsigned char)value;
  for (; at < end && misaligned(at) != 0; at++)
    if (*at == (unsigned char)value) return (void *)at;
  for (; (size_t)(end - at) >= sizeof(word); at += sizeof(word)) {
    uint64_t found = zeros(*(const word *)at ^ wanted);
    if (found != 0) return (void *)(at + first(found));
  }
  for (; at < end; at++)
    if (*at == (unsigned char)value) return (void *)at;
  return NULL;
}

void *memrchr(const void *start, int value, size_t size) {
  const unsigned char *at = start;
  uint64_t wanted = ONES * (unsigned char)value;
  for (; size > 0 && misaligned(at + size) != 0; size--)
    if (at[size - 1] == (unsigned char)value) return (void *)(at + size - 1);
  while (size >= sizeof(word) && zeros(*(const word *)(at + size - sizeof(word)) ^ wanted) == 0)
    size -= sizeof(word);
  for (; size > 0; size--)
    if (at[size - 1] == (unsigned char)value) return (void *)(at + size - 1);
  return NULL;
}

int memcmp(const void *left, const void *right, size_t size) {
  const unsigned char *a = left, *b = right;
  for (; size >= sizeof(word); size -= sizeof(word), a += sizeof(word), b += sizeof(word)) {
    uint64_t x = *(const any_word *)a, y = *(const any_word *)b;
    if (x == y) continue;
    x = __builtin_bswap64(x);
    y = __builtin_bswap64(y);
    return x < y ? -1 : 1;
  }
  for (; size > 0; size--, a++, b++)
    if (*a != *b) return *a - *b;
  return 0;
}

int bcmp(const void *left, const void *right, size_t size) { return memcmp(left, right, size); }

/* The first `value` of a string, or its end. */
char *strchrnul(const char *at, int value) {
  uint64_t wanted = ONES * (unsigned char)value;
  for (; misaligned(at) != 0; at++)
    if (*at == '\0' || *at == (char)value) return (char *)at;
  for (;; at += sizeof(word)) {
    uint64_t bytes = *(const word *)at, found = zeros(bytes) | zeros(bytes ^ wanted);
    if (found != 0) return (char *)at + first(found);
  }
}
char *__strchrnul(const char *at, int value) { return strchrnul(at, value); }

char *strchr(const char *string, int value) {
  char *found = strchrnul(string, value);
  return *found == (char)value ? found : NULL;
}

size_t strlen(const char *string) { return (size_t)(strchrnul(string, 0) - string); }

int strcmp(const char *left, const char *right) {
  while (*left == *right && *left != '\0') left++, right++;
  return *(const unsigned char *)left - *(const unsigned char *)right;
}
