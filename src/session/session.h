/* session/session.h - what the files of session/ share: the sessions that are in
 * memory, and who may touch them.
 *
 * A session is in memory while it has a process or somebody uses it; the store has the
 * others. Who wants to do anything with one enters it, which waits for its turn; until
 * it is left, all of the session but what `lock` guards is that caller's.
 */
#ifndef BRIG_SESSION_SESSION_H
#define BRIG_SESSION_SESSION_H

#include <brig/session.h>
#include <jansson.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/queue.h>
#include <time.h>
#include "config/config.h"
#include "sandbox/queue.h"
#include "sandbox/turn.h"
#include "session/claim.h"
#include "session/store.h"
#include "session/workspace.h"

TAILQ_HEAD(session_list, session); /* the one used last first */

struct session_owner {
  const char *name;
  struct session_list sessions;
  uint64_t live;
};

struct session_state {
  struct zygote_process *process;
  uint64_t bytes; /* that it has had of its own, or has in common with others here */
};

struct session {
  /* Constant. */
  struct session_owner *of;
  const char *owner; /* its name */
  char *id;
  struct queue *turns_of; /* whose turn it is */
  /* With the lock of struct brig_sessions. */
  TAILQ_ENTRY(session) of_all, of_owner;
  unsigned users;   /* who wait or are in */
  uint64_t used_us; /* CLOCK_REALTIME */
  struct {          /* as it was left last: what others may know of it */
    bool live;
    uint64_t turns, bytes;
  } seen_as;
  /* With its turn. */
  char *guest;                    /* "python"; NULL: not known yet. Constant while live */
  struct session_state *states;   /* the current one first, then those before it */
  size_t state_count;
  struct {                      /* what saving and coming back may use: as the turns were allowed */
    uint64_t memory_bytes;
    bool metered;
  } allowed;
  json_t *lost;   /* as it came back from the store, to be told by its next turn; or NULL */
  /* saved_turns: as many had the saved state; tried_turns: the one that was tried last */
  uint64_t created_us, turns, saved_turns, tried_turns;
  char *unsaved;                           /* why saving failed when last tried, or NULL */
  bool slow;                               /* results do not wait for it to be saved */
  bool known;                              /* it is in the store */
  bool claimed;                            /* no other process has it */
  struct workspace_seen seen;              /* files that the last turn was told of */
  bool measured;                           /* the last turn left its workspace so: */
  struct workspace_room room;
};

struct brig_sessions {
  struct brig_sandbox *sandbox;
  struct brig_config *config;
  const struct brig_settings *settings;
  struct store *store;
  int claims;       /* see claim.h */
  char *workspaces; /* the directory */
  pthread_mutex_t lock;
  pthread_cond_t wake; /* of the thread */
  pthread_t thread;
  bool running, closing;
  uint64_t swept_us; /* of the thread */
  struct session_list list;
  void *owners;   /* of tsearch(3): those that have sessions here */
  uint64_t bytes; /* of all live sessions */
  uint64_t saved; /* how many the store had when it was last tidied */
};

/* id.c */
int brig__session_id_check(const char *id, struct brig_error *err);
/* One that cannot be guessed: fresh memory, or NULL. */
char *brig__session_id_new(void);
/* Tenant and user as one text, distinct for distinct pairs: fresh memory, or NULL. */
char *brig__session_owner(const char *tenant, const char *user);

void brig__sessions_table_init(struct brig_sessions *sessions);
/* table.c: take the session's turn, waiting in order; made if `make`, else
 * BRIG_E_NOT_FOUND where it is neither in memory nor in the store. BRIG_E_BUSY.
 * BRIG__CANCELLED once `cancel`, which may be NULL, is triggered. */
int brig__session_enter(struct brig_sessions *sessions, const char *owner, const char *id,
                        bool make, const struct brig_cancel *cancel, struct session **ret_session,
                        struct brig_error *err);
/* The same for one that must not be there, BRIG_E_INVALID if it is: never waits, so that
 * it may be called within another's turn. */
int brig__session_enter_new(struct brig_sessions *sessions, const char *owner, const char *id,
                            struct session **ret_session, struct brig_error *err);
void brig__session_leave(struct brig_sessions *sessions, struct session *session);
/* The turn of one that is in the store alone, without waiting or a look at it. NULL if it
 * is in memory, of this process or another: it has a process, or somebody uses it. */
struct session *brig__session_enter_saved(struct brig_sessions *sessions, const char *owner,
                                          const char *id);
/* While entered: the states, from the current one on, are these no more. */
void brig__session_end_states(struct session *session);
/* While entered: a new current state; the oldest beyond what may be undone ends. */
void brig__session_push(struct brig_sessions *sessions, struct session *session,
                        struct zygote_process *state, uint64_t bytes);
/* While entered: back to the state before, which there must be. */
void brig__session_pop(struct session *session);
/* While entered: what is saved is another state, of whatever number of turns. */
static inline void brig__session_unsaved(struct session *session) {
  session->saved_turns = session->tried_turns = UINT64_MAX;
}
/* While entered: no states, and nothing known but what the store has. */
void brig__session_forget(struct brig_sessions *sessions, struct session *session);
/* Save what is not saved, and end all of them; nobody is in. */
void brig__sessions_end_all(struct brig_sessions *sessions);
/* With nobody entered by the caller: save and end the sessions idle longest until the
 * limits hold, on an owner's sessions and on all. */
void brig__sessions_make_room(struct brig_sessions *sessions, const char *owner);
/* Count what is in the store. */
void brig__sessions_count_saved(struct brig_sessions *sessions);
/* Save what turns have changed; end what is idle for too long; remove what is too old. */
void brig__sessions_tidy(struct brig_sessions *sessions);

/* expire.c: remove, with their workspaces, saved sessions that were not used for too long. */
void brig__sessions_expire(struct brig_sessions *sessions);
/* Put it into the store. Where it has no room the saved sessions used least recently are
 * removed until it has; BRIG_E_LIMIT if those that are left are all in some memory. */
int brig__session_put(struct brig_sessions *sessions, const struct session_record *record,
                      struct brig_error *err);

/* steps.c, with the session's turn: what the driver is asked. To be freed whatever came
 * of it. */
struct step {
  const struct brig_turn *asked; /* limits, input, output; NULL: none of these, but */
  uint64_t timeout_ms;
  struct brig_cancel *cancel;
  struct zygote_process *from; /* NULL: the session's state */
  char *workspace, *memory;      /* the directories that it had */
  struct turn turn;
  struct turn_room room; /* in both */
  struct brig_request request;
  json_t *reply; /* an object; NULL if it ended badly, or this is none */
  json_t *at;    /* what it was at before: {"at": name}, or NULL */
  const void *data;
  size_t data_size;
};
struct workspace_size brig__workspace_most(const struct brig_settings *settings);
int brig__session_step(struct brig_sessions *sessions, struct session *session,
                       const struct turn_frame *frame, struct step *step, struct brig_error *err);
void brig__step_free(struct step *step);
/* The state that it led to, which there must be, becomes the session's. */
void brig__step_adopt(struct brig_sessions *sessions, struct session *session, struct step *step);
/* Bring it back from the store if it has no process. What could not be kept is in
 * session->lost then, an array of {"name", "reason"}. BRIG__CANCELLED. */
int brig__session_restore(struct brig_sessions *sessions, struct session *session,
                          const struct brig_cancel *cancel, struct brig_error *err);
/* What could not be kept when it was saved, an array of {"name", "reason"}; NULL if the record
 * is damaged, or there is no memory. */
json_t *brig__session_losses(const struct session_record *record);
int brig__session_damaged(const char *id, struct brig_error *err);
/* Put it into the store. */
int brig__session_store(struct brig_sessions *sessions, struct session *session,
                        struct brig_error *err);
/* The same for that which a turn has led to, before it becomes the session's. */
int brig__session_store_next(struct brig_sessions *sessions, struct session *session,
                             const struct step *step, struct brig_error *err);
/* As brig__session_store(), if that is to be before its callers hear of a change, and for
 * no longer than they should wait. */
void brig__session_store_at_once(struct brig_sessions *sessions, struct session *session);
/* Where it has no state yet, but a workspace: to be found, and to expire, as others are. */
void brig__session_note(struct brig_sessions *sessions, struct session *session);

/* result.c: the public result of a turn, from the step and what the workspace shows. */
struct turn_outcome {
  const char *session;
  uint64_t turns;
  struct step *step;
  json_t *lost; /* NULL: it was there */
  bool saved;
  const char *unsaved;
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
