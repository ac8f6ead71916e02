/* Which sessions are in memory, whose turn it is with each, and who has to leave. */
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/fd.h"
#include "session/session.h"

static struct session *find(struct brig_sessions *sessions, const char *owner, const char *id) {
  for (struct session *at = sessions->list; at != NULL; at = at->next)
    if (strcmp(at->id, id) == 0 && strcmp(at->owner, owner) == 0) return at;
  return NULL;
}

static void free_session(struct session *session) {
  pthread_cond_destroy(&session->left);
  free(session->states);
  free(session->guest);
  free(session->owner);
  free(session->id);
  free(session);
}

static struct session *add(struct brig_sessions *sessions, const char *owner, const char *id) {
  struct session *session = calloc(1, sizeof *session);
  if (session == NULL) return NULL;
  pthread_cond_init(&session->left, NULL);
  session->owner = strdup(owner);
  session->id = strdup(id);
  session->states = calloc(sessions->settings->session_undo + 1, sizeof(struct zygote_process *));
  if (session->owner == NULL || session->id == NULL || session->states == NULL) {
    free_session(session);
    return NULL;
  }
  session->used_us = session->created_us = brig__real_us();
  session->next = sessions->list;
  return sessions->list = session;
}

/* With the lock: it is of no use any more. */
static void remove_unused(struct brig_sessions *sessions, struct session *session) {
  if (session->users > 0 || session->live) return;
  struct session **at = &sessions->list;
  while (*at != session) at = &(*at)->next;
  *at = session->next;
  free_session(session);
}

/* With the lock, which is let go of meanwhile. */
static void wait_for_turn(struct brig_sessions *sessions, struct session *session) {
  uint64_t ticket = session->tickets++;
  session->users++;
  while (session->serving != ticket) pthread_cond_wait(&session->left, &sessions->lock);
}

static int learn(struct brig_sessions *sessions, struct session *session, struct brig_error *err) {
  CLEANUP_FREE struct session_record *record = NULL;
  if (session->guest != NULL || session->state_count > 0) return 0;
  int rc = brig__store_get(sessions->store, session->owner, session->id, &record, err);
  if (rc < 0) return rc;
  session->guest = strdup(record->guest);
  session->created_us = record->created_us;
  session->turns = session->saved_turns = record->turns;
  session->known = true;
  return session->guest == NULL ? brig__store_no_memory(err) : 0;
}

int brig__session_enter(struct brig_sessions *sessions, const char *owner, const char *id,
                        bool make, struct session **ret_session, struct brig_error *err) {
  pthread_mutex_lock(&sessions->lock);
  struct session *session = find(sessions, owner, id);
  if (session == NULL) session = add(sessions, owner, id);
  int rc = 0;
  if (session == NULL)
    rc = brig__fail(err, BRIG_E_MEMORY, "session", "out of memory");
  else if (session->users > sessions->settings->session_queue_length)
    rc = brig__fail(err, BRIG_E_BUSY, "session",
                    "%u turns wait for this session already (session.queue_length): try again "
                    "when they are done",
                    session->users - 1);
  else
    wait_for_turn(sessions, session);
  pthread_mutex_unlock(&sessions->lock);
  if (rc < 0) return rc;
  struct brig_error why;
  rc = learn(sessions, session, &why);
  if (rc == 0 || (rc == BRIG_E_NOT_FOUND && make)) {
    *ret_session = session;
    return 0;
  }
  brig__session_leave(sessions, session);
  if (rc == BRIG_E_NOT_FOUND)
    return brig__fail(err, rc, "session", "there is no session %s", id);
  if (err != NULL) *err = why;
  return rc;
}

void brig__session_leave(struct brig_sessions *sessions, struct session *session) {
  pthread_mutex_lock(&sessions->lock);
  session->live = session->state_count > 0;
  if (!session->live) session->bytes = 0;
  session->serving++;
  session->users--;
  pthread_cond_broadcast(&session->left);
  remove_unused(sessions, session);
  pthread_mutex_unlock(&sessions->lock);
}

void brig__session_end_states(struct session *session) {
  while (session->state_count > 0) brig__state_end(session->states[--session->state_count]);
}

void brig__session_push(struct brig_sessions *sessions, struct session *session,
                        struct zygote_process *state, uint64_t bytes) {
  size_t most = sessions->settings->session_undo + 1;
  if (session->state_count == most) brig__state_end(session->states[--session->state_count]);
  memmove(session->states + 1, session->states, session->state_count * sizeof *session->states);
  session->states[0] = state;
  session->state_count++;
  pthread_mutex_lock(&sessions->lock);
  session->bytes = bytes;
  session->used_us = brig__real_us();
  pthread_mutex_unlock(&sessions->lock);
}

void brig__session_pop(struct session *session) {
  brig__state_end(session->states[0]);
  memmove(session->states, session->states + 1, --session->state_count * sizeof *session->states);
}

void brig__session_forget(struct session *session) {
  free(session->guest);
  session->guest = NULL;
  session->turns = session->saved_turns = 0;
  session->known = false;
  session->seen.count = 0;
}

/* With the lock: enter one that nobody uses. */
static void enter_idle(struct session *session) {
  session->tickets++;
  session->users++;
}

/* The session idle longest that is one too many, entered; or NULL. */
static struct session *next_to_leave(struct brig_sessions *sessions) {
  const struct brig_settings *settings = sessions->settings;
  struct session *oldest = NULL;
  uint64_t bytes = 0;
  for (struct session *at = sessions->list; at != NULL; at = at->next)
    if (at->live) bytes += at->bytes;
  for (struct session *at = sessions->list; at != NULL; at = at->next) {
    uint64_t live = 0;
    if (!at->live || at->users > 0 || (oldest != NULL && oldest->used_us <= at->used_us)) continue;
    for (struct session *other = sessions->list; other != NULL; other = other->next)
      if (other->live && strcmp(other->owner, at->owner) == 0) live++;
    if (bytes > settings->session_memory_bytes || live > settings->session_max_live) oldest = at;
  }
  if (oldest != NULL) enter_idle(oldest);
  return oldest;
}

/* Entered: saved if that can be, and without its process. What cannot be saved stays
 * out of the store as it was; its next turn says so. */
static void let_go(struct brig_sessions *sessions, struct session *session) {
  if (session->saved_turns != session->turns) brig__session_store(sessions, session, NULL);
  brig__session_end_states(session);
  brig__session_leave(sessions, session);
}

void brig__sessions_make_room(struct brig_sessions *sessions) {
  for (;;) {
    pthread_mutex_lock(&sessions->lock);
    struct session *session = next_to_leave(sessions);
    pthread_mutex_unlock(&sessions->lock);
    if (session == NULL) return;
    let_go(sessions, session);
  }
}

void brig__sessions_end_all(struct brig_sessions *sessions) {
  for (struct session *next; (next = sessions->list) != NULL;) {
    pthread_mutex_lock(&sessions->lock);
    enter_idle(next);
    pthread_mutex_unlock(&sessions->lock);
    let_go(sessions, next);
  }
}

/* One whose process is idle for too long, or whose changes are not saved; entered. */
static struct session *next_to_tend(struct brig_sessions *sessions, uint64_t now_us,
                                    bool *ret_expired) {
  uint64_t idle_us = sessions->settings->session_timeout_ms * 1000;
  for (struct session *at = sessions->list; at != NULL; at = at->next) {
    if (!at->live || at->users > 0) continue;
    *ret_expired = at->used_us + idle_us < now_us;
    if (!*ret_expired && at->saved_turns == at->turns) continue;
    enter_idle(at);
    return at;
  }
  return NULL;
}

static int remove_old(const struct session_record *record, void *context) {
  struct brig_sessions *sessions = context;
  pthread_mutex_lock(&sessions->lock);
  bool used = find(sessions, record->owner, record->id) != NULL;
  pthread_mutex_unlock(&sessions->lock);
  if (used) return 0;
  brig__store_remove(sessions->store, record->owner, record->id, NULL);
  if (!sessions->settings->session_keep_workspaces)
    brig__workspace_remove(sessions->workspaces, record->owner, record->id);
  return 0;
}

void brig__sessions_tidy(struct brig_sessions *sessions) {
  uint64_t now_us = brig__real_us(), kept_us = sessions->settings->session_kept_ms * 1000;
  for (;;) {
    bool expired = false;
    pthread_mutex_lock(&sessions->lock);
    struct session *session = next_to_tend(sessions, now_us, &expired);
    pthread_mutex_unlock(&sessions->lock);
    if (session == NULL) break;
    if (expired) {
      let_go(sessions, session);
      continue;
    }
    /* One that cannot be saved is not tried again until it has changed. */
    if (brig__session_store(sessions, session, NULL) < 0) session->saved_turns = session->turns;
    brig__session_leave(sessions, session);
  }
  if (now_us > kept_us)
    brig__store_list(sessions->store, NULL, now_us - kept_us, remove_old, sessions, NULL);
}
