/* server/session_answer.h - what sessions are and did, as messages of proto/brig/sessions.proto:
 * in an arena, which says at the end whether all could be made. What is given is borrowed
 * unless it says otherwise. Pure functions. */
#ifndef BRIG_SERVER_SESSION_ANSWER_H
#define BRIG_SERVER_SESSION_ANSWER_H

#include <brig/session.h>
#include <brig/sessions.pb-c.h>
#include "server/arena.h"

/* `with_output`: what it wrote is in it. */
Brig__V1__TurnResult *brig__session_answer_turn(struct arena *arena,
                                                const struct brig_turn_result *result,
                                                bool with_output);

/* Lists that grow by a copy of each. */
struct session_losses {
  struct arena *arena;
  Brig__V1__Lost **items;
  size_t count;
};
void brig__session_answer_lost(void *losses, const struct brig_lost *lost);

struct session_infos {
  struct arena *arena;
  Brig__V1__SessionInfo **items;
  size_t count;
};
void brig__session_answer_info(void *infos, const struct brig_session_info *info);

#endif
