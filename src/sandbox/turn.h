/* sandbox/turn.h - one step of a session: a turn is a fork of the session's state. What
 * src/session makes sessions of.
 *
 * A state is a process, parked where its guest's driver wants its next request. A turn
 * forks it; the fork is the next state if it parks again, and gone otherwise. The state
 * before is as it was, and can be gone on from again.
 */
#ifndef BRIG_SANDBOX_TURN_H
#define BRIG_SANDBOX_TURN_H

#include <brig/sandbox.h>

struct zygote_process; /* a state, by reference: brig__state_... */

/* What the driver is asked, or answers: on the wire the header's length in 4 bytes, the
 * header, which is JSON, and data up to the end. Borrowed. */
struct turn_frame {
  const char *header;
  const void *data;
  size_t size;
};
#define TURN_RUN(code) \
  (struct turn_frame) { "{\"op\":\"run\",\"count\":0}", (code), strlen(code) }

/* The frame as it travels, and is kept: fresh memory, or NULL. */
uint8_t *brig__turn_frame_bytes(const struct turn_frame *frame, size_t *ret_size);

/* What the request's read-write directories hold, and may grow by, whatever its quota. A
 * turn that removes something may write as much again. */
struct turn_room {
  uint64_t held_bytes, held_files, left_bytes, left_files;
};

struct turn {
  /* In. */
  const struct brig_request *request; /* guest, directories, limits, input...; no code */
  struct zygote_process *from;        /* the state to go on from; NULL: a fresh interpreter */
  struct turn_frame frame;
  const struct turn_room *room;       /* NULL: the request's quota, of what this turn adds */
  size_t reply_max;
  /* Out, the caller's. */
  struct brig_result *result;   /* how the process fared; EXITED, 0: the turn ended well */
  struct zygote_process *state; /* the next state, if so; else NULL */
  char *reply;                  /* what the driver answered, a hostile process's word, */
  size_t reply_size;            /* with a 0 byte after it; cut at `reply_max` */
};

/* A turn will come in a moment, or not: whoever is ready for it wakes. */
void brig__state_expect(struct zygote_process *state);

/* 0 whatever the guest did, BRIG_E_LOST if the state is gone, or another error, and
 * then there is nothing to free. */
int brig__turn_run(struct brig_sandbox *sandbox, struct turn *turn, struct brig_error *err);
void brig__turn_free(struct turn *turn);

/* As brig__turn_run(), for one that was cancelled before its time came. */
int brig__turn_cancelled(struct turn *turn, struct brig_error *err);

/* Readable once it is triggered; -1 for NULL. */
int brig__cancel_fd(const struct brig_cancel *cancel);

/* A second state that is the same. */
int brig__state_branch(struct zygote_process *state, struct zygote_process **ret_state,
                       struct brig_error *err);

/* End it. Accepts NULL. */
void brig__state_end(struct zygote_process *state);

/* How much memory it has beyond its template's, by the word of `result`: what its guest's has
 * grown by, and some. The kernel tells only what it shares, too. */
uint64_t brig__state_bytes(const struct zygote_process *state, const struct brig_result *result);

#endif
