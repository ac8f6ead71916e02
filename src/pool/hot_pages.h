/* pool/hot_pages.h - the pages of a template: what its forks share is made cheap to share,
 * and what nearly every one of them writes to, one that is ready has copied before its task
 * comes. Found by letting a fork run a sample: what it wrote to, it no longer shares with us. */
#ifndef BRIG_POOL_HOT_PAGES_H
#define BRIG_POOL_HOT_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HOT_RANGES_MAX 512

struct hot_ranges {
  size_t count;
  struct {
    uintptr_t start, size;
  } items[HOT_RANGES_MAX];
};

struct hot_pages {
  int maps, pagemap;         /* this process's, opened while that is allowed; or -1 */
  struct hot_ranges written; /* a fork shares them until it writes */
  struct hot_ranges read;    /* of files, code above all: fork() leaves them unmapped, */
  struct hot_ranges images;  /* but for these of them, of the module's image */
  struct hot_ranges data;    /* of no file: fork() shares them one by one */
};

/* Open what is needed under `proc_fd`, the host's /proc. Without it nothing is hot. */
void brig__hot_pages_open(struct hot_pages *pages, int proc_fd);

/* While a fork that has run the sample still lives: find what is not shared. */
void brig__hot_pages_find(struct hot_pages *pages);

void brig__hot_pages_close(struct hot_pages *pages);

/* Then, and once, for forks to be quick: files (all who map them have it so) and `data` go
 * to huge pages, where the kernel can, and images are no longer mapped until they are read.
 * Not data of which there may be a thousand forks at once: when the kernel looks for all who
 * map a huge page (reclaim, compaction, DAMON) it goes through 512 entries of each, for tenths
 * of a second, and fork() waits. */
void brig__hot_pages_settle(const struct hot_pages *pages, bool data);

/* In a fork that waits for its task: copy the ones, map the others. */
void brig__hot_pages_copy(const struct hot_pages *pages);
void brig__hot_pages_map(const struct hot_pages *pages);

/* When that is about to come: have the processor find them. */
void brig__hot_pages_touch(const struct hot_pages *pages);

#endif
