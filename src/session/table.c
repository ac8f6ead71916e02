/* Which sessions are in memory, whose turn it is with each, and who has to leave. */
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/fd.h"
#include "session/session.h"

/* For a process that runs one turn; one that stays keeps its sessions. */
#define CLAIM_WAIT_MS 5000

void brig__sessions_table_init(struct brig_sessions *sessions) { TAILQ_INIT(&sessions->list); }

static int by_name(const void *a, const void *b) {
  const struct session_owner *left = a, *right = b;
  return strcmp(left->name, right->name);
}

/* Found, or made if `make`. */
static struct session_owner *get_owner(struct brig_sessions *sessions, const char *name,
                                       bool make) {
  const struct session_owner key = {.name = name};
  struct session_owner **found = tfind(&key, &sessions->owners, by_name);
  if (found != NULL || !make) return found == NULL ? NULL : *found;
  size_t size = strlen(name) + 1;
  struct session_owner *owner = calloc(1, sizeof *owner + size);
  if (owner == NULL) return NULL;
  owner->name = memcpy(owner + 1, name, size);
  TAILQ_INIT(&owner->sessions);
  if (tsearch(owner, &sessions->owners, by_name) != NULL) return owner;
  free(owner);
  return NULL;
}

static void remove_unused_owner(struct brig_sessions *sessions, struct session_owner *owner) {
  if (!TAILQ_EMPTY(&owner->sessions)) return;
  tdelete(owner, &sessions->owners, by_name);
  free(owner);
}

static struct session *find(struct brig_sessions *sessions, const char *owner, const char *id) {
  struct session_owner *of = get_owner(sessions, owner, false);
  struct session *at;
  if (of == NULL) return NULL;
  TAILQ_FOREACH(at, &of->sessions, of_owner)
    if (strcmp(at->id, id) == 0) return at;
  return NULL;
}

static void free_session(struct session *session) {
  brig__queue_close(session->turns_of);
  json_decref(session->lost);
  free(session->states);
  free(session->unsaved);
  free(session->guest);
  free(session->id);
  free(session);
}

static struct session *new_session(const struct brig_settings *settings, const char *id) {
  const struct queue_policy policy = {.working = 1,
                                      .waiting = settings->session_queue_length,
                                      .timeout_ms = settings->pool_queue_timeout_ms,
                                      .at_work = "turn of this session is at work",
                                      .waiting_key = "session.queue_length"};
  struct session *session = calloc(1, sizeof *session);
  if (session == NULL) return NULL;
  session->id = strdup(id);
  session->states = calloc(settings->session_undo + 1, sizeof *session->states);
  session->used_us = session->created_us = brig__real_us();
  if (session->id != NULL && session->states != NULL &&
      brig__queue_open(&policy, &session->turns_of, NULL) == 0)
    return session;
  free_session(session);
  return NULL;
}

/* With the lock. */
static struct session *add(struct brig_sessions *sessions, const char *owner, const char *id) {
  struct session_owner *of = get_owner(sessions, owner, true);
  struct session *session = of == NULL ? NULL : new_session(sessions->settings, id);
  if (session != NULL) {
    session->of = of;
    session->owner = of->name;
    TAILQ_INSERT_HEAD(&of->sessions, session, of_owner);
    TAILQ_INSERT_HEAD(&sessions->list, session, of_all);
  } else if (of != NULL) {
    remove_unused_owner(sessions, of);
  }
  return session;
}

/* With the lock: it is of no use any more. */
static void remove_unused(struct brig_sessions *sessions, struct session *session) {
  if (session->users > 0 || session->seen_as.live) return;
  if (session->claimed) brig__claim_release(sessions->claims, session->owner, session->id);
  TAILQ_REMOVE(&sessions->list, session, of_all);
  TAILQ_REMOVE(&session->of->sessions, session, of_owner);
  remove_unused_owner(sessions, session->of);
  free_session(session);
}

/* With the lock: the lists are in the order of use. */
static void touch(struct brig_sessions *sessions, struct session *session) {
  session->used_us = brig__real_us();
  TAILQ_REMOVE(&sessions->list, session, of_all);
  TAILQ_REMOVE(&session->of->sessions, session, of_owner);
  TAILQ_INSERT_HEAD(&session->of->sessions, session, of_owner);
  TAILQ_INSERT_HEAD(&sessions->list, session, of_all);
}

/* Before it is read from the store: what that says is then the last word. */
static int claim(struct brig_sessions *sessions, struct session *session,
                 const struct brig_cancel *cancel, struct brig_error *err) {
  if (session->claimed) return 0;
  int rc = brig__claim(sessions->claims, session->owner, session->id, CLAIM_WAIT_MS,
                       brig__cancel_fd(cancel), err);
  session->claimed = rc == 0;
  return rc;
}

/* With the lock, and its turn. */
static void show(struct brig_sessions *sessions, struct session *session) {
  bool live = session->state_count > 0;
  uint64_t bytes = 0;
  for (size_t i = 0; i < session->state_count; i++) bytes += session->states[i].bytes;
  sessions->bytes += bytes - session->seen_as.bytes;
  session->of->live += (uint64_t)live - (uint64_t)session->seen_as.live;
  session->seen_as.live = live;
  session->seen_as.bytes = bytes;
  session->seen_as.turns = session->turns;
}

/* With the lock: enter one that nobody uses, so that its turn is there at once. */
static void enter_idle(struct session *session) {
  session->users++;
  brig__queue_enter(session->turns_of, NULL, -1, NULL);
}

/* The other end of enter_idle(): it has not been used by that. */
static void leave_idle(struct brig_sessions *sessions, struct session *session) {
  pthread_mutex_lock(&sessions->lock);
  show(sessions, session);
  brig__queue_leave(session->turns_of);
  session->users--;
  remove_unused(sessions, session);
  pthread_mutex_unlock(&sessions->lock);
}

void brig__session_leave(struct brig_sessions *sessions, struct session *session) {
  pthread_mutex_lock(&sessions->lock);
  touch(sessions, session);
  pthread_mutex_unlock(&sessions->lock);
  leave_idle(sessions, session);
}

static int wait_for_turn(struct brig_sessions *sessions, struct session *session,
                         const struct brig_cancel *cancel, struct brig_error *err) {
  int rc = brig__queue_enter(session->turns_of, NULL, brig__cancel_fd(cancel), err);
  if (rc == 0) return 0;
  pthread_mutex_lock(&sessions->lock);
  session->users--;
  remove_unused(sessions, session);
  pthread_mutex_unlock(&sessions->lock);
  return rc;
}

/* Where it is new here: what the store knows of it. */
static int learn(struct brig_sessions *sessions, struct session *session,
                 const struct brig_cancel *cancel, struct brig_error *err) {
  CLEANUP_FREE struct session_record *record = NULL;
  if (session->guest != NULL || session->state_count > 0) return 0;
  int rc = claim(sessions, session, cancel, err);
  if (rc < 0) return rc;
  rc = brig__store_get(sessions->store, session->owner, session->id, &record, err);
  if (rc < 0) return rc;
  session->guest = strdup(record->guest);
  session->created_us = record->created_us;
  session->turns = session->saved_turns = record->turns;
  session->known = true;
  return session->guest == NULL ? brig__store_no_memory(err) : 0;
}

static int no_memory(struct brig_error *err) {
  return brig__fail(err, BRIG_E_MEMORY, "session", "out of memory");
}

int brig__session_enter(struct brig_sessions *sessions, const char *owner, const char *id,
                        bool make, const struct brig_cancel *cancel, struct session **ret_session,
                        struct brig_error *err) {
  pthread_mutex_lock(&sessions->lock);
  struct session *session = find(sessions, owner, id);
  if (session == NULL) session = add(sessions, owner, id);
  if (session != NULL) session->users++;
  pthread_mutex_unlock(&sessions->lock);
  if (session == NULL) return no_memory(err);
  int rc = wait_for_turn(sessions, session, cancel, err);
  if (rc < 0) return rc;
  struct brig_error why = {0};
  rc = learn(sessions, session, cancel, &why);
  if (rc == 0 || (rc == BRIG_E_NOT_FOUND && make)) {
    *ret_session = session;
    return 0;
  }
  leave_idle(sessions, session);
  if (rc == BRIG_E_NOT_FOUND)
    return brig__fail(err, rc, "session", "there is no session %s", id);
  if (err != NULL) *err = why;
  return rc;
}

/* Enter one that is not in memory: 1 if it is. */
static int enter_absent(struct brig_sessions *sessions, const char *owner, const char *id,
                        struct session **ret_session, struct brig_error *err) {
  pthread_mutex_lock(&sessions->lock);
  bool there = find(sessions, owner, id) != NULL;
  struct session *session = there ? NULL : add(sessions, owner, id);
  if (session != NULL) enter_idle(session);
  pthread_mutex_unlock(&sessions->lock);
  if (there) return 1;
  *ret_session = session;
  return session != NULL ? 0 : no_memory(err);
}

int brig__session_enter_new(struct brig_sessions *sessions, const char *owner, const char *id,
                            struct session **ret_session, struct brig_error *err) {
  struct session *session;
  int there = enter_absent(sessions, owner, id, &session, err);
  if (there < 0) return there;
  struct brig_error why = {0};
  int rc = there ? 0 : learn(sessions, session, NULL, &why);
  if (rc == BRIG_E_NOT_FOUND) {
    *ret_session = session;
    return 0;
  }
  if (!there) leave_idle(sessions, session);
  if (rc == 0)
    return brig__fail(err, BRIG_E_INVALID, "session", "there is a session %s already", id);
  if (err != NULL) *err = why;
  return rc;
}

static void end_oldest(struct session *session) {
  brig__state_end(session->states[--session->state_count].process);
}

void brig__session_end_states(struct session *session) {
  while (session->state_count > 0) end_oldest(session);
}

void brig__session_push(struct brig_sessions *sessions, struct session *session,
                        struct zygote_process *state, uint64_t bytes) {
  size_t most = sessions->settings->session_undo + 1;
  if (session->state_count == most) end_oldest(session);
  memmove(session->states + 1, session->states, session->state_count * sizeof *session->states);
  session->states[0] = (struct session_state){state, bytes};
  session->state_count++;
  pthread_mutex_lock(&sessions->lock);
  touch(sessions, session);
  pthread_mutex_unlock(&sessions->lock);
}

void brig__session_pop(struct session *session) {
  brig__state_end(session->states[0].process);
  memmove(session->states, session->states + 1, --session->state_count * sizeof *session->states);
}

void brig__session_forget(struct brig_sessions *sessions, struct session *session) {
  brig__session_end_states(session);
  session->turns = session->saved_turns = session->tried_turns = 0;
  session->known = session->slow = false;
  free(session->unsaved);
  session->unsaved = NULL;
  session->seen.count = 0;
  session->measured = false;
  json_decref(session->lost);
  session->lost = NULL;
  pthread_mutex_lock(&sessions->lock);
  show(sessions, session);
  pthread_mutex_unlock(&sessions->lock);
  free(session->guest); /* which others look at while it is live */
  session->guest = NULL;
}

/* Those in use that are passed over are no more than the requests at work. */
static struct session *oldest_of_all(struct brig_sessions *sessions) {
  struct session *at;
  TAILQ_FOREACH_REVERSE(at, &sessions->list, session_list, of_all)
    if (at->users == 0) return at;
  return NULL;
}

static struct session *oldest_of(struct session_owner *owner) {
  struct session *at;
  TAILQ_FOREACH_REVERSE(at, &owner->sessions, session_list, of_owner)
    if (at->users == 0) return at;
  return NULL;
}

struct session *brig__session_enter_saved(struct brig_sessions *sessions, const char *owner,
                                          const char *id) {
  struct session *session = NULL;
  if (enter_absent(sessions, owner, id, &session, NULL) != 0) return NULL;
  session->claimed = brig__claim(sessions->claims, owner, id, 0, -1, NULL) == 0;
  if (session->claimed) return session;
  leave_idle(sessions, session);
  return NULL;
}

/* The session idle longest that is one too many, entered; or NULL. */
static struct session *next_to_leave(struct brig_sessions *sessions, const char *name) {
  const struct brig_settings *settings = sessions->settings;
  struct session_owner *owner = get_owner(sessions, name, false);
  struct session *oldest = NULL;
  if (sessions->bytes > settings->session_memory_bytes) oldest = oldest_of_all(sessions);
  if (oldest == NULL && owner != NULL && owner->live > settings->session_max_live)
    oldest = oldest_of(owner);
  if (oldest != NULL) enter_idle(oldest);
  return oldest;
}

/* Entered: saved, and without its process. What cannot be saved is in the store as it was
 * before; but where Brig or the store is only busy, it stays, and that is told. */
static int let_go(struct brig_sessions *sessions, struct session *session, bool at_once) {
  int rc = session->saved_turns == session->turns ? 0
                                                  : brig__session_store(sessions, session, NULL);
  if (rc == BRIG_E_BUSY && !at_once) {
    brig__session_leave(sessions, session);
    return rc;
  }
  brig__session_end_states(session);
  leave_idle(sessions, session);
  return 0;
}

void brig__sessions_make_room(struct brig_sessions *sessions, const char *owner) {
  for (;;) {
    pthread_mutex_lock(&sessions->lock);
    struct session *session = next_to_leave(sessions, owner);
    pthread_mutex_unlock(&sessions->lock);
    if (session == NULL || let_go(sessions, session, false) < 0) return;
  }
}

void brig__sessions_end_all(struct brig_sessions *sessions) {
  for (struct session *next; (next = TAILQ_FIRST(&sessions->list)) != NULL;) {
    pthread_mutex_lock(&sessions->lock);
    enter_idle(next);
    pthread_mutex_unlock(&sessions->lock);
    let_go(sessions, next, true);
  }
}

/* One whose process is idle for too long, or whose changes are not saved; entered. */
static struct session *next_to_tend(struct brig_sessions *sessions, uint64_t now_us,
                                    bool *ret_expired) {
  uint64_t idle_us = sessions->settings->session_timeout_ms * 1000;
  struct session *at;
  TAILQ_FOREACH(at, &sessions->list, of_all) {
    if (at->users > 0) continue;
    *ret_expired = at->used_us + idle_us < now_us;
    bool tend = at->saved_turns != at->turns && at->tried_turns != at->turns;
    if (!*ret_expired && !tend) continue;
    enter_idle(at);
    return at;
  }
  return NULL;
}

/* One that cannot be saved is not tried again until it has changed, or has to leave. */
static int try_to_save(struct brig_sessions *sessions, struct session *session) {
  int rc = brig__session_store(sessions, session, NULL);
  if (rc != BRIG_E_BUSY) session->tried_turns = session->turns;
  leave_idle(sessions, session);
  return rc;
}

static void save_and_expire(struct brig_sessions *sessions, uint64_t now_us) {
  int rc = 0;
  while (rc != BRIG_E_BUSY) {
    bool expired = false;
    pthread_mutex_lock(&sessions->lock);
    struct session *session = next_to_tend(sessions, now_us, &expired);
    pthread_mutex_unlock(&sessions->lock);
    if (session == NULL) return;
    rc = expired ? let_go(sessions, session, false) : try_to_save(sessions, session);
  }
}

void brig__sessions_count_saved(struct brig_sessions *sessions) {
  uint64_t saved = 0;
  if (brig__store_count(sessions->store, NULL, &saved, NULL) < 0) return;
  pthread_mutex_lock(&sessions->lock);
  sessions->saved = saved;
  pthread_mutex_unlock(&sessions->lock);
}

void brig__sessions_tidy(struct brig_sessions *sessions) {
  save_and_expire(sessions, brig__real_us());
  brig__sessions_expire(sessions);
  brig__sessions_count_saved(sessions);
}
