#include "pool/pool.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/fd.h"
#include "pool/call.h"
#include "pool/zygote_process.h"

struct pool {
  struct pool_options options; /* with a helper of our own */
  pthread_mutex_t lock;        /* of `process` */
  struct zygote_process *process;
  atomic_bool up; /* there is one; the lock may be held for as long as one starts */
  atomic_uint_fast64_t died; /* zygotes */
  /* The first zygote's; what later ones say is the same. */
  struct wire_hello hello;
  int id_map;
};

static int check_walls(const struct pool *pool, struct brig_error *err) {
  const struct jail_report *report = &pool->hello.report;
  walls_t missing = pool->options.required & ~report->up;
  if (missing == 0) return 0;
  enum jail_wall wall = (enum jail_wall)__builtin_ctz(missing);
  return brig__fail(err, BRIG_E_JAIL, "jail",
                    "the wall %s is required (jail.require) and not up: %s. `brig doctor` shows "
                    "all of them",
                    brig__jail_wall_name(wall), report->walls[wall].detail);
}

int brig__pool_create(const struct pool_options *options, struct pool **ret_pool,
                      struct brig_error *err) {
  struct pool *pool = calloc(1, sizeof *pool);
  char *helper = strdup(options->helper);
  if (pool == NULL || helper == NULL) {
    free(pool);
    free(helper);
    return brig__fail(err, BRIG_E_MEMORY, "start", "out of memory");
  }
  pool->options = *options;
  pool->options.helper = helper;
  pool->id_map = -1;
  pthread_mutex_init(&pool->lock, NULL);
  int rc = brig__zygote_process_start(&pool->options, &pool->process, err);
  if (rc == 0) {
    atomic_store(&pool->up, true);
    pool->hello = pool->process->hello;
    pool->id_map = STEAL_FD(pool->process->id_map);
    rc = check_walls(pool, err);
  }
  if (rc < 0)
    brig__pool_destroy(pool);
  else
    *ret_pool = pool;
  return rc;
}

void brig__pool_destroy(struct pool *pool) {
  if (pool == NULL) return;
  brig__zygote_process_unref(pool->process);
  if (pool->id_map >= 0) close(pool->id_map);
  pthread_mutex_destroy(&pool->lock);
  free((char *)(uintptr_t)pool->options.helper);
  free(pool);
}

const struct wire_hello *brig__pool_hello(const struct pool *pool) { return &pool->hello; }

bool brig__pool_is_up(const struct pool *pool) { return atomic_load(&pool->up); }

uint64_t brig__pool_died(const struct pool *pool) { return atomic_load(&pool->died); }

int brig__pool_id_map(const struct pool *pool) { return pool->id_map; }

static int take_process(struct pool *pool, struct zygote_process **ret_process,
                        struct brig_error *err) {
  int rc = 0;
  pthread_mutex_lock(&pool->lock);
  if (pool->process == NULL) rc = brig__zygote_process_start(&pool->options, &pool->process, err);
  if (rc == 0) *ret_process = brig__zygote_process_ref(pool->process);
  atomic_store(&pool->up, pool->process != NULL);
  pthread_mutex_unlock(&pool->lock);
  return rc;
}

/* Let go of a zygote that is known to be dead, unless another thread has. */
static void give_up(struct pool *pool, struct zygote_process *process) {
  pthread_mutex_lock(&pool->lock);
  bool ours = pool->process == process;
  if (ours) {
    pool->process = NULL;
    atomic_store(&pool->up, false);
    atomic_fetch_add(&pool->died, 1);
  }
  pthread_mutex_unlock(&pool->lock);
  if (ours) brig__zygote_process_unref(process);
}

int brig__pool_call(struct pool *pool, const struct pool_call *call, struct pool_end *ret_end,
                    struct brig_error *err) {
  struct brig_error error;
  enum call_state state;
  int rc;
  int attempts = 0;
  do {
    struct zygote_process *process = NULL;
    rc = take_process(pool, &process, err);
    if (rc < 0) return rc;
    rc = brig__call_run(process, call, &state, ret_end, &error);
    if (state != CALL_ANSWERED) give_up(pool, process);
    brig__zygote_process_unref(process);
    /* A zygote that was dead before it had the task: a new one may have it. */
  } while (state == CALL_NOT_SENT && attempts++ == 0);
  if (rc < 0 && err != NULL) *err = error;
  return rc;
}
