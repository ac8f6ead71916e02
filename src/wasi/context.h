/* wasi/context.h - the state behind one guest's host calls; for wasi/ alone. */
#ifndef BRIG_WASI_CONTEXT_H
#define BRIG_WASI_CONTEXT_H

#include "wasi/fd_table.h"
#include "wasi/guest_mem.h"
#include "wasi/quota.h"

/* NUL-terminated strings, end to end, as args_get and environ_get give them. */
struct string_block {
  char *data;
  uint32_t count, size;
};

struct wasi {
  struct string_block arguments, environment;
  struct fd_table fds;
  struct quota quota;
  int source;  /* what the program is read from: GIVEN_STDIN, or GIVEN_CONTROL */
  bool has_program; /* which is not over */
  int program_fd;   /* or -1: what is left of these bytes */
  const uint8_t *program;
  size_t program_size;
  bool parks;  /* the next wish for input from it is WASI_PARKED */
  uint32_t exit_code;
};

/* Prototypes of all calls but proc_exit: brig__wasi_fd_read(wasi, view, fd, ...). */
#define u(n) uint32_t
#define U(n) uint64_t
#define X(name, params, ...) \
  uint32_t brig__wasi_##name(struct wasi *wasi, const struct wasi_view *view, ##__VA_ARGS__);
#include "wasi/preview1.def"
#undef X
#undef U
#undef u

/* Must the caller leave with WASI_PARKED? */
bool brig__wasi_must_park(const struct wasi *wasi, const struct fd_entry *entry);

/* Does this descriptor give the program now? */
bool brig__wasi_gives_program(const struct wasi *wasi, const struct fd_entry *entry);

/* What fd_filestat_get and path_filestat_get give. */
struct stat;
wasi_errno brig__wasi_store_stat(const struct wasi_view *view, uint32_t address,
                                 const struct stat *st);
enum wasi_filetype brig__wasi_filetype(unsigned mode);

/* Times for utimensat from the guest's. WASI_EINVAL for contradictory flags. */
struct timespec;
wasi_errno brig__wasi_times(uint64_t atim, uint64_t mtim, uint32_t flags,
                            struct timespec ret_times[2]);

/* Leave with the error, if it is one. */
#define TRY(expression)                               \
  do {                                                \
    wasi_errno try_error = (expression);              \
    if (try_error != WASI_ESUCCESS) return try_error; \
  } while (0)

#endif
