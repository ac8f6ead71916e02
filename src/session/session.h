/* session/session.h - what the files of session/ share: the sessions that are in
 * memory, and who may touch them.
 *
 * A session is in the list while it has a process or somebody uses it; the store has
 * the others. Who wants to do anything with one enters it, which waits for its turn;
 * until it is left, all of the session but what `lock` guards is that caller's.
 */
#ifndef BRIG_SESSION_SESSION_H
#define BRIG_SESSION_SESSION_H

#include <brig/session.h>
#include <jansson.h>
#include <pthread.h>
#include <stdbool.h>
#include <time.h>
#include "config/config.h"
#include "sandbox/turn.h"
#include "session/store.h"
#include "session/workspace.h"

struct session {
  /* Constant. */
  char *owner, *id;
  /* With the lock of struct brig_sessions. */
  struct session *next;
  pthread_cond_t left;
  uint64_t tickets, serving; /* the next to be given; the one that may be in */
  unsigned users;            /* who wait or are in */
  uint64_t used_us;          /* CLOCK_REALTIME */
  uint64_t bytes;            /* of its processes */
  bool live;
  /* With its turn. */
  char *guest;                    /* "python"; NULL: not known yet */
  struct zygote_process **states; /* the current one first, then those before it */
  size_t state_count;
  uint64_t created_us, turns, saved_turns; /* saved_turns: as many had the saved state */
  bool known;                              /* it is in the store */
  struct workspace_seen seen;              /* files that the last turn was told of */
};

struct brig_sessions {
  struct brig_sandbox *sandbox;
  struct brig_config *config;
  const struct brig_settings *settings;
  struct store *store;
  char *workspaces; /* the directory */
  pthread_mutex_t lock;
  pthread_cond_t wake; /* of the thread */
  pthread_t thread;
  bool running, closing;
  struct session *list;
};

/* id.c */
int brig__session_id_check(const char *id, struct brig_error *err);
/* One that cannot be guessed: fresh memory, or NULL. */
char *brig__session_id_new(void);
/* Tenant and user as one text, distinct for distinct pairs: fresh memory, or NULL. */
char *brig__session_owner(const char *tenant, const char *user);

/* table.c: take the session's turn, waiting in order; made if `make`, else
 * BRIG_E_NOT_FOUND where it is neither in memory nor in the store. BRIG_E_BUSY.
 * BRIG__CANCELLED once `cancel` is triggered. */
int brig__session_enter(struct brig_sessions *sessions, const char *owner, const char *id,
                        bool make, struct session **ret_session, struct brig_error *err);
void brig__session_leave(struct brig_sessions *sessions, struct session *session);
/* While entered: the states, from the current one on, are these no more. */
void brig__session_end_states(struct session *session);
/* While entered: a new current state; the oldest beyond what may be undone ends. */
void brig__session_push(struct brig_sessions *sessions, struct session *session,
                        struct zygote_process *state, uint64_t bytes);
/* While entered: back to the state before, which there must be. */
void brig__session_pop(struct session *session);
/* While entered: as if it had never been. */
void brig__session_forget(struct session *session);
/* Save what is not saved, and end all of them; nobody is in. */
void brig__sessions_end_all(struct brig_sessions *sessions);
/* With nobody entered by the caller: save and end the sessions idle longest until the
 * limits hold. */
void brig__sessions_make_room(struct brig_sessions *sessions);
/* Save what turns have changed; end what is idle for too long; remove what is too old. */
void brig__sessions_tidy(struct brig_sessions *sessions);

/* steps.c, with the session's turn: what the driver is asked. To be freed whatever came
 * of it. */
struct step {
  const struct brig_turn *asked; /* limits, input, output; NULL: none of these */
  char *workspace, *memory;      /* the directories that it had */
  struct turn turn;
  struct brig_request request;
  json_t *reply; /* an object; NULL if there is none, or it is none */
  const void *data;
  size_t data_size;
};
int brig__session_step(struct brig_sessions *sessions, struct session *session,
                       const struct turn_frame *frame, struct step *step, struct brig_error *err);
void brig__step_free(struct step *step);
/* The state that it led to, which there must be, becomes the session's. */
void brig__step_adopt(struct brig_sessions *sessions, struct session *session, struct step *step);
/* Bring it back from the store if it has no process. What could not be kept is added
 * to `lost`, an array of {"name", "reason"}. */
int brig__session_restore(struct brig_sessions *sessions, struct session *session,
                          bool *ret_restored, json_t *lost, struct brig_error *err);
/* Put it into the store. */
int brig__session_store(struct brig_sessions *sessions, struct session *session,
                        struct brig_error *err);

/* result.c: the public result of a turn, from the step and what the workspace shows. */
struct turn_outcome {
  struct session *session;
  struct step *step;
  bool restored;
  json_t *lost;
  struct workspace_changes *changes;
  char *output_file; /* taken */
};
int brig__turn_result_new(const struct turn_outcome *outcome, struct brig_turn_result **ret_result,
                          struct brig_error *err);

static inline uint64_t brig__real_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

#endif
