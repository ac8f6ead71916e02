/* Tries string.c on the machine that builds: against its library, at every alignment, up to
 * the last byte before memory that is not there. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define memchr      test_memchr
#define memrchr     test_memrchr
#define memcmp      test_memcmp
#define bcmp        test_bcmp
#define strchrnul   test_strchrnul
#define __strchrnul test_own_strchrnul
#define strchr      test_strchr
#define strlen      test_strlen
#define strcmp      test_strcmp
#include "string.c"
#undef memchr
#undef memrchr
#undef memcmp
#undef strchrnul
#undef strchr
#undef strlen
#undef strcmp
void *memrchr(const void *, int, size_t);

enum { PAGE = 4096, LONGEST = 70 };

static int sign(int value) { return (value > 0) - (value < 0); }

/* Few values, those that borrow from each other among them. */
static unsigned char any(void) { return (unsigned char)"\0\1\x80\xff""ab"[rand() % 6]; }

static unsigned char *before_nothing(void) {
  unsigned char *pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  assert(pages != MAP_FAILED && mprotect(pages + PAGE, PAGE, PROT_NONE) == 0);
  return pages + PAGE;
}

static void try(const unsigned char *a, const unsigned char *b, size_t size) {
  int value = any() | (rand() & 0x100); /* what is above a byte does not count */
  assert(test_memchr(a, value, size) == memchr(a, value, size));
  assert(test_memrchr(a, value, size) == memrchr(a, value, size));
  assert(sign(test_memcmp(a, b, size)) == sign(memcmp(a, b, size)));
}

static void try_strings(const char *a, const char *b) {
  int value = any();
  size_t length = strlen(a);
  assert(test_strlen(a) == length);
  assert(test_strchr(a, value) == strchr(a, value));
  assert(test_strchrnul(a, value) == (strchr(a, value) ? strchr(a, value) : a + length));
  assert(sign(test_strcmp(a, b)) == sign(strcmp(a, b)));
}

int main(void) {
  unsigned char *left = before_nothing(), *right = before_nothing();
  for (int round = 0; round < 300000; round++) {
    size_t size = (size_t)rand() % LONGEST, other = (size_t)rand() % LONGEST, same = (size_t)rand();
    for (size_t i = 1; i <= LONGEST; i++) left[-i] = right[-i] = any();
    if (round % 2)
      for (size_t i = 1; i <= LONGEST; i++) left[-i] = left[-i] ? left[-i] : 'a';
    size_t common = size < other ? size : other;
    for (size_t i = 0; i < common && i < same % LONGEST; i++) (right - other)[i] = (left - size)[i];
    try(left - size, right - other, common);
    left[-1] = right[-1] = '\0';
    try_strings((char *)left - size - 1, (char *)right - other - 1);
  }
  puts("string: as the library's");
  return 0;
}
