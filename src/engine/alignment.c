/* Where code lies. A huge page is mapped by one fault where small ones take hundreds, in
 * every fork anew, and as many steps to leave behind at its end. The kernel can use one
 * only where the file's and the memory's addresses agree, modulo its size, and where one
 * protection covers it. */
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include "engine/engine_internal.h"

#define HUGE_PAGE ((size_t)2 << 20)
#define PAGE      ((size_t)4096)

static void *reserve(void *at, size_t size, int flags) {
  return mmap(at, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | flags, -1, 0);
}

/* The kernel takes the highest gap that is large enough: see where that is, and fill its
 * upper end. If it did otherwise, pages would be small and nothing else. */
struct alignment brig__engine_align_next(const char *path) {
  struct alignment none = {NULL, 0};
  struct stat st;
  if (stat(path, &st) < 0 || (size_t)st.st_size < HUGE_PAGE) return none;
  size_t size = ((size_t)st.st_size + PAGE - 1) & ~(PAGE - 1);
  char *gap = reserve(NULL, size, 0);
  if (gap == MAP_FAILED) return none;
  munmap(gap, size);
  size_t over = (uintptr_t)gap % HUGE_PAGE;
  if (over == 0) return none;
  void *filler = reserve(gap + size - over, over, MAP_FIXED_NOREPLACE);
  return filler == MAP_FAILED ? none : (struct alignment){filler, over};
}

/* The header, one page of mostly zeros, is made executable as the code behind it is. */
void brig__engine_aligned(const struct alignment *alignment, const wasmtime_module_t *module) {
  void *start, *end;
  if (alignment->filler != NULL) munmap(alignment->filler, alignment->size);
  if (module == NULL) return;
  wasmtime_module_image_range(module, &start, &end);
  if ((uintptr_t)start % HUGE_PAGE == 0 && (size_t)((char *)end - (char *)start) >= HUGE_PAGE)
    mprotect(start, PAGE, PROT_READ | PROT_EXEC);
}
