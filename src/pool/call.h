/* pool/call.h - one task with one zygote. */
#ifndef BRIG_POOL_CALL_H
#define BRIG_POOL_CALL_H

#include "pool/zygote_process.h"

enum call_state {
  CALL_ANSWERED, /* the zygote is well, whatever became of the task */
  CALL_NOT_SENT, /* the zygote was gone before it got the task */
  CALL_LOST,     /* the zygote went, or stopped answering, with the task */
};

/* A call will come in a moment, or not: wake a worker that is ready for it, if there is
 * one. A processor that sleeps takes its time to wake, which the call's making is used for. */
void brig__call_expect(struct zygote_process *process);

int brig__call_run(struct zygote_process *process, const struct pool_call *call,
                   enum call_state *ret_state, struct pool_end *ret_end, struct brig_error *err);

#endif
