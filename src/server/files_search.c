/* FileSearch. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/beneath.h"
#include "base/fd.h"
#include "base/utf8.h"
#include "server/files.h"
#include "server/matcher.h"

#define RESULTS_DEFAULT 100
#define RESULTS_MAX     1000
#define CONTEXT_MAX     10
#define LINE_SHOWN      1000 /* bytes of it */
#define MATCH_OVERHEAD  64   /* in the reply, beside its texts */
#define BINARY_LOOK     8192

struct file {
  const char *path; /* below the place */
  const char *data;
  size_t size;
};

struct line {
  const char *data;
  size_t size;
  int32_t number;
};

struct searching {
  struct files_call *call;
  const struct files_place *place;
  struct matcher *matcher, *include;
  bool whole_paths;
  size_t max, context;
  Shannon__Sandbox__FileSearchResponse *response;
  size_t bytes;
  char *buffer;
  size_t capacity;
};

/* --- Lines --------------------------------------------------------------------------------- */

/* The line that begins there. */
static struct line line_at(const struct file *file, size_t at, int32_t number) {
  const char *begin = file->data + at;
  const char *end = memchr(begin, '\n', file->size - at);
  return (struct line){begin, end == NULL ? file->size - at : (size_t)(end - begin), number};
}

/* The next one; false: there is none. */
static bool next_line(const struct file *file, struct line *line) {
  size_t at = (size_t)(line->data - file->data) + line->size + 1;
  if (at >= file->size) return false;
  *line = line_at(file, at, line->number + 1);
  return true;
}

static bool previous_line(const struct file *file, struct line *line) {
  if (line->data == file->data) return false;
  size_t end = (size_t)(line->data - file->data) - 1;
  const char *before = memrchr(file->data, '\n', end);
  *line = line_at(file, before == NULL ? 0 : (size_t)(before - file->data) + 1, line->number - 1);
  return true;
}

static ProtobufCBinaryData show(struct searching *searching, const struct line *line) {
  size_t size = line->size;
  if (size > 0 && line->data[size - 1] == '\r') size--;
  if (size > LINE_SHOWN) {
    size_t whole = brig__utf8_valid(line->data, LINE_SHOWN);
    size = LINE_SHOWN - whole < 4 ? whole : LINE_SHOWN; /* no character is cut */
  }
  ProtobufCBinaryData text = brig__files_text(searching->call, line->data, size);
  searching->bytes += text.len + MATCH_OVERHEAD;
  return text;
}

/* --- Matches -------------------------------------------------------------------------------- */

static void add_context_line(struct searching *searching, Shannon__Sandbox__SearchMatch *match,
                             const struct line *line) {
  Shannon__Sandbox__ContextLine *context =
      brig__arena_new(&searching->call->arena, sizeof *context);
  if (context == NULL) return;
  shannon__sandbox__context_line__init(context);
  context->line = line->number;
  context->content = show(searching, line);
  match->context[match->n_context++] = context;
}

/* The lines around it, which itself is not among them. */
static void add_context(struct searching *searching, const struct file *file,
                        const struct line *line, Shannon__Sandbox__SearchMatch *match) {
  struct line at = *line;
  size_t before = 0;
  match->context =
      brig__arena_new(&searching->call->arena, 2 * searching->context * sizeof *match->context);
  if (match->context == NULL) return;
  while (before < searching->context && previous_line(file, &at)) before++;
  for (; at.number < line->number; next_line(file, &at))
    add_context_line(searching, match, &at);
  for (size_t i = 0; i < searching->context && next_line(file, &at); i++)
    add_context_line(searching, match, &at);
}

/* 1: there is room for no more. */
static int add_match(struct searching *searching, const struct file *file,
                     const struct line *line) {
  Shannon__Sandbox__FileSearchResponse *response = searching->response;
  Shannon__Sandbox__SearchMatch *match =
      response->n_matches == searching->max
          ? NULL
          : brig__arena_new(&searching->call->arena, sizeof *match);
  if (match != NULL) {
    shannon__sandbox__search_match__init(match);
    match->file = brig__files_shown(searching->call, searching->place, file->path);
    match->line = line->number;
    match->content = show(searching, line);
    searching->bytes += match->file.len;
    if (searching->context > 0) add_context(searching, file, line, match);
  }
  if (searching->call->arena.failed)
    return brig__files_fail_errno(searching->call, file->path, -ENOMEM);
  response->truncated |= match == NULL || searching->bytes > FILES_TEXT_MAX;
  if (response->truncated) return 1;
  response->matches[response->n_matches++] = match;
  response->matches_found++;
  return 0;
}

static int search_lines(struct searching *searching, const struct file *file) {
  struct line line = line_at(file, 0, 1);
  int rc = 0;
  if (file->size == 0) return 0;
  do {
    int found = brig__matcher_try(searching->matcher, line.data, line.size);
    if (found < 0)
      return brig__files_fail(searching->call, "%s:%d: the query takes too much work here",
                              file->path, (int)line.number);
    if (brig__files_ended(searching->call)) return -1;
    if (found > 0) rc = add_match(searching, file, &line);
  } while (rc == 0 && next_line(file, &line));
  return rc;
}

/* --- Files ----------------------------------------------------------------------------------- */

/* What cannot be read as text is passed over: by its size, or since it is none. */
static int search_file(struct searching *searching, int fd, const char *path) {
  struct stat st;
  if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) return 0;
  if ((uint64_t)st.st_size > FILES_FILE_MAX) {
    searching->response->truncated = true;
    return 0;
  }
  size_t size = (size_t)st.st_size;
  if (size > searching->capacity) {
    free(searching->buffer);
    searching->capacity = size;
    searching->buffer = malloc(size);
    if (searching->buffer == NULL) searching->capacity = 0;
    if (searching->buffer == NULL) return brig__files_fail_errno(searching->call, path, -ENOMEM);
  }
  ssize_t got = brig__read_all(fd, searching->buffer, size);
  if (got <= 0) return 0;
  searching->response->files_scanned++;
  size_t look = (size_t)got < BINARY_LOOK ? (size_t)got : BINARY_LOOK;
  if (memchr(searching->buffer, 0, look) != NULL) return 0;
  return search_lines(searching,
                      &(struct file){.path = path, .data = searching->buffer, .size = (size_t)got});
}

static int visit(struct files_call *call, void *context, const struct files_item *item) {
  struct searching *searching = context;
  if (!S_ISREG(item->st->st_mode)) return 0;
  int wanted =
      brig__files_is_wanted(call, searching->include, searching->whole_paths, item);
  if (wanted <= 0) return wanted;
  CLEANUP_FD int fd = brig__beneath_open(item->parent, item->name, O_RDONLY | O_NOFOLLOW);
  return fd < 0 ? 0 : search_file(searching, fd, item->path);
}

static int search(struct searching *searching) {
  struct files_call *call = searching->call;
  bool truncated = false;
  const struct files_walk walk = {.recursive = true,
                                  .truncated = &truncated,
                                  .visit = visit,
                                  .context = searching};
  struct stat st;
  if (brig__files_is_new(searching->place)) return 0;
  CLEANUP_FD int fd = brig__beneath_open(searching->place->root, searching->place->path, O_RDONLY);
  if (fd < 0 || fstat(fd, &st) < 0)
    return brig__files_fail_errno(call, searching->place->given, fd < 0 ? fd : -errno);
  if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
    return brig__files_fail_errno(call, searching->place->given, -ENXIO);
  int rc = S_ISDIR(st.st_mode) ? brig__files_walk(call, fd, &walk) : search_file(searching, fd, "");
  searching->response->truncated |= truncated;
  return rc < 0 ? rc : 0;
}

static int make_matcher(struct files_call *call, const Shannon__Sandbox__FileSearchRequest *request,
                        struct matcher **ret_matcher) {
  char message[128];
  if (request->query.len == 0) return brig__files_fail(call, "the query is empty");
  if (brig__matcher_new(request->regex ? MATCH_REGEX : MATCH_TEXT, request->query.data,
                        request->query.len, ret_matcher, message) == 0)
    return 0;
  return brig__files_fail(call, "the query: %s", message);
}

static size_t bounded(int32_t asked, size_t by_default, size_t max) {
  if (asked <= 0) return by_default;
  return (size_t)asked < max ? (size_t)asked : max;
}

int brig__files_search(struct files_call *call, const void *message, void *reply) {
  const Shannon__Sandbox__FileSearchRequest *request = message;
  Shannon__Sandbox__FileSearchResponse *response = reply;
  CLEANUP_PLACE struct files_place place = FILES_PLACE_INIT;
  CLEANUP_MATCHER struct matcher *matcher = NULL;
  CLEANUP_MATCHER struct matcher *include = NULL;
  struct searching searching = {
      .call = call,
      .place = &place,
      .max = bounded(request->max_results, RESULTS_DEFAULT, RESULTS_MAX),
      .context = bounded(request->context_lines, 0, CONTEXT_MAX),
      .response = response,
  };
  if (make_matcher(call, request, &matcher) < 0 ||
      brig__files_pattern(call, &request->include, &include, &searching.whole_paths) < 0 ||
      brig__files_place(call, &request->path, false, &place) < 0)
    return -1;
  searching.matcher = matcher;
  searching.include = include;
  response->matches = brig__arena_new(&call->arena, searching.max * sizeof *response->matches);
  if (response->matches == NULL) return brig__files_fail_errno(call, place.given, -ENOMEM);
  int rc = search(&searching);
  free(searching.buffer);
  return rc;
}
