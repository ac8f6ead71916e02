#include "server/watch.h"

#include <stdbool.h>
#include <string.h>

static const struct timeval pause = {.tv_sec = 2};

static struct stat look(const char *path) {
  struct stat st;
  return stat(path, &st) == 0 ? st : (struct stat){0};
}

static bool is_same(const struct stat *a, const struct stat *b) {
  return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
         a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static void on_time(evutil_socket_t fd, short what, void *context) {
  struct watch *watch = context;
  bool changed = false;
  (void)fd;
  (void)what;
  for (size_t i = 0; i < watch->count; i++) {
    struct stat now = look(watch->files[i].path);
    changed |= !is_same(&now, &watch->files[i].seen);
    watch->files[i].seen = now;
  }
  if (changed) watch->changed(watch->context);
}

void brig__watch_add(struct watch *watch, const char *path) {
  if (path == NULL || path[0] == '\0' || watch->count == WATCH_MAX) return;
  watch->files[watch->count].path = path;
  watch->files[watch->count++].seen = look(path);
}

int brig__watch_begin(struct watch *watch, struct event_base *base,
                      void (*changed)(void *context), void *context) {
  watch->changed = changed;
  watch->context = context;
  watch->timer = event_new(base, -1, EV_PERSIST, on_time, watch);
  return watch->timer != NULL && event_add(watch->timer, &pause) == 0 ? 0 : -1;
}

void brig__watch_end(struct watch *watch) {
  if (watch->timer != NULL) event_free(watch->timer);
}
