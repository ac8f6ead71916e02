#include "sandbox/mapped.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/thread.h"
#include "pool/id_map.h"

#define KEPT_US  UINT64_C(3000000)
#define KEPT_MAX 64
#define SEEN_MAX 64

/* What was mapped, and through which mount; while its own is kept no other gets its inode. */
struct origin {
  uint64_t mount, inode;
  uint32_t major, minor;
  bool read_write;
};

struct kept {
  struct origin origin;
  int fd;
  uint64_t until_us;
};

struct seen {
  struct origin origin;
  uint64_t until_us;
};

struct mapped {
  int id_map;
  pthread_mutex_t lock;
  pthread_cond_t wake;
  pthread_t thread;
  bool running, closing;
  struct kept items[KEPT_MAX]; /* those that go first come first */
  size_t count;
  struct seen seen[SEEN_MAX]; /* the next to be forgotten is at `oldest` */
  size_t oldest;
};

struct mapped *brig__mapped_new(int id_map) {
  struct mapped *mapped = calloc(1, sizeof *mapped);
  if (mapped == NULL) return NULL;
  mapped->id_map = id_map;
  pthread_mutex_init(&mapped->lock, NULL);
  brig__condition_init(&mapped->wake);
  return mapped;
}

/* With the lock, which is not held while it is closed. */
static void let_go_of_first(struct mapped *mapped) {
  int fd = mapped->items[0].fd;
  mapped->count--;
  memmove(mapped->items, mapped->items + 1, mapped->count * sizeof *mapped->items);
  pthread_mutex_unlock(&mapped->lock);
  close(fd);
  pthread_mutex_lock(&mapped->lock);
}

static void *let_go(void *context) {
  struct mapped *mapped = context;
  pthread_mutex_lock(&mapped->lock);
  while (mapped->count > 0 || !mapped->closing) {
    const struct kept *first = mapped->items;
    if (mapped->count == 0)
      pthread_cond_wait(&mapped->wake, &mapped->lock);
    else if (mapped->closing || brig__now_us() >= first->until_us)
      let_go_of_first(mapped);
    else
      brig__condition_wait(&mapped->wake, &mapped->lock, first->until_us);
  }
  pthread_mutex_unlock(&mapped->lock);
  return NULL;
}

void brig__mapped_free(struct mapped *mapped) {
  if (mapped == NULL) return;
  pthread_mutex_lock(&mapped->lock);
  mapped->closing = true;
  pthread_cond_signal(&mapped->wake);
  pthread_mutex_unlock(&mapped->lock);
  if (mapped->running) pthread_join(mapped->thread, NULL);
  pthread_cond_destroy(&mapped->wake);
  pthread_mutex_destroy(&mapped->lock);
  free(mapped);
}

static bool same(const struct origin *a, const struct origin *b) {
  return a->mount == b->mount && a->inode == b->inode && a->major == b->major &&
         a->minor == b->minor && a->read_write == b->read_write;
}

/* A copy of what is kept, or -1. */
static int find(struct mapped *mapped, const struct origin *origin) {
  uint64_t now_us = brig__now_us();
  int fd = -1;
  pthread_mutex_lock(&mapped->lock);
  for (size_t i = 0; i < mapped->count && fd < 0; i++)
    if (now_us < mapped->items[i].until_us && same(&mapped->items[i].origin, origin))
      fd = fcntl(mapped->items[i].fd, F_DUPFD_CLOEXEC, 0);
  pthread_mutex_unlock(&mapped->lock);
  return fd;
}

/* With the lock. Those of many sessions, each used now and then, would only be in the way. */
static bool comes_again(struct mapped *mapped, const struct origin *origin) {
  uint64_t now_us = brig__now_us();
  for (size_t i = 0; i < SEEN_MAX; i++)
    if (now_us < mapped->seen[i].until_us && same(&mapped->seen[i].origin, origin)) return true;
  mapped->seen[mapped->oldest++ % SEEN_MAX] = (struct seen){*origin, now_us + KEPT_US};
  return false;
}

/* A copy of it, if there is room, and somebody to let go of it. */
static void keep(struct mapped *mapped, const struct origin *origin, int fd) {
  pthread_mutex_lock(&mapped->lock);
  if (!comes_again(mapped, origin)) {
    pthread_mutex_unlock(&mapped->lock);
    return;
  }
  if (!mapped->running) mapped->running = brig__thread_start(&mapped->thread, let_go, mapped) == 0;
  int copy = mapped->running && mapped->count < KEPT_MAX ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;
  if (copy >= 0) {
    mapped->items[mapped->count++] = (struct kept){*origin, copy, brig__now_us() + KEPT_US};
    pthread_cond_signal(&mapped->wake);
  }
  pthread_mutex_unlock(&mapped->lock);
}

int brig__mapped_directory(struct mapped *mapped, int fd, bool read_write) {
  struct statx st;
  const unsigned wanted = STATX_UID | STATX_INO | STATX_MNT_ID;
  if (mapped->id_map < 0 || statx(fd, "", AT_EMPTY_PATH, wanted, &st) < 0 || st.stx_uid != 0)
    return fd;
  const struct origin origin = {st.stx_mnt_id, st.stx_ino, st.stx_dev_major, st.stx_dev_minor,
                                read_write};
  bool known = st.stx_mask & STATX_MNT_ID; /* Linux 5.8 */
  int found = known ? find(mapped, &origin) : -1;
  if (found < 0) {
    found = brig__id_map_mount(fd, mapped->id_map, read_write);
    if (found < 0) return fd;
    if (known) keep(mapped, &origin, found);
  }
  close(fd);
  return found;
}
