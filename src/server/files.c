#include "server/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>
#include "base/beneath.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/utf8.h"
#include "session/session.h"

/* --- Telling ---------------------------------------------------------------------------- */

ProtobufCBinaryData brig__files_text(struct files_call *call, const void *data, size_t size) {
  size_t length = 0;
  char *text = brig__arena_take(&call->arena, brig__utf8_repair(data, size, &length));
  return (ProtobufCBinaryData){text == NULL ? 0 : length, (uint8_t *)text};
}

int brig__files_fail(struct files_call *call, const char *format, ...) {
  char text[2 * FILES_PATH_MAX];
  va_list args;
  va_start(args, format);
  int length = vsnprintf(text, sizeof text, format, args);
  va_end(args);
  call->error = brig__files_text(call, text, length < 0 ? 0 : strlen(text));
  return -1;
}

int brig__files_fail_errno(struct files_call *call, const char *path, int error) {
  static const struct {
    int error;
    const char *words;
  } rows[] = {
      {-EPERM, "leads out of its directory"},
      {-ENOENT, "there is no such file or directory"},
      {-ENOTDIR, "it is not a directory, or something in its path is none"},
      {-EISDIR, "it is a directory"},
      {-ELOOP, "it is a symbolic link, or there are too many in its path"},
      {-ENXIO, "it is not a regular file"},
      {-ENOTEMPTY, "the directory is not empty: that needs `recursive`"},
      {-ENAMETOOLONG, "the path is too long"},
      {-ENOMEM, "out of memory: try again later"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    if (rows[i].error == error) return brig__files_fail(call, "%s: %s", path, rows[i].words);
  brig__fail_errno(&call->failure, -error, "files", "%s", path);
  return brig__files_fail(call, "%s: %s", path, strerror(-error));
}

bool brig__files_ended(struct files_call *call) {
  if (!atomic_load(&call->cancelled) && brig__now_us() < call->ends_us) return false;
  brig__files_fail(call, "it took too long: name a directory or a file further down");
  return true;
}

/* --- Where ------------------------------------------------------------------------------- */

struct root {
  const char *name, *prefix;
  bool is_memory;
};

/* Which of the two directories a path begins in, and the rest of it. Whether that leads out is
 * the kernel's to say. */
static int choose_root(struct files_call *call, const char *path, struct root *ret_root,
                       const char **ret_below) {
  static const struct root roots[] = {{"/workspace", "", false}, {"/memory", "/memory/", true}};
  *ret_root = roots[0];
  *ret_below = path;
  if (path[0] != '/') return 0;
  for (size_t i = 0; i < sizeof roots / sizeof *roots; i++) {
    size_t length = strlen(roots[i].name);
    if (strncmp(path, roots[i].name, length) != 0) continue;
    if (path[length] != '/' && path[length] != '\0') continue;
    *ret_root = roots[i];
    *ret_below = path + length + strspn(path + length, "/");
    return 0;
  }
  return brig__files_fail(call, "%s: a path is relative, or begins with /workspace or /memory",
                          path);
}

static char *read_string(struct files_call *call, const char *what,
                         const ProtobufCBinaryData *text, size_t max) {
  char *string = text->len > max ? NULL : brig__text_string(&call->arena, text);
  if (string == NULL && !call->arena.failed)
    brig__files_fail(call, "%s has at most %zu bytes, and no 0 byte among them", what, max);
  return string;
}

static int make_root(struct files_call *call, const char *owner, const char *id, bool memory,
                     char **ret_path) {
  char *of_session = NULL, *of_user = NULL;
  int rc = brig__workspace_open(call->workspaces, owner, id, &of_session, &of_user, &call->failure);
  if (rc < 0) return brig__files_fail(call, "the workspace cannot be used");
  *ret_path = memory ? of_user : of_session;
  free(memory ? of_session : of_user);
  return 0;
}

static int find_root(struct files_call *call, const char *owner, const char *id, bool any_user,
                     char **ret_path) {
  int rc = brig__workspace_find(call->workspaces, owner, id, any_user, ret_path);
  if (rc == 0 || rc == -ENOENT) return rc;
  if (rc == -ENOTUNIQ)
    return brig__files_fail(call, "several users have a session '%s', and the request names none",
                            id);
  brig__fail_errno(&call->failure, -rc, "files", "the workspace %s", id == NULL ? "" : id);
  return brig__files_fail(call, "the workspace cannot be used");
}

/* Sets the place's root_path, if it is there. */
static int have_root(struct files_call *call, const char *session, bool memory, bool make,
                     struct files_place *place) {
  const char *user = read_string(call, "a user's id", &call->user, FILES_PATH_MAX);
  if (user == NULL) return -1;
  if (memory && user[0] == '\0') return brig__files_fail(call, "/memory needs a user's id");
  CLEANUP_FREE char *owner = brig__session_owner(call->tenant, user);
  if (owner == NULL) return brig__files_fail_errno(call, "/workspace", -ENOMEM);
  int rc = find_root(call, owner, memory ? NULL : session, user[0] == '\0', &place->root_path);
  if (rc == -ENOENT && make) rc = make_root(call, owner, session, memory, &place->root_path);
  return rc == -ENOENT ? 0 : rc;
}

int brig__files_place(struct files_call *call, const ProtobufCBinaryData *path, bool make,
                      struct files_place *ret_place) {
  struct root root;
  const char *text = read_string(call, "a path", path, FILES_PATH_MAX - 1);
  const char *session = read_string(call, "a session's id", &call->session, FILES_PATH_MAX);
  if (text == NULL || session == NULL) return -1;
  if (brig__session_id_check(session, &call->failure) < 0) {
    brig__files_fail(call, "%s", call->failure.message);
    call->failure.code = 0; /* the client's alone */
    return -1;
  }
  if (choose_root(call, text, &root, &ret_place->path) < 0 ||
      have_root(call, session, root.is_memory, make, ret_place) < 0)
    return -1;
  ret_place->prefix = root.prefix;
  ret_place->given = text[0] == '\0' ? root.name : text;
  if (ret_place->path[0] == '\0') ret_place->path = ".";
  if (ret_place->root_path == NULL) return 0;
  ret_place->root = open(ret_place->root_path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  return ret_place->root < 0 ? brig__files_fail_errno(call, ret_place->given, -errno) : 0;
}

const char *brig__files_join(struct files_call *call, const struct files_place *place,
                             const char *below) {
  size_t length = strlen(place->path);
  while (length > 1 && place->path[length - 1] == '/') length--;
  bool all = length == 1 && place->path[0] == '.';
  if (all && below[0] != '\0') length = 0;
  const char *slash = length > 0 && below[0] != '\0' ? "/" : "";
  const char *joined = brig__arena_format(&call->arena, "%.*s%s%s", (int)length, place->path, slash,
                                          below);
  if (joined == NULL) brig__files_fail_errno(call, place->given, -ENOMEM);
  return joined;
}

ProtobufCBinaryData brig__files_shown(struct files_call *call, const struct files_place *place,
                                      const char *below) {
  const char *joined = brig__files_join(call, place, below);
  char *shown = joined == NULL || place->prefix[0] == '\0'
                    ? (char *)(uintptr_t)joined
                    : brig__arena_format(&call->arena, "%s%s", place->prefix, joined);
  return shown == NULL ? (ProtobufCBinaryData){0} : brig__files_text(call, shown, strlen(shown));
}

void brig__files_place_close(struct files_place *place) {
  if (place->root >= 0) close(place->root);
  free(place->root_path);
  *place = (struct files_place)FILES_PLACE_INIT;
}

/* Nothing else locks it: not guests, who cannot, and turns are not kept from it. */
int brig__files_lock(struct files_call *call, const struct files_place *place) {
  while (flock(place->root, LOCK_EX) < 0)
    if (errno != EINTR) return brig__files_fail_errno(call, place->given, -errno);
  return brig__files_ended(call) ? -1 : 0;
}

/* --- Files -------------------------------------------------------------------------------- */

int brig__files_open(struct files_call *call, const struct files_place *place,
                     struct stat *ret_st) {
  CLEANUP_FD int fd = brig__beneath_open(place->root, place->path, O_RDONLY);
  if (fd < 0) return brig__files_fail_errno(call, place->given, fd);
  if (fstat(fd, ret_st) < 0) return brig__files_fail_errno(call, place->given, -errno);
  if (S_ISDIR(ret_st->st_mode)) return brig__files_fail_errno(call, place->given, -EISDIR);
  if (!S_ISREG(ret_st->st_mode)) return brig__files_fail_errno(call, place->given, -ENXIO);
  return STEAL_FD(fd);
}

char *brig__files_load(struct files_call *call, const char *path, int fd, size_t size,
                       size_t *ret_size) {
  char *data = brig__arena_take(&call->arena, malloc(size + 1));
  ssize_t got = data == NULL ? -ENOMEM : brig__read_all(fd, data, size);
  if (got < 0) {
    brig__files_fail_errno(call, path, (int)got);
    return NULL;
  }
  data[got] = '\0';
  *ret_size = (size_t)got;
  return data;
}
