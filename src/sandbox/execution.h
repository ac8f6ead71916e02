/* sandbox/execution.h - one execution, from its request to the calls that it makes; for
 * sandbox/ alone.
 *
 *   1. brig__execution_prepare()   its turn, directories, module, limits, code
 *   2. brig__execution_describe()  what a template's worker is sent, but for
 *      brig__execution_open()      its descriptors;
 *      brig__execution_start()     what makes the template
 *   3. brig__execution_close()
 */
#ifndef BRIG_SANDBOX_EXECUTION_H
#define BRIG_SANDBOX_EXECUTION_H

#include "sandbox/sandbox_internal.h"
#include "sandbox/turn.h"

/* All that an execution holds, so that one function lets go of it. */
struct execution {
  struct brig_sandbox *sandbox;
  struct brig_request request; /* as this version knows it */
  struct module module;
  struct program program; /* for the guest's driver, if it has a text */
  const struct turn_frame *frame; /* of a session's turn; else NULL */
  struct mounts mounts;
  struct brig_limits limits;
  struct code code;
  struct task_block strings;
  struct task_block given; /* what the guest's driver reads first, if there is one */
  int block, input;        /* or -1 */
  bool has_turn;
};

/* Callers built with an older header know fewer fields. */
int brig__request_read(const struct brig_request *request, struct brig_request *ret_known,
                       struct brig_error *err);

/* BRIG__CANCELLED too. To be closed whatever is returned. `frame`: what a session's
 * driver is asked, or NULL. */
int brig__execution_prepare(struct brig_sandbox *sandbox, const struct brig_request *asked,
                            const struct turn_frame *frame, struct execution *ret_execution,
                            struct brig_error *err);
void brig__execution_close(struct execution *execution);

int brig__execution_cancel_fd(const struct execution *execution);
struct engine_settings brig__execution_settings(const struct execution *execution);
struct template_kind brig__execution_kind(const struct execution *execution,
                                          const struct pool_call *call);

/* All that a template is known by, and then all that a worker of it needs. */
int brig__execution_describe(struct execution *execution, struct pool_call *ret_call,
                             struct brig_error *err);
int brig__execution_open(struct execution *execution, struct pool_call *call,
                         struct brig_error *err);

/* turn.c: as its driver reads it. */
int brig__turn_frame_block(const struct turn_frame *frame, struct task_block *ret_block,
                           struct brig_error *err);

/* What is run to make a template of this: with the operator's ceilings as limits,
 * any directories, and nothing of the request's beyond what the template's key
 * has. `ret_own` are descriptors to close. */
int brig__execution_start(const struct execution *execution, struct pool_call *call,
                          int ret_own[2], struct brig_error *err);

/* Start the template that this call would go on from, and wait for it. `named`: it is
 * the operator's, and stays. `ready` workers; 0: as many as is usual. */
int brig__execution_warm_up(const struct execution *execution, const struct pool_call *call,
                            bool named, uint32_t ready, struct brig_error *err);

#endif
