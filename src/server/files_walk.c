/* What is below a directory. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/beneath.h"
#include "base/fd.h"
#include "server/files.h"

struct names {
  char **items;
  size_t count, capacity;
};

struct walking {
  struct files_call *call;
  const struct files_walk *walk;
  size_t walked;
};

static void free_names(struct names *names) {
  while (names->count > 0) free(names->items[--names->count]);
  free(names->items);
}
#define CLEANUP_NAMES __attribute__((cleanup(free_names)))

static int add_name(struct names *names, const char *name) {
  if (names->count == names->capacity) {
    size_t capacity = names->capacity == 0 ? 32 : 2 * names->capacity;
    char **items = realloc(names->items, capacity * sizeof *items);
    if (items == NULL) return -ENOMEM;
    names->items = items;
    names->capacity = capacity;
  }
  char *copy = strdup(name);
  if (copy == NULL) return -ENOMEM;
  names->items[names->count++] = copy;
  return 0;
}

static int compare(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Too much, of one thing or another. */
static int stop(struct walking *walking, const char *what, size_t max) {
  if (walking->walk->truncated == NULL)
    return brig__files_fail(walking->call, "%s %zu: name a directory further down", what, max);
  *walking->walk->truncated = true;
  return 0;
}

/* 1: there are too many. */
static int read_names(struct walking *walking, DIR *directory, struct names *names) {
  for (const char *name; (name = brig__next_name(directory)) != NULL;) {
    if (name[0] == '.' && !walking->walk->hidden) continue;
    if (walking->walked == FILES_WALKED_MAX) return 1;
    walking->walked++;
    if (add_name(names, name) < 0) return brig__files_fail_errno(walking->call, name, -ENOMEM);
  }
  if (names->count > 0) qsort(names->items, names->count, sizeof *names->items, compare);
  return 0;
}

static int list(struct walking *walking, int fd, const char *path, struct names *names) {
  DIR *directory = brig__open_directory(fd, ".");
  if (directory == NULL) return brig__files_fail_errno(walking->call, path, -errno);
  int rc = read_names(walking, directory, names);
  closedir(directory);
  return rc <= 0 ? rc : stop(walking, "there are more files than", FILES_WALKED_MAX);
}

static int walk_directory(struct walking *walking, int fd, const char *path, size_t depth);

/* What went away meanwhile, or became something else, is not there. */
static int descend(struct walking *walking, const struct files_item *item, size_t depth) {
  if (depth == FILES_DEPTH_MAX)
    return stop(walking, "directories are nested deeper than", FILES_DEPTH_MAX);
  CLEANUP_FD int fd =
      brig__beneath_open(item->parent, item->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP) return 0;
  if (fd < 0) return brig__files_fail_errno(walking->call, item->path, fd);
  return walk_directory(walking, fd, item->path, depth + 1);
}

static int walk_item(struct walking *walking, const struct files_item *item, size_t depth) {
  const struct files_walk *walk = walking->walk;
  bool descends = walk->recursive && S_ISDIR(item->st->st_mode);
  int rc = walk->children_first ? 0 : walk->visit(walking->call, walk->context, item);
  if (rc == 0 && descends) rc = descend(walking, item, depth);
  if (rc == 0 && walk->children_first) rc = walk->visit(walking->call, walk->context, item);
  return rc;
}

static int walk_directory(struct walking *walking, int fd, const char *path, size_t depth) {
  CLEANUP_NAMES struct names names = {0};
  int rc = list(walking, fd, path, &names);
  for (size_t i = 0; i < names.count && rc == 0; i++) {
    struct stat st;
    if (brig__files_ended(walking->call)) return -1;
    if (fstatat(fd, names.items[i], &st, AT_SYMLINK_NOFOLLOW) < 0) continue;
    CLEANUP_FREE char *below = brig__format("%s%s%s", path, path[0] == '\0' ? "" : "/",
                                            names.items[i]);
    if (below == NULL) return brig__files_fail_errno(walking->call, path, -ENOMEM);
    const struct files_item item = {
        .parent = fd, .name = names.items[i], .path = below, .st = &st};
    rc = walk_item(walking, &item, depth);
  }
  return rc;
}

int brig__files_walk(struct files_call *call, int directory, const struct files_walk *walk) {
  struct walking walking = {.call = call, .walk = walk};
  int rc = walk_directory(&walking, directory, "", 0);
  return rc < 0 ? rc : 0;
}
