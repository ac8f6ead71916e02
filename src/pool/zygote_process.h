/* pool/zygote_process.h - one zygote as the host sees it: started, greeted, told
 * to end. */
#ifndef BRIG_POOL_ZYGOTE_PROCESS_H
#define BRIG_POOL_ZYGOTE_PROCESS_H

#include <pthread.h>
#include <stdatomic.h>
#include "pool/pool.h"

struct zygote_process {
  atomic_uint references; /* the pool's, and one a call in progress */
  struct zygote_process *root; /* of a session's state: the zygote it descends from */
  pid_t launcher;              /* or -1 */
  int socket;
  int id_map;
  struct wire_hello hello;
  /* A template's: see struct wire_report. */
  uint64_t memory_bytes, resident_bytes;
  bool metered; /* its code counts fuel */
  pthread_mutex_t lock; /* of what follows: the ready worker that expects a call, or -1 */
  int expecting[WIRE_OFFER_FDS];
};

/* Start the helper and wait for its greeting. One reference, the caller's. */
int brig__zygote_process_start(const struct pool_options *options,
                               struct zygote_process **ret_process, struct brig_error *err);

/* A session's state that descends from `process`, by its socket, which is taken: it
 * takes calls as a zygote does. It keeps its zygote, which it would not outlive. One
 * reference; NULL without memory. */
struct zygote_process *brig__zygote_process_state(struct zygote_process *process, int socket);

struct zygote_process *brig__zygote_process_ref(struct zygote_process *process);

/* The last one to let go ends the zygote, its workers, and reaps the launcher. */
void brig__zygote_process_unref(struct zygote_process *process);

/* End it now, for a zygote that does not answer. */
void brig__zygote_process_kill(struct zygote_process *process);

#endif
