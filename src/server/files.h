/* server/files.h - a client's work on the files of a session (/workspace) and of its user
 * (/memory): reading, writing, listing, searching, editing, deleting.
 *
 * What is in there is the guests', what is asked for the client's: both hostile. The kernel
 * keeps every path inside (base/beneath.h), as it does for guests. Links that stay inside are
 * followed by what reads; what writes or deletes does so to no link's target. Only regular
 * files are opened. Everything has a bound, and ends when its client is gone or waits no more.
 *
 * A request without a user, which some cannot name, is about nobody's session of that id; or
 * else about that of the only user of the caller's tenant who has one.
 *
 * Threads: each call is one thread's, of the executor's.
 */
#ifndef BRIG_SERVER_FILES_H
#define BRIG_SERVER_FILES_H

#include <sandbox/sandbox.pb-c.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include "config/config.h"
#include "server/arena.h"
#include "server/matcher.h"
#include "server/struct_value.h"

#define FILES_FILE_MAX    ((size_t)16 << 20) /* of one that is searched or edited */
#define FILES_TEXT_MAX    (((size_t)4 << 20) - ((size_t)64 << 10)) /* in a reply */
#define FILES_ENTRIES_MAX 10000
#define FILES_WALKED_MAX  100000
#define FILES_DEPTH_MAX   64
#define FILES_PATH_MAX    4096

struct files_call {
  /* In. */
  const struct brig_settings *settings;
  const char *workspaces; /* the directory of all */
  const char *tenant;     /* NULL: none in particular */
  ProtobufCBinaryData session, user;
  uint64_t ends_us; /* by brig__now_us() */
  atomic_bool cancelled;
  /* Replies are made of it. */
  struct arena arena;
  /* Out, if it did not go well: for the client; and for the operator, or "". */
  ProtobufCBinaryData error;
  struct brig_error failure;
};

/* Each takes its request and fills its response but for `success` and `error`. 0; or -1 and
 * call->error. What was done until then stays done, and is told. */
int brig__files_read(struct files_call *call, const void *request, void *response);
int brig__files_write(struct files_call *call, const void *request, void *response);
int brig__files_list(struct files_call *call, const void *request, void *response);
int brig__files_search(struct files_call *call, const void *request, void *response);
int brig__files_edit(struct files_call *call, const void *request, void *response);
int brig__files_delete(struct files_call *call, const void *request, void *response);

/* --- For them. ------------------------------------------------------------------------ */

/* Tell why it did not go well; -1. The text may be of any bytes. */
int brig__files_fail(struct files_call *call, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* A negative errno about a path, in words. */
int brig__files_fail_errno(struct files_call *call, const char *path, int error);
/* True, and told: nobody waits for it any more. */
bool brig__files_ended(struct files_call *call);
/* As text for a reply, in the arena. */
ProtobufCBinaryData brig__files_text(struct files_call *call, const void *data, size_t size);

/* What a request's path names. */
struct files_place {
  int root;           /* /workspace or /memory, to be opened beneath; -1: it is not there yet, */
  char *root_path;    /* which is here; */
  const char *prefix; /* "" or "/memory/": how paths in replies begin */
  const char *path;   /* below it; "." for itself */
  const char *given;  /* the request's own words for it */
};
#define FILES_PLACE_INIT \
  { .root = -1 }

/* `make`: the session's directory, if it is not there. */
int brig__files_place(struct files_call *call, const ProtobufCBinaryData *path, bool make,
                      struct files_place *ret_place);
/* Below the root: of what is at `below` below the place, "" for the place. In the arena; NULL,
 * and told. */
const char *brig__files_join(struct files_call *call, const struct files_place *place,
                             const char *below);
/* The same as clients are told it. */
ProtobufCBinaryData brig__files_shown(struct files_call *call, const struct files_place *place,
                                      const char *below);
/* All of a directory in which there was nothing yet. */
static inline bool brig__files_is_new(const struct files_place *place) {
  return place->root < 0 && __builtin_strcmp(place->path, ".") == 0;
}
void brig__files_place_close(struct files_place *place);
#define CLEANUP_PLACE __attribute__((cleanup(brig__files_place_close)))

/* A regular file to read from. -1, and told. */
int brig__files_open(struct files_call *call, const struct files_place *place,
                     struct stat *ret_st);
/* All of it, with a 0 byte behind, in the arena. NULL, and told. */
char *brig__files_load(struct files_call *call, const char *path, int fd, size_t size,
                       size_t *ret_size);
/* Until the place is closed this caller alone changes what is below its root. */
int brig__files_lock(struct files_call *call, const struct files_place *place);

/* In files_read.c: "utf-8", which is the default, or "base64". */
int brig__files_encoding(struct files_call *call, const ProtobufCBinaryData *name,
                         bool *ret_base64);

/* In files_write.c: a file is there with all of this, or is as it was. */
int brig__files_replace(struct files_call *call, const struct files_place *place,
                        const void *data, size_t size);

/* In files_walk.c: what is below a directory, by name, directories before what is in them. */
struct files_item {
  int parent; /* of it, by `name` */
  const char *name;
  const char *path; /* below where the walk began */
  const struct stat *st; /* its own, if it is a link */
};

struct files_walk {
  bool recursive, hidden;
  bool children_first;
  bool *truncated; /* set where there is too much; NULL: that is told, and ends it */
  /* 0; -1, and told, to end it; 1 to end it well. */
  int (*visit)(struct files_call *call, void *context, const struct files_item *item);
  void *context;
};

int brig__files_walk(struct files_call *call, int directory, const struct files_walk *walk);

/* In files_list.c: names' patterns; those with a slash are for paths. An empty one, which has no
 * matcher, is for all. */
int brig__files_pattern(struct files_call *call, const ProtobufCBinaryData *pattern,
                        struct matcher **ret_matcher, bool *ret_whole_paths);
/* 1, 0; or -1, and told. */
int brig__files_is_wanted(struct files_call *call, struct matcher *matcher, bool whole_paths,
                          const struct files_item *item);

#endif
