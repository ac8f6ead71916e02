/* FileEdit. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include "base/fd.h"
#include "server/files.h"

#define SNIPPET_LINES 3 /* before and after */
#define SNIPPET_MAX   ((size_t)4000)

struct edit {
  ProtobufCBinaryData from, to;
  const char *data;
  size_t size, count;
  size_t first; /* where the first one is */
};

static const char *find(const struct edit *edit, size_t at) {
  return memmem(edit->data + at, edit->size - at, edit->from.data, edit->from.len);
}

/* They do not overlap. */
static void count(struct edit *edit) {
  size_t at = 0;
  for (const char *found; (found = find(edit, at)) != NULL; edit->count++) {
    size_t where = (size_t)(found - edit->data);
    if (edit->count == 0) edit->first = where;
    at = where + edit->from.len;
  }
}

static char *copy(char *to, const void *from, size_t size) {
  if (size > 0) memcpy(to, from, size);
  return to + size;
}

/* All of them replaced. */
static void apply(const struct edit *edit, char *result) {
  size_t at = 0;
  for (const char *found; (found = find(edit, at)) != NULL;) {
    size_t where = (size_t)(found - edit->data);
    result = copy(result, edit->data + at, where - at);
    result = copy(result, edit->to.data, edit->to.len);
    at = where + edit->from.len;
  }
  copy(result, edit->data + at, edit->size - at);
}

static int check(struct files_call *call, const char *path, const struct edit *edit, bool all) {
  if (edit->count == 0)
    return brig__files_fail(call, "%s: old_text is not there; it must be the same to the letter",
                            path);
  if (edit->count > 1 && !all)
    return brig__files_fail(call,
                            "%s: old_text is there %zu times: give more of what is around it, or "
                            "set replace_all",
                            path, edit->count);
  return 0;
}

/* What the first replacement looks like among its neighbours. */
static ProtobufCBinaryData snippet(struct files_call *call, const char *data, size_t size,
                                   size_t first, size_t length) {
  size_t begin = first, end = first + length;
  for (int i = 0; i <= SNIPPET_LINES && begin > 0; i++) {
    const char *newline = memrchr(data, '\n', begin - (i > 0));
    begin = newline == NULL ? 0 : (size_t)(newline - data) + 1;
  }
  for (int i = 0; i <= SNIPPET_LINES && end < size; i++) {
    const char *newline = memchr(data + end, '\n', size - end);
    end = newline == NULL ? size : (size_t)(newline - data) + 1;
  }
  if (end - begin > SNIPPET_MAX) { /* long lines: what was written counts most */
    if (first - begin > SNIPPET_MAX / 4) begin = first - SNIPPET_MAX / 4;
    if (end - begin > SNIPPET_MAX) end = begin + SNIPPET_MAX;
  }
  return brig__files_text(call, data + begin, end - begin);
}

static int replace(struct files_call *call, const struct files_place *place,
                   const struct edit *edit, Shannon__Sandbox__FileEditResponse *response) {
  size_t grown = edit->count * edit->to.len;
  size_t size = edit->size - edit->count * edit->from.len + grown;
  if (size > FILES_FILE_MAX)
    return brig__files_fail(call, "%s would have %zu bytes, more than %zu", place->given, size,
                            FILES_FILE_MAX);
  char *result = brig__arena_new(&call->arena, size + 1);
  if (result == NULL) return brig__files_fail_errno(call, place->given, -ENOMEM);
  apply(edit, result);
  if (brig__files_replace(call, place, result, size) < 0) return -1;
  response->replacements = (int32_t)edit->count;
  response->file_size_after = (int64_t)size;
  response->snippet = snippet(call, result, size, edit->first, edit->to.len);
  return 0;
}

int brig__files_edit(struct files_call *call, const void *message, void *reply) {
  const Shannon__Sandbox__FileEditRequest *request = message;
  CLEANUP_PLACE struct files_place place = FILES_PLACE_INIT;
  struct edit edit = {.from = request->old_text, .to = request->new_text};
  struct stat st;
  if (edit.from.len == 0) return brig__files_fail(call, "old_text is empty");
  if (brig__files_place(call, &request->path, false, &place) < 0) return -1;
  if (place.root < 0) return brig__files_fail_errno(call, place.given, -ENOENT);
  /* Locked before it is read: no other edit is lost. */
  if (brig__files_lock(call, &place) < 0) return -1;
  CLEANUP_FD int fd = brig__files_open(call, &place, &st);
  if (fd < 0) return -1;
  if ((uint64_t)st.st_size > FILES_FILE_MAX)
    return brig__files_fail(call, "File too large: %lld bytes (max %zu)", (long long)st.st_size,
                            FILES_FILE_MAX);
  edit.data = brig__files_load(call, place.given, fd, (size_t)st.st_size, &edit.size);
  if (edit.data == NULL) return -1;
  count(&edit);
  if (check(call, place.given, &edit, request->replace_all) < 0) return -1;
  return replace(call, &place, &edit, reply);
}
