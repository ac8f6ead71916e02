/* FileList. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include "base/beneath.h"
#include "base/fd.h"
#include "server/files.h"
#include "server/matcher.h"

/* What an entry takes in a reply beside its two texts, at most. */
#define ENTRY_OVERHEAD 64

struct listing {
  const struct files_place *place;
  struct matcher *matcher; /* NULL: all */
  bool whole_paths;        /* the pattern has a slash: it is for paths */
  Shannon__Sandbox__FileListResponse *response;
  size_t bytes;
};

int brig__files_pattern(struct files_call *call, const ProtobufCBinaryData *pattern,
                        struct matcher **ret_matcher, bool *ret_whole_paths) {
  char message[128];
  *ret_matcher = NULL;
  *ret_whole_paths = pattern->len > 0 && memchr(pattern->data, '/', pattern->len) != NULL;
  if (pattern->len == 0 ||
      brig__matcher_new(MATCH_NAME, pattern->data, pattern->len, ret_matcher, message) == 0)
    return 0;
  return brig__files_fail(call, "the pattern '%.*s': %s",
                          pattern->len < 100 ? (int)pattern->len : 100,
                          (const char *)pattern->data, message);
}

int brig__files_is_wanted(struct files_call *call, struct matcher *matcher, bool whole_paths,
                          const struct files_item *item) {
  const char *text = whole_paths ? item->path : item->name;
  int wanted = matcher == NULL ? 1 : brig__matcher_try(matcher, text, strlen(text));
  return wanted < 0 ? brig__files_fail(call, "the pattern takes too much work") : wanted;
}

/* A link is what it leads to, if that is inside. */
static void follow(struct files_call *call, const struct files_place *place,
                   const struct files_item *item, struct stat *st) {
  const char *path = brig__files_join(call, place, item->path);
  CLEANUP_FD int fd = path == NULL ? -1 : brig__beneath_open(place->root, path, O_PATH);
  struct stat target;
  if (fd >= 0 && fstat(fd, &target) == 0) *st = target;
}

static int add(struct files_call *call, struct listing *listing, const struct files_item *item) {
  Shannon__Sandbox__FileListResponse *response = listing->response;
  Shannon__Sandbox__FileEntry *entry = brig__arena_new(&call->arena, sizeof *entry);
  struct stat st = *item->st;
  if (entry == NULL) return brig__files_fail_errno(call, item->path, -ENOMEM);
  if (S_ISLNK(st.st_mode)) follow(call, listing->place, item, &st);
  shannon__sandbox__file_entry__init(entry);
  entry->name = brig__files_text(call, item->name, strlen(item->name));
  entry->path = brig__files_shown(call, listing->place, item->path);
  entry->is_file = S_ISREG(st.st_mode);
  entry->size_bytes = entry->is_file ? st.st_size : 0;
  entry->modified_time = st.st_mtime;
  response->file_count += entry->is_file;
  response->dir_count += S_ISDIR(st.st_mode);
  listing->bytes += entry->name.len + entry->path.len + ENTRY_OVERHEAD;
  if (response->n_entries == FILES_ENTRIES_MAX || listing->bytes > FILES_TEXT_MAX)
    return brig__files_fail(call,
                            "more entries than %d, or than fit into a reply: name a directory "
                            "further down, or a pattern",
                            FILES_ENTRIES_MAX);
  response->entries[response->n_entries++] = entry;
  return 0;
}

static int visit(struct files_call *call, void *context, const struct files_item *item) {
  struct listing *listing = context;
  int wanted = brig__files_is_wanted(call, listing->matcher, listing->whole_paths, item);
  return wanted <= 0 ? wanted : add(call, listing, item);
}

int brig__files_list(struct files_call *call, const void *message, void *reply) {
  const Shannon__Sandbox__FileListRequest *request = message;
  CLEANUP_PLACE struct files_place place = FILES_PLACE_INIT;
  CLEANUP_MATCHER struct matcher *matcher = NULL;
  struct listing listing = {.place = &place, .response = reply};
  const struct files_walk walk = {.recursive = request->recursive,
                                  .hidden = request->include_hidden,
                                  .visit = visit,
                                  .context = &listing};
  if (brig__files_pattern(call, &request->pattern, &matcher, &listing.whole_paths) < 0 ||
      brig__files_place(call, &request->path, false, &place) < 0)
    return -1;
  listing.matcher = matcher;
  if (brig__files_is_new(&place)) return 0;
  CLEANUP_FD int fd = brig__beneath_open(place.root, place.path, O_RDONLY | O_DIRECTORY);
  if (fd < 0) return brig__files_fail_errno(call, place.given, fd);
  listing.response->entries =
      brig__arena_new(&call->arena, FILES_ENTRIES_MAX * sizeof *listing.response->entries);
  if (listing.response->entries == NULL) return brig__files_fail_errno(call, place.given, -ENOMEM);
  int rc = brig__files_walk(call, fd, &walk);
  if (rc < 0) listing.response->n_entries = 0; /* half of them would be taken for all */
  return rc;
}
