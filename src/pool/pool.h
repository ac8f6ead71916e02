/* pool/pool.h - the host's side: keeps a zygote alive, hands it tasks, and
 * carries a task's input, output and end. Runs in the host, any thread.
 *
 *   1. brig__pool_create()     starts the zygote, learns which walls are up
 *   2. brig__pool_call()       one task, to its end; blocks
 *   3. brig__pool_destroy()
 *
 * A zygote that died is replaced at the next call; the calls it held fail with
 * BRIG_E_LOST.
 */
#ifndef BRIG_POOL_POOL_H
#define BRIG_POOL_POOL_H

#include <brig/error.h>
#include <stdbool.h>
#include "pool/wire.h"

struct pool;

struct pool_options {
  const char *helper; /* the helper program's path */
  uid_t uid;          /* for workers, if we are root */
  walls_t required;   /* BRIG_E_JAIL if one of these is not up */
};

int brig__pool_create(const struct pool_options *options, struct pool **ret_pool,
                      struct brig_error *err);
void brig__pool_destroy(struct pool *pool);

/* What the zygote said of itself at the start. Constant. */
const struct wire_hello *brig__pool_hello(const struct pool *pool);

/* Is its zygote up? Does not wait for one that is being started. */
bool brig__pool_is_up(const struct pool *pool);
/* How many zygotes have died unasked. */
uint64_t brig__pool_died(const struct pool *pool);

/* The ID map for root's directories (see id_map.h), or -1. The pool's. */
int brig__pool_id_map(const struct pool *pool);

/* What `output` is told to be from. */
enum { POOL_STDOUT = 1, POOL_STDERR, POOL_REPLY };

/* One task. `fds` holds its descriptors from WIRE_FD_STDIN on, borrowed; those of
 * stdout, stderr and a session's own two are -1 where they are to be made, and `output`
 * to have what comes; that of the program is where `program` has it. */
struct pool_call {
  struct wire_task task;
  const char *program;
  size_t program_size;
  int fds[WIRE_MAX_FDS];
  size_t fd_count; /* all of them: WIRE_FD_COMMON and more */
  int cancel_fd;   /* readable: cancel; -1: none */
  bool stream;     /* output is wanted as it comes, not only before the call returns */
  void (*output)(void *context, int stream, const void *data, size_t size);
  void *context;
};

struct pool_end {
  struct wire_report report; /* if `reported`: the worker said how it ended */
  struct wire_exit exit;     /* if `exited`: the zygote saw it end; at least one is */
  bool reported, exited;
  bool ready;                 /* it was forked before it was asked for */
  int state; /* of a turn that ended well: the new state's socket, the caller's; or -1 */
  uint64_t sent_us, ended_us; /* CLOCK_MONOTONIC, by the host's own clock */
};

int brig__pool_call(struct pool *pool, const struct pool_call *call, struct pool_end *ret_end,
                    struct brig_error *err);

#endif
