#include "session/workspace.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/digest.h"
#include "base/error.h"
#include "base/fd.h"

/* A turn is not to wait for a directory with millions of files in it. */
#define LOOKED_AT 20000
#define DEPTH_MAX 64

/* Of the user's; no session's id begins with a dot. */
#define MEMORY ".memory"

/* The name of an owner's directory: what it is made of may be any bytes. */
static char *owner_directory(const char *directory, const char *owner) {
  struct brig_digest digest;
  char hex[BRIG_DIGEST_HEX];
  if (brig__digest(owner, strlen(owner), &digest) < 0) return NULL;
  brig__digest_hex(&digest, hex);
  return brig__format("%s/%.32s", directory, hex);
}

static int make(const char *path, struct brig_error *err) {
  struct stat st;
  if (mkdir(path, 0700) < 0 && errno != EEXIST)
    return brig__fail_errno(err, errno, "session", "making the directory %s", path);
  if (lstat(path, &st) < 0) return brig__fail_errno(err, errno, "session", "%s", path);
  if (S_ISDIR(st.st_mode) && st.st_uid == geteuid()) return 0;
  return brig__fail(err, BRIG_E_PERMISSION, "session",
                    "%s is not a directory of ours: remove it, or set session.workspaces_directory",
                    path);
}

int brig__workspace_open(const char *directory, const char *owner, const char *id,
                         char **ret_workspace, char **ret_memory, struct brig_error *err) {
  CLEANUP_FREE char *root = realpath(directory, NULL);
  int rc = root != NULL ? 0 : brig__mkdir_p(directory);
  if (rc < 0) return brig__fail_errno(err, -rc, "session", "making the directory %s", directory);
  if (root == NULL) root = realpath(directory, NULL);
  CLEANUP_FREE char *of_owner = root == NULL ? NULL : owner_directory(root, owner);
  CLEANUP_FREE char *workspace = of_owner == NULL ? NULL : brig__format("%s/%s", of_owner, id);
  CLEANUP_FREE char *memory = of_owner == NULL ? NULL : brig__format("%s/" MEMORY, of_owner);
  if (workspace == NULL || memory == NULL)
    return brig__fail(err, BRIG_E_MEMORY, "session", "out of memory");
  rc = make(of_owner, err);
  if (rc == 0) rc = make(workspace, err);
  if (rc == 0) rc = make(memory, err);
  if (rc < 0) return rc;
  *ret_workspace = STEAL_PTR(workspace);
  *ret_memory = STEAL_PTR(memory);
  return 0;
}

struct timespec brig__workspace_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME_COARSE, &now);
  return now;
}

static bool before(struct timespec a, struct timespec b) {
  return a.tv_sec < b.tv_sec || (a.tv_sec == b.tv_sec && a.tv_nsec < b.tv_nsec);
}

struct scan {
  struct timespec since;
  const struct workspace_seen *before;
  struct workspace_seen *seen;
  struct workspace_changes *changes;
  unsigned looked_at;
};

static bool was_seen(const struct scan *scan, const struct stat *st) {
  for (size_t i = 0; i < scan->before->count; i++)
    if (scan->before->items[i].ino == st->st_ino &&
        memcmp(&scan->before->items[i].changed, &st->st_ctim, sizeof st->st_ctim) == 0)
      return true;
  return false;
}

static void found(struct scan *scan, const char *path, const struct stat *st) {
  struct workspace_changes *changes = scan->changes;
  struct workspace_seen *seen = scan->seen;
  changes->bytes += (uint64_t)st->st_size;
  if (before(st->st_ctim, scan->since) || was_seen(scan, st)) return;
  char *copy = changes->count < WORKSPACE_LISTED ? strdup(path) : NULL;
  if (copy == NULL) {
    changes->more++;
    return;
  }
  changes->items[changes->count].path = copy;
  changes->items[changes->count++].size = (uint64_t)st->st_size;
  seen->items[seen->count].ino = st->st_ino;
  seen->items[seen->count++].changed = st->st_ctim;
}

/* `path` is that of the directory, with a slash behind it, or empty. */
static void scan_directory(struct scan *scan, int parent, const char *name, const char *path,
                           int depth) {
  int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  DIR *directory = fd < 0 ? NULL : fdopendir(fd);
  if (directory == NULL) {
    if (fd >= 0) close(fd);
    return;
  }
  for (struct dirent *item; (item = readdir(directory)) != NULL;) {
    struct stat st;
    if (strcmp(item->d_name, ".") == 0 || strcmp(item->d_name, "..") == 0) continue;
    if (++scan->looked_at > LOOKED_AT) scan->changes->partial = true;
    if (scan->changes->partial) break;
    if (fstatat(fd, item->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0) continue;
    CLEANUP_FREE char *below =
        brig__format("%s%s%s", path, item->d_name, S_ISDIR(st.st_mode) ? "/" : "");
    if (below == NULL) continue;
    if (S_ISREG(st.st_mode))
      found(scan, below, &st);
    else if (S_ISDIR(st.st_mode) && depth < DEPTH_MAX)
      scan_directory(scan, fd, item->d_name, below, depth + 1);
  }
  closedir(directory);
}

void brig__workspace_changes(const char *workspace, struct timespec since,
                             struct workspace_seen *seen, struct workspace_changes *ret_changes) {
  struct workspace_seen last = *seen;
  struct scan scan = {.since = since, .before = &last, .seen = seen, .changes = ret_changes};
  *ret_changes = (struct workspace_changes){0};
  seen->count = 0;
  scan_directory(&scan, AT_FDCWD, workspace, "", 0);
}

void brig__workspace_changes_free(struct workspace_changes *changes) {
  while (changes->count > 0) free(changes->items[--changes->count].path);
}

char *brig__workspace_write(const char *workspace, const char *name, const void *data,
                            size_t size) {
  CLEANUP_FD int directory = open(workspace, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  CLEANUP_FREE char *copy = strdup(name);
  if (directory < 0 || copy == NULL) return NULL;
  unlinkat(directory, name, 0);
  CLEANUP_FD int fd =
      openat(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0 || brig__write_all(fd, data, size) < 0) return NULL;
  return STEAL_PTR(copy);
}

void brig__workspace_remove(const char *directory, const char *owner, const char *id) {
  CLEANUP_FREE char *of_owner = owner_directory(directory, owner);
  CLEANUP_FD int fd =
      of_owner == NULL ? -1 : open(of_owner, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd >= 0) brig__remove_tree(fd, id);
}
