/* FileWrite, and what FileEdit needs of it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>
#include "base/beneath.h"
#include "base/fd.h"
#include "server/base64.h"
#include "server/enforcement.h"
#include "server/files.h"

/* --- One file ----------------------------------------------------------------------------- */

/* What is there by that name: 1 a regular file, 0 nothing, -1, and told, something else. */
static int look(struct files_call *call, const struct files_place *place,
                const struct beneath_leaf *leaf, struct stat *ret_st) {
  *ret_st = (struct stat){.st_mode = 0600};
  if (leaf->dots || leaf->slash) return brig__files_fail_errno(call, place->given, -EISDIR);
  if (fstatat(leaf->parent, leaf->name, ret_st, AT_SYMLINK_NOFOLLOW) < 0)
    return errno == ENOENT ? 0 : brig__files_fail_errno(call, place->given, -errno);
  if (S_ISREG(ret_st->st_mode)) return 1;
  return brig__files_fail_errno(call, place->given, S_ISDIR(ret_st->st_mode)   ? -EISDIR
                                                   : S_ISLNK(ret_st->st_mode) ? -ELOOP
                                                                              : -ENXIO);
}

static int check_room(struct files_call *call, const struct files_place *place, size_t more) {
  struct brig_error err;
  if (more == 0 ||
      brig__enforcement_check_growth(place->root_path, more, call->settings, &err) == 0)
    return 0;
  return brig__files_fail(call, "%s", err.message);
}

/* A file that is whole, in the place of what had its name. */
static int put(int parent, const char *name, mode_t mode, const void *data, size_t size) {
  uint64_t random;
  char temporary[32];
  if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random) return -EIO;
  snprintf(temporary, sizeof temporary, ".brig-%016llx", (unsigned long long)random);
  CLEANUP_FD int fd =
      openat(parent, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0) return -errno;
  int rc = brig__write_all(fd, data, size);
  if (rc == 0 && fchmod(fd, mode & 0777) < 0) rc = -errno;
  if (rc == 0 && renameat(parent, temporary, parent, name) < 0) rc = -errno;
  if (rc < 0) unlinkat(parent, temporary, 0);
  return rc;
}

int brig__files_replace(struct files_call *call, const struct files_place *place,
                        const void *data, size_t size) {
  CLEANUP_LEAF struct beneath_leaf leaf = {.parent = -1};
  struct stat st;
  int rc = brig__beneath_leaf(place->root, place->path, &leaf);
  if (rc < 0) return brig__files_fail_errno(call, place->given, rc);
  if (look(call, place, &leaf, &st) < 0) return -1;
  size_t before = (size_t)st.st_size;
  if (check_room(call, place, size > before ? size - before : 0) < 0) return -1;
  rc = put(leaf.parent, leaf.name, st.st_mode, data, size);
  return rc < 0 ? brig__files_fail_errno(call, place->given, rc) : 0;
}

static int append(struct files_call *call, const struct files_place *place, const void *data,
                  size_t size) {
  CLEANUP_LEAF struct beneath_leaf leaf = {.parent = -1};
  struct stat st;
  int rc = brig__beneath_leaf(place->root, place->path, &leaf);
  if (rc < 0) return brig__files_fail_errno(call, place->given, rc);
  if (look(call, place, &leaf, &st) < 0 || check_room(call, place, size) < 0) return -1;
  /* Looked at before, a guest may have changed it since. */
  CLEANUP_FD int fd = brig__beneath_open(leaf.parent, leaf.name,
                                         O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW);
  rc = fd < 0 ? fd : fstat(fd, &st) < 0 ? -errno : S_ISREG(st.st_mode) ? 0 : -ENXIO;
  if (rc == 0) rc = brig__write_all(fd, data, size);
  return rc < 0 ? brig__files_fail_errno(call, place->given, rc) : 0;
}

/* --- Directories --------------------------------------------------------------------------- */

static int make_directory(const struct files_place *place, const char *path) {
  CLEANUP_LEAF struct beneath_leaf leaf = {.parent = -1};
  int fd = brig__beneath_open(place->root, path, O_PATH | O_DIRECTORY);
  if (fd >= 0) close(fd);
  if (fd != -ENOENT) return fd < 0 ? fd : 0;
  int rc = brig__beneath_leaf(place->root, path, &leaf);
  if (rc < 0) return rc;
  return mkdirat(leaf.parent, leaf.name, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

/* Those that the path goes through: no deeper than a walk would find them. */
static int make_directories(struct files_call *call, const struct files_place *place) {
  char path[FILES_PATH_MAX];
  size_t made = 0;
  snprintf(path, sizeof path, "%s", place->path);
  for (char *slash = path; (slash = strchr(slash, '/')) != NULL; slash += strspn(slash, "/")) {
    if (slash[strspn(slash, "/")] == '\0') break;
    if (++made > FILES_DEPTH_MAX)
      return brig__files_fail(call, "directories are nested no deeper than %d", FILES_DEPTH_MAX);
    *slash = '\0';
    int rc = make_directory(place, path);
    if (rc < 0) return brig__files_fail_errno(call, path, rc);
    *slash = '/';
  }
  return 0;
}

/* --- FileWrite ------------------------------------------------------------------------------ */

static int decode(struct files_call *call, const Shannon__Sandbox__FileWriteRequest *request,
                  ProtobufCBinaryData *ret_content) {
  bool base64;
  if (brig__files_encoding(call, &request->encoding, &base64) < 0) return -1;
  *ret_content = request->content;
  if (!base64) return 0;
  ret_content->data = brig__base64_decode(&call->arena, request->content.data,
                                          request->content.len, &ret_content->len);
  if (ret_content->data != NULL) return 0;
  return brig__files_fail(call, "the content is not base64");
}

static char *absolute_path(struct files_call *call, const struct files_place *place) {
  const char *path = brig__files_join(call, place, "");
  return path == NULL ? NULL
                      : brig__arena_format(&call->arena, "%s%s",
                                           place->prefix[0] == '\0' ? "/workspace/" : place->prefix,
                                           path);
}

int brig__files_write(struct files_call *call, const void *message, void *reply) {
  const Shannon__Sandbox__FileWriteRequest *request = message;
  Shannon__Sandbox__FileWriteResponse *response = reply;
  CLEANUP_PLACE struct files_place place = FILES_PLACE_INIT;
  ProtobufCBinaryData content;
  if (decode(call, request, &content) < 0 ||
      brig__files_place(call, &request->path, true, &place) < 0 ||
      brig__files_lock(call, &place) < 0 ||
      (request->create_dirs && make_directories(call, &place) < 0))
    return -1;
  int rc = request->append ? append(call, &place, content.data, content.len)
                           : brig__files_replace(call, &place, content.data, content.len);
  if (rc < 0) return rc;
  response->bytes_written = (int64_t)content.len;
  response->absolute_path = brig__text(absolute_path(call, &place));
  return 0;
}
