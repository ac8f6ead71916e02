#include "pool/hot_pages.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "pool/wire.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22 /* Linux 5.14 */
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* Linux 6.1 */
#endif

#define HUGE_PAGE ((uintptr_t)2 << 20)

/* /proc/PID/pagemap, one word a page (proc_pid_pagemap(5)) */
#define PRESENT   (UINT64_C(1) << 63)
#define OF_FILE   (UINT64_C(1) << 61)
#define EXCLUSIVE (UINT64_C(1) << 56)

void brig__hot_pages_open(struct hot_pages *pages, int proc_fd) {
  pages->written.count = pages->read.count = pages->images.count = pages->data.count = 0;
  pages->maps = openat(proc_fd, "self/maps", O_RDONLY | O_CLOEXEC);
  pages->pagemap = openat(proc_fd, "self/pagemap", O_RDONLY | O_CLOEXEC);
}

void brig__hot_pages_close(struct hot_pages *pages) {
  if (pages->maps >= 0) close(pages->maps);
  if (pages->pagemap >= 0) close(pages->pagemap);
  pages->maps = pages->pagemap = -1;
}

static void add(struct hot_ranges *ranges, uintptr_t at, uintptr_t size) {
  size_t last = ranges->count - 1;
  if (ranges->count > 0 && ranges->items[last].start + ranges->items[last].size == at) {
    ranges->items[last].size += size;
  } else if (ranges->count < HOT_RANGES_MAX) {
    ranges->items[ranges->count].start = at;
    ranges->items[ranges->count++].size = size;
  }
}

struct mapping {
  bool writable, image;
};

static void sort_out(struct hot_pages *pages, uintptr_t at, uintptr_t size, uint64_t word,
                     struct mapping in) {
  bool of_file = word & OF_FILE;
  if (!(word & PRESENT)) return;
  if (of_file) add(&pages->read, at, size);
  if (of_file && in.image) add(&pages->images, at, size);
  if (of_file || !in.writable) return;
  add(&pages->data, at, size);
  if (word & EXCLUSIVE) add(&pages->written, at, size);
}

static void scan(struct hot_pages *pages, uintptr_t start, uintptr_t end, struct mapping in) {
  uint64_t words[512];
  uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
  while (start < end) {
    uintptr_t left = (end - start) / page;
    size_t wanted = (left < 512 ? left : 512) * sizeof *words;
    ssize_t got = pread(pages->pagemap, words, wanted, (off_t)(start / page * sizeof *words));
    if (got <= 0) return;
    for (size_t i = 0; i < (size_t)got / sizeof *words; i++, start += page)
      sort_out(pages, start, page, words[i], in);
  }
}

/* An image is the guest's memory, which nobody writes to until it goes on; what of our own
 * program is not written to yet may be at any time. */
static struct mapping read_mapping(const char *access, const char *line) {
  bool writable = access[1] == 'w';
  return (struct mapping){writable, writable && strstr(line, "/memfd:" WIRE_CODE_NAME " ") != NULL};
}

/* The mappings that hold anything, line by line. */
void brig__hot_pages_find(struct hot_pages *pages) {
  char buffer[8192];
  size_t held = 0;
  ssize_t got;
  if (pages->maps < 0 || pages->pagemap < 0) return;
  while ((got = read(pages->maps, buffer + held, sizeof buffer - 1 - held)) > 0) {
    held += (size_t)got;
    buffer[held] = '\0';
    char *line = buffer, *end;
    for (; (end = strchr(line, '\n')) != NULL; line = end + 1) {
      unsigned long from, to;
      char access[5];
      *end = '\0';
      if (sscanf(line, "%lx-%lx %4s", &from, &to, access) == 3 && access[0] == 'r')
        scan(pages, from, to, read_mapping(access, line));
    }
    held -= (size_t)(line - buffer);
    memmove(buffer, line, held);
  }
}

static void collapse(uintptr_t at) { madvise((void *)at, HUGE_PAGE, MADV_COLLAPSE); }

/* Every huge page that has any of them. */
static void collapse_files(const struct hot_ranges *ranges) {
  uintptr_t done = 0;
  for (size_t i = 0; i < ranges->count; i++) {
    uintptr_t at = ranges->items[i].start & ~(HUGE_PAGE - 1);
    uintptr_t end = ranges->items[i].start + ranges->items[i].size;
    for (at = at < done ? done : at; at < end; at = done) {
      collapse(at);
      done = at + HUGE_PAGE;
    }
  }
}

static uintptr_t overlap(const struct hot_ranges *ranges, uintptr_t from, uintptr_t to) {
  uintptr_t size = 0;
  for (size_t i = 0; i < ranges->count; i++) {
    uintptr_t start = ranges->items[i].start, end = start + ranges->items[i].size;
    if (start < from) start = from;
    if (end > to) end = to;
    if (start < end) size += end - start;
  }
  return size;
}

/* Those that are half full, since all of it is memory then. */
static void collapse_data(const struct hot_ranges *ranges) {
  uintptr_t at, done = 0;
  for (size_t i = 0; i < ranges->count; i++) {
    uintptr_t end = ranges->items[i].start + ranges->items[i].size;
    for (at = ranges->items[i].start & ~(HUGE_PAGE - 1); at < end; at += HUGE_PAGE)
      if (at >= done && overlap(ranges, at, at + HUGE_PAGE) >= HUGE_PAGE / 2) {
        collapse(at);
        done = at + HUGE_PAGE;
      }
  }
}

void brig__hot_pages_settle(const struct hot_pages *pages, bool data) {
  const struct hot_ranges *images = &pages->images;
  collapse_files(&pages->read);
  for (size_t i = 0; i < images->count; i++)
    madvise((void *)images->items[i].start, images->items[i].size, MADV_DONTNEED);
  if (data) collapse_data(&pages->data);
}

static void each_page(const struct hot_ranges *ranges, void (*do_it)(volatile char *at)) {
  uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
  for (size_t i = 0; i < ranges->count; i++)
    for (uintptr_t offset = 0; offset < ranges->items[i].size; offset += page)
      do_it((volatile char *)(ranges->items[i].start + offset));
}

static void rewrite(volatile char *at) { *at = *at; }
void brig__hot_pages_copy(const struct hot_pages *pages) { each_page(&pages->written, rewrite); }

static void look_at(volatile char *at) { (void)*at; }
void brig__hot_pages_touch(const struct hot_pages *pages) { each_page(&pages->written, look_at); }

void brig__hot_pages_map(const struct hot_pages *pages) {
  for (size_t i = 0; i < pages->read.count; i++)
    madvise((void *)pages->read.items[i].start, pages->read.items[i].size, MADV_POPULATE_READ);
}
