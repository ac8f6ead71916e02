/* pool/zygote.h - the process that forks workers, keeps their deadlines and
 * reaps them. One thread; never holds a request's data, only its descriptors
 * for the moment between receiving them and the fork. */
#ifndef BRIG_POOL_ZYGOTE_H
#define BRIG_POOL_ZYGOTE_H

#include "pool/worker.h"

/* How long a session's next turn may be in coming and still find a worker ready. */
#define READY_TURN_SECONDS 5

struct zygote_options {
  struct worker_context *context;
  int socket;       /* to the host */
  bool of_template; /* workers go on from where this process is */
  uint32_t ready;   /* so many of them are forked ahead of demand */
  bool of_state;    /* one session's: a ready worker that was not needed, or that has become
                       the next state, is not replaced */
};

/* What a fork is for. */
struct zygote_job {
  struct wire_task task;
  int fds[WIRE_MAX_FDS]; /* of a ready worker: STATUS, STDOUT and STDERR, else -1 */
  size_t fd_count;
};

enum zygote_role {
  ZYGOTE_ENDED,  /* the host is gone, and so are the workers */
  ZYGOTE_WARM,   /* not a fork: it is to become a template's */
  ZYGOTE_WORKER, /* this is a fork, to do the job */
  ZYGOTE_READY,  /* this is a fork, to wait for a job */
};

/* Serve until the host closes its end; returns in each fork, too, with nothing of
 * the server's left but descriptors. */
enum zygote_role brig__zygote_serve(const struct zygote_options *options,
                                    struct zygote_job *ret_job);

#endif
