/* FileDelete: a file, a directory (with what is in it, if `recursive`), or the files in a
 * directory that a pattern names. Links go, what they lead to stays. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include "base/beneath.h"
#include "base/fd.h"
#include "server/files.h"
#include "server/matcher.h"

#define TOLD_MAX 1000 /* paths */

struct deletion {
  const struct files_place *place;
  struct matcher *matcher; /* NULL: all, directories too */
  bool whole_paths;
  Shannon__Sandbox__FileDeleteResponse *response;
  size_t bytes; /* of the paths in it */
};

static void tell(struct files_call *call, struct deletion *deletion, const char *below) {
  Shannon__Sandbox__FileDeleteResponse *response = deletion->response;
  response->deleted_count++;
  if (response->n_deleted_paths == TOLD_MAX) return;
  ProtobufCBinaryData path = brig__files_shown(call, deletion->place, below);
  deletion->bytes += path.len;
  if (path.data != NULL && deletion->bytes < FILES_TEXT_MAX / 2)
    response->deleted_paths[response->n_deleted_paths++] = path;
}

static int delete_one(struct files_call *call, struct deletion *deletion, int parent,
                      const char *name, bool directory, const char *below) {
  if (unlinkat(parent, name, directory ? AT_REMOVEDIR : 0) < 0)
    return errno == ENOENT ? 0 : brig__files_fail_errno(call, name, -errno);
  tell(call, deletion, below);
  return 0;
}

static int visit(struct files_call *call, void *context, const struct files_item *item) {
  struct deletion *deletion = context;
  bool directory = S_ISDIR(item->st->st_mode);
  if (deletion->matcher != NULL) {
    int wanted = directory ? 0
                           : brig__files_is_wanted(call, deletion->matcher, deletion->whole_paths,
                                                   item);
    if (wanted <= 0) return wanted;
  }
  return delete_one(call, deletion, item->parent, item->name, directory, item->path);
}

static int delete_below(struct files_call *call, struct deletion *deletion, bool recursive,
                        bool hidden) {
  const struct files_walk walk = {.recursive = recursive,
                                  .hidden = hidden,
                                  .children_first = true,
                                  .visit = visit,
                                  .context = deletion};
  CLEANUP_FD int fd = brig__beneath_open(deletion->place->root, deletion->place->path,
                                         O_RDONLY | O_DIRECTORY);
  if (fd < 0) return brig__files_fail_errno(call, deletion->place->given, fd);
  return brig__files_walk(call, fd, &walk);
}

static int delete_path(struct files_call *call, struct deletion *deletion, bool recursive) {
  const struct files_place *place = deletion->place;
  CLEANUP_LEAF struct beneath_leaf leaf = {.parent = -1};
  struct stat st;
  int rc = brig__beneath_leaf(place->root, place->path, &leaf);
  if (rc < 0) return brig__files_fail_errno(call, place->given, rc);
  if (leaf.dots) return brig__files_fail(call, "%s: name a file or directory in it", place->given);
  if (fstatat(leaf.parent, leaf.name, &st, AT_SYMLINK_NOFOLLOW) < 0)
    return brig__files_fail_errno(call, place->given, -errno);
  bool directory = S_ISDIR(st.st_mode);
  if (!directory && leaf.slash) return brig__files_fail_errno(call, place->given, -ENOTDIR);
  if (directory && recursive && delete_below(call, deletion, true, true) < 0) return -1;
  return delete_one(call, deletion, leaf.parent, leaf.name, directory, "");
}

int brig__files_delete(struct files_call *call, const void *message, void *reply) {
  const Shannon__Sandbox__FileDeleteRequest *request = message;
  CLEANUP_PLACE struct files_place place = FILES_PLACE_INIT;
  CLEANUP_MATCHER struct matcher *matcher = NULL;
  struct deletion deletion = {.place = &place, .response = reply};
  if (brig__files_pattern(call, &request->pattern, &matcher, &deletion.whole_paths) < 0 ||
      brig__files_place(call, &request->path, false, &place) < 0)
    return -1;
  deletion.matcher = matcher;
  deletion.response->deleted_paths =
      brig__arena_new(&call->arena, TOLD_MAX * sizeof *deletion.response->deleted_paths);
  if (deletion.response->deleted_paths == NULL)
    return brig__files_fail_errno(call, place.given, -ENOMEM);
  if (place.root < 0) return brig__files_fail_errno(call, place.given, -ENOENT);
  if (brig__files_lock(call, &place) < 0) return -1;
  if (matcher == NULL) return delete_path(call, &deletion, request->recursive);
  /* As a shell does: hidden ones only where the pattern begins with their dot. */
  bool hidden = request->pattern.data[0] == '.';
  return delete_below(call, &deletion, request->recursive, hidden);
}
