/* wasi/wasi.h - the 46 host calls of WASI preview 1: the wall that the guest
 * sees. Runs in the zygote and its workers. Knows no engine: a call gets a view
 * of the guest's memory and its arguments as integers, both hostile.
 *
 *   1. brig__wasi_create()   arguments, environment, streams, directories, quota
 *   2. for each of brig__wasi_calls: the engine makes it an import of the guest
 *   3. ...the guest runs, calls `invoke`...
 *   4. brig__wasi_usage()    what it wrote
 *
 * One thread. Nothing here allocates by a size that the guest chose.
 * Source of the rules: preview 1's witx (wasi_snapshot_preview1).
 */
#ifndef BRIG_WASI_WASI_H
#define BRIG_WASI_WASI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wasi;

/* A directory of the host's, as the guest's preopen. */
struct wasi_mount {
  int fd;           /* an open directory (O_PATH will do), the caller's; -1: a
                       placeholder, in which nothing is found until it is replaced */
  const char *name; /* what the guest calls it */
  bool read_write;
};

struct wasi_options {
  char *const *argv;                  /* NULL-terminated; copied */
  char *const *env;                   /* NULL-terminated "NAME=value"; copied */
  int stdin_fd, stdout_fd, stderr_fd; /* stay the caller's */
  const struct wasi_mount *mounts;    /* become descriptors 3, 4, ... */
  size_t mount_count;
  bool has_program; /* standard input gives this first, up to an end of its own (a read
                       of 0 bytes), before what stdin_fd has */
  int program_fd;   /* if so: a file's content, closed at its end; or -1: these bytes, */
  const void *program; /* which stay the caller's */
  size_t program_size;
  bool parks; /* for a template: the first call that asks for input returns
                 WASI_PARKED, having done nothing */
  bool has_control; /* for a session: behind the mounts there is one descriptor more,
                       and it, not standard input, is what gives the program, and what
                       parks, again after each program's end */
  int control_fd;   /* if so: where what is written to it goes */
  uint64_t quota_bytes, quota_files; /* for all read-write mounts together */
  uint64_t held_bytes, held_files;   /* what they hold: removing it makes room, too */
  uint32_t open_files;               /* guest descriptors, preopens included */
};

/* 0 or -errno. */
int brig__wasi_create(const struct wasi_options *options, struct wasi **ret_wasi);
void brig__wasi_destroy(struct wasi *wasi);

/* After WASI_PARKED, in a fork: the streams, directories and quota become those
 * of `options`, under the same guest descriptors. There must be as many mounts,
 * of the same names; arguments and environment stay. Asks for input succeed from
 * now on; of the control descriptor, up to the end of the program. */
void brig__wasi_resume(struct wasi *wasi, const struct wasi_options *options);

/* The host's descriptors that the guest holds and that were not given: at most
 * `max` of them; how many there are. */
size_t brig__wasi_opened(const struct wasi *wasi, int *fds, size_t max);

/* The guest's linear memory now; fetched anew for each call, as it may move or
 * grow between calls. */
struct wasi_view {
  uint8_t *base;
  uint64_t size;
};

/* `invoke` returns a preview 1 errno, or WASI_EXITED when the guest must not go
 * on: proc_exit was called, brig__wasi_exit_code() has the status; or WASI_PARKED
 * when it must not go on yet, and the same call is to be made again later. */
#define WASI_EXITED UINT32_MAX
#define WASI_PARKED (UINT32_MAX - 1)

struct wasi_call {
  const char *name;   /* "fd_read" */
  const char *params; /* one letter a parameter: 'i' i32, 'I' i64 */
  bool returns_errno; /* proc_exit alone returns nothing */
  uint32_t (*invoke)(struct wasi *wasi, const struct wasi_view *view, const uint64_t *args);
};

#define WASI_MODULE     "wasi_snapshot_preview1"
#define WASI_MAX_PARAMS 9

/* All of preview 1, generated from preview1.def. */
extern const struct wasi_call brig__wasi_calls[];
extern const size_t brig__wasi_call_count;

uint32_t brig__wasi_exit_code(const struct wasi *wasi);

struct wasi_usage {
  uint64_t written_bytes; /* growth of files charged to the quota */
  uint64_t written_files;
  bool quota_exceeded; /* a call was refused for it */
};
void brig__wasi_usage(const struct wasi *wasi, struct wasi_usage *ret_usage);

#endif
