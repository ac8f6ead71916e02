/* pool/zygote.h - the process that forks workers, keeps their deadlines and
 * reaps them. One thread; never holds a request's data, only its descriptors
 * for the moment between receiving them and the fork. */
#ifndef BRIG_POOL_ZYGOTE_H
#define BRIG_POOL_ZYGOTE_H

#include "pool/worker.h"

/* Serve tasks until the host closes its end. Returns the exit status. */
int brig__zygote_serve(struct worker_context *context, int socket);

#endif
