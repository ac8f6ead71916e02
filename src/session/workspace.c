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

/* Each level takes a descriptor and a frame of the stack while it is looked at. */
#define DEPTH_MAX 64

#define NAME_LENGTH 32 /* of a digest's digits */

/* Of the user's; no session's id begins with a dot. */
#define MEMORY ".memory"

/* Below the directory of all: TENANT/USER/SESSION. What tenants and users are called may be any
 * bytes: their directories are named by digests. */
struct names {
  char of_tenant[BRIG_DIGEST_HEX], of_owner[BRIG_DIGEST_HEX];
};

/* How much of an owner (brig__session_owner) tells the tenant. */
static size_t tenant_length(const char *owner) {
  char *colon;
  size_t length = strtoul(owner, &colon, 10), all = strlen(owner);
  size_t begin = (size_t)(colon - owner) + 1;
  return length < all && begin + length < all ? begin + length : all;
}

static int name_directories(const char *owner, struct names *names) {
  struct brig_digest digest;
  if (brig__digest_repeated(owner, tenant_length(owner), &digest) < 0) return -1;
  brig__digest_hex(&digest, names->of_tenant);
  if (brig__digest_repeated(owner, strlen(owner), &digest) < 0) return -1;
  brig__digest_hex(&digest, names->of_owner);
  names->of_tenant[NAME_LENGTH] = names->of_owner[NAME_LENGTH] = '\0';
  return 0;
}

static int check_ours(const char *path, struct stat *ret_st) {
  if (lstat(path, ret_st) < 0) return -errno;
  return S_ISDIR(ret_st->st_mode) && ret_st->st_uid == geteuid() ? 0 : -EPERM;
}

/* It may be there already, as it mostly is. */
static int make(const char *path, struct stat *ret_st, struct brig_error *err) {
  int rc = check_ours(path, ret_st);
  if (rc == -ENOENT) {
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
      return brig__fail_errno(err, errno, "session", "making the directory %s", path);
    rc = check_ours(path, ret_st);
  }
  if (rc == 0) return 0;
  if (rc != -EPERM) return brig__fail_errno(err, -rc, "session", "%s", path);
  return brig__fail(err, BRIG_E_PERMISSION, "session",
                    "%s is not a directory of ours: remove it, or set session.workspaces_directory",
                    path);
}

/* How exactly the time of the last use is kept. */
#define USE_SECONDS 1

/* Changes its ctime, which no guest can set. */
static void note_use(const char *path, const struct stat *st) {
  time_t now = time(NULL);
  if (now < st->st_ctime || now > st->st_ctime + USE_SECONDS)
    utimensat(AT_FDCWD, path, NULL, AT_SYMLINK_NOFOLLOW);
}

static int no_memory(struct brig_error *err) {
  return brig__fail(err, BRIG_E_MEMORY, "session", "out of memory");
}

int brig__workspace_open(const char *directory, const char *owner, const char *id,
                         char **ret_workspace, char **ret_memory, struct brig_error *err) {
  struct names names;
  CLEANUP_FREE char *root = realpath(directory, NULL);
  int rc = root != NULL ? 0 : brig__mkdir_p(directory);
  if (rc < 0) return brig__fail_errno(err, -rc, "session", "making the directory %s", directory);
  if (root == NULL) root = realpath(directory, NULL);
  if (root == NULL || name_directories(owner, &names) < 0) return no_memory(err);
  CLEANUP_FREE char *of_tenant = brig__format("%s/%s", root, names.of_tenant);
  CLEANUP_FREE char *of_owner = brig__format("%s/%s/%s", root, names.of_tenant, names.of_owner);
  CLEANUP_FREE char *workspace =
      of_owner == NULL || id == NULL ? NULL : brig__format("%s/%s", of_owner, id);
  CLEANUP_FREE char *memory = of_owner == NULL ? NULL : brig__format("%s/" MEMORY, of_owner);
  if (of_tenant == NULL || (workspace == NULL && id != NULL) || memory == NULL)
    return no_memory(err);
  struct stat st;
  rc = make(of_tenant, &st, err);
  if (rc == 0) rc = make(of_owner, &st, err);
  if (rc == 0) rc = make(memory, &st, err);
  if (rc == 0 && workspace != NULL) rc = make(workspace, &st, err);
  if (rc == 0 && workspace != NULL) note_use(workspace, &st);
  if (rc < 0) return rc;
  if (workspace != NULL) *ret_workspace = STEAL_PTR(workspace);
  *ret_memory = STEAL_PTR(memory);
  return 0;
}

/* The next one in it that is not hidden. */
static const char *next_shown(DIR *directory) {
  struct dirent *item;
  while ((item = readdir(directory)) != NULL && item->d_name[0] == '.') continue;
  return item == NULL ? NULL : item->d_name;
}

/* The tenant's only user who has a session of that id. */
static int find_user(const char *of_tenant, const char *id, char **ret_path) {
  DIR *users = opendir(of_tenant);
  if (users == NULL) return -errno;
  int rc = -ENOENT;
  for (const char *user; rc != -ENOTUNIQ && (user = next_shown(users)) != NULL;) {
    CLEANUP_FREE char *path = brig__format("%s/%s/%s", of_tenant, user, id);
    if (path == NULL || faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) < 0) continue;
    rc = rc == 0 ? -ENOTUNIQ : 0;
    free(*ret_path);
    *ret_path = STEAL_PTR(path);
  }
  closedir(users);
  return rc;
}

int brig__workspace_find(const char *directory, const char *owner, const char *id, bool any_user,
                         char **ret_path) {
  struct names names;
  if (id == NULL) id = MEMORY;
  if (name_directories(owner, &names) < 0) return -ENOMEM;
  CLEANUP_FREE char *of_tenant = brig__format("%s/%s", directory, names.of_tenant);
  CLEANUP_FREE char *path =
      of_tenant == NULL ? NULL : brig__format("%s/%s/%s", of_tenant, names.of_owner, id);
  if (path == NULL) return -ENOMEM;
  struct stat st;
  int rc = check_ours(path, &st);
  if (rc == -ENOENT && any_user && (rc = find_user(of_tenant, id, &path)) == 0)
    rc = check_ours(path, &st);
  if (rc < 0) return rc;
  note_use(path, &st);
  *ret_path = STEAL_PTR(path);
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
  uint64_t most;
  struct workspace_size held;
  struct workspace_changes *changes; /* NULL: nobody asks for them; else */
  struct timespec since;
  const struct workspace_seen *before;
  struct workspace_seen *seen;
};

static bool was_seen(const struct scan *scan, const struct stat *st) {
  for (size_t i = 0; i < scan->before->count; i++)
    if (scan->before->items[i].ino == st->st_ino &&
        memcmp(&scan->before->items[i].changed, &st->st_ctim, sizeof st->st_ctim) == 0)
      return true;
  return false;
}

static void note_change(struct scan *scan, const char *path, const struct stat *st) {
  struct workspace_changes *changes = scan->changes;
  struct workspace_seen *seen = scan->seen;
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

static void count(struct scan *scan, const struct stat *st) {
  scan->held.files++;
  if (!S_ISREG(st->st_mode)) return;
  scan->held.bytes += (uint64_t)st->st_size;
  if (scan->held.bytes > INT64_MAX) scan->held.bytes = INT64_MAX; /* sums of these do not wrap */
}

static bool scan_directory(struct scan *scan, int parent, const char *name, const char *path,
                           int depth);

static bool scan_item(struct scan *scan, int directory, const char *name, const char *path,
                      int depth) {
  struct stat st;
  if (fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) < 0) return errno == ENOENT;
  if (scan->held.files == scan->most) return false;
  count(scan, &st);
  const char *slash = S_ISDIR(st.st_mode) ? "/" : "";
  CLEANUP_FREE char *below =
      scan->changes == NULL ? NULL : brig__format("%s%s%s", path, name, slash);
  if (scan->changes != NULL && below == NULL) return false;
  if (S_ISDIR(st.st_mode)) return scan_directory(scan, directory, name, below, depth + 1);
  if (scan->changes != NULL && S_ISREG(st.st_mode)) note_change(scan, below, &st);
  return true;
}

/* `path` is that of the directory, with a slash behind it, or empty. False: not all of
 * it could be looked at. */
static bool scan_directory(struct scan *scan, int parent, const char *name, const char *path,
                           int depth) {
  if (depth > DEPTH_MAX) return false;
  DIR *directory = brig__open_directory(parent, name);
  if (directory == NULL) return errno == ENOENT; /* another session of the user's removed it */
  bool all = true;
  for (const char *below; all && (below = brig__next_name(directory)) != NULL;)
    all = scan_item(scan, dirfd(directory), below, path, depth);
  closedir(directory);
  return all;
}

static struct workspace_room scan_all(struct scan *scan, const char *path,
                                      const struct workspace_size *most) {
  scan->most = most->files;
  bool all = scan_directory(scan, AT_FDCWD, path, "", 0);
  struct workspace_room room = {.held = scan->held};
  if (!all || room.held.bytes > most->bytes) return room;
  room.left.bytes = most->bytes - room.held.bytes;
  room.left.files = most->files - room.held.files;
  return room;
}

void brig__workspace_measure(const char *directory, const struct workspace_size *most,
                             struct workspace_room *ret_room) {
  *ret_room = scan_all(&(struct scan){0}, directory, most);
}

void brig__workspace_changes(const char *workspace, const struct workspace_size *most,
                             struct timespec since, struct workspace_seen *seen,
                             struct workspace_changes *ret_changes) {
  struct workspace_seen last = *seen;
  struct scan scan = {.changes = ret_changes, .since = since, .before = &last, .seen = seen};
  *ret_changes = (struct workspace_changes){0};
  seen->count = 0;
  ret_changes->room = scan_all(&scan, workspace, most);
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

/* Takes over `owner`, which may be NULL. */
static void sweep_owner(DIR *owner, time_t unused_since) {
  struct stat st;
  if (owner == NULL) return;
  for (const char *name; (name = next_shown(owner)) != NULL;)
    if (fstatat(dirfd(owner), name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
        st.st_ctim.tv_sec + USE_SECONDS < unused_since)
      brig__remove_tree(dirfd(owner), name);
  closedir(owner);
}

static void sweep_tenant(DIR *tenant, time_t unused_since) {
  if (tenant == NULL) return;
  for (const char *name; (name = next_shown(tenant)) != NULL;)
    sweep_owner(brig__open_directory(dirfd(tenant), name), unused_since);
  closedir(tenant);
}

void brig__workspace_sweep(const char *path, time_t unused_since) {
  DIR *all = opendir(path);
  if (all == NULL) return;
  for (const char *name; (name = next_shown(all)) != NULL;)
    sweep_tenant(brig__open_directory(dirfd(all), name), unused_since);
  closedir(all);
}

void brig__workspace_remove(const char *directory, const char *owner, const char *id) {
  struct names names;
  if (name_directories(owner, &names) < 0) return;
  CLEANUP_FREE char *of_owner =
      brig__format("%s/%s/%s", directory, names.of_tenant, names.of_owner);
  CLEANUP_FD int fd =
      of_owner == NULL ? -1 : open(of_owner, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd >= 0) brig__remove_tree(fd, id);
}

void brig__workspace_remove_empty(const char *workspace) {
  if (workspace != NULL) rmdir(workspace);
}
