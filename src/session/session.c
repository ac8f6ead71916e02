/* The calls of brig/session.h: each enters its session, and leaves it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/thread.h"
#include "session/output.h"
#include "session/session.h"

#define STORE_BUSY_MS 5000

static void *tidy(void *context) {
  struct brig_sessions *sessions = context;
  uint64_t interval_ms = sessions->settings->session_save_interval_ms;
  if (interval_ms == 0) interval_ms = 1000;
  pthread_mutex_lock(&sessions->lock);
  while (!sessions->closing) {
    uint64_t at_us = brig__now_us() + interval_ms * 1000;
    if (brig__condition_wait(&sessions->wake, &sessions->lock, at_us) != ETIMEDOUT) continue;
    pthread_mutex_unlock(&sessions->lock);
    brig__sessions_tidy(sessions);
    pthread_mutex_lock(&sessions->lock);
  }
  pthread_mutex_unlock(&sessions->lock);
  return NULL;
}

static int open_store(struct brig_sessions *sessions, struct brig_error *err) {
  const struct brig_settings *settings = sessions->settings;
  const struct store_limits limits = {settings->session_max_state_bytes,
                                      settings->session_store_bytes};
  CLEANUP_FREE char *path = NULL;
  if (settings->session_in_memory) return brig__store_memory_open(&limits, &sessions->store, err);
  int rc = brig__config_session_store(sessions->config, &path, err);
  if (rc == 0) rc = brig__store_sqlite_open(path, &limits, STORE_BUSY_MS, &sessions->store, err);
  return rc < 0 ? rc : brig__claims_open(path, &sessions->claims, err);
}

static int start_thread(struct brig_sessions *sessions, struct brig_error *err) {
  int rc = brig__thread_start(&sessions->thread, tidy, sessions);
  sessions->running = rc == 0;
  return rc == 0 ? 0 : brig__fail_errno(err, -rc, "session", "a thread for sessions");
}

int brig_sessions_open(struct brig_sandbox *sandbox, const struct brig_config *config,
                       struct brig_sessions **ret_sessions, struct brig_error *err) {
  struct brig_sessions *sessions = calloc(1, sizeof *sessions);
  if (sessions == NULL) return brig__fail(err, BRIG_E_MEMORY, "session", "out of memory");
  sessions->sandbox = sandbox;
  sessions->claims = -1;
  brig__sessions_table_init(sessions);
  pthread_mutex_init(&sessions->lock, NULL);
  brig__condition_init(&sessions->wake);
  int rc = brig__config_copy(config, &sessions->config, err);
  if (rc == 0) sessions->settings = brig__config_settings(sessions->config);
  if (rc == 0) rc = brig__config_workspaces_directory(sessions->config, &sessions->workspaces, err);
  if (rc == 0) rc = open_store(sessions, err);
  if (rc == 0) brig__sessions_count_saved(sessions);
  if (rc == 0) rc = start_thread(sessions, err);
  if (rc == 0)
    *ret_sessions = sessions;
  else
    brig_sessions_close(sessions);
  return rc;
}

void brig_sessions_close(struct brig_sessions *sessions) {
  if (sessions == NULL) return;
  pthread_mutex_lock(&sessions->lock);
  sessions->closing = true;
  pthread_cond_broadcast(&sessions->wake);
  pthread_mutex_unlock(&sessions->lock);
  if (sessions->running) pthread_join(sessions->thread, NULL);
  brig__sessions_end_all(sessions);
  brig__store_close(sessions->store);
  if (sessions->claims >= 0) close(sessions->claims);
  brig_config_free(sessions->config);
  free(sessions->workspaces);
  pthread_cond_destroy(&sessions->wake);
  pthread_mutex_destroy(&sessions->lock);
  free(sessions);
}

static int enter(struct brig_sessions *sessions, const struct brig_session_name *name,
                 struct session **ret_session, struct brig_error *err) {
  CLEANUP_FREE char *owner = brig__session_owner(name->tenant, name->user);
  int rc = brig__session_id_check(name->id, err);
  if (rc < 0) return rc;
  if (owner == NULL) return brig__store_no_memory(err);
  return brig__session_enter(sessions, owner, name->id, false, NULL, ret_session, err);
}

/* --- A turn --------------------------------------------------------------------- */

static int read_turn(const struct brig_turn *turn, struct brig_turn *ret_known,
                     struct brig_error *err) {
  *ret_known = (struct brig_turn){0};
  if (turn == NULL || turn->size < offsetof(struct brig_turn, limits) ||
      turn->size > sizeof *turn)
    return brig__fail(err, BRIG_E_INVALID, "session",
                      "not a turn of this library's: begin it with BRIG_TURN_INIT");
  memcpy(ret_known, turn, turn->size);
  if (ret_known->code == NULL || ret_known->code[0] == '\0')
    return brig__fail(err, BRIG_E_INVALID, "session", "No code provided to execute");
  if (ret_known->once && ret_known->session != NULL)
    return brig__fail(err, BRIG_E_INVALID, "session",
                      "a turn of a session that has a name cannot be its only one");
  return 0;
}

/* If there is a workspace that stays, and has room for it. */
static char *keep(const struct brig_settings *settings, const char *workspace, const char *name,
                  const uint8_t *data, size_t size) {
  const struct workspace_size most = brig__workspace_most(settings);
  struct workspace_room room;
  if (workspace == NULL) return NULL;
  brig__workspace_measure(workspace, &most, &room);
  if (room.left.bytes < size || room.left.files == 0) return NULL;
  return brig__workspace_write(workspace, name, data, size);
}

/* What is too long goes to a file, and its head and tail to the caller. */
static char *shorten(const struct brig_settings *settings, const char *workspace,
                     const struct session *session, uint8_t **data, size_t *size, uint64_t limit,
                     const char *stream) {
  if (*size <= limit) return NULL;
  CLEANUP_FREE char *name =
      brig__format("%s-%llu.txt", stream, (unsigned long long)session->turns + 1);
  char *kept = name == NULL ? NULL : keep(settings, workspace, name, *data, *size);
  brig__output_shorten(data, size, (size_t)limit, kept == NULL ? "" : kept);
  return kept;
}

static char *shorten_output(const struct brig_sessions *sessions, const struct session *session,
                            const struct brig_turn *asked, const char *workspace,
                            struct brig_result *result) {
  const struct brig_settings *settings = sessions->settings;
  uint64_t out = asked->limits.stdout_bytes, error = asked->limits.stderr_bytes;
  if (out == 0) out = settings->wasi_stdout_limit_bytes;
  if (error == 0) error = settings->wasi_stderr_limit_bytes;
  char *kept = shorten(settings, workspace, session, &result->stdout_data, &result->stdout_size,
                       out, "stdout");
  char *other = shorten(settings, workspace, session, &result->stderr_data, &result->stderr_size,
                        error, "stderr");
  if (kept == NULL) return other;
  free(other);
  return kept;
}

/* What ended well becomes the state; if it is to be saved first and cannot be, it does not. */
static int settle(struct brig_sessions *sessions, struct session *session, struct step *step,
                  struct brig_error *err) {
  if (step->reply == NULL) return 0;
  bool at_once = sessions->settings->session_save_interval_ms == 0 && !step->asked->once;
  int rc = at_once ? brig__session_store_next(sessions, session, step, err) : 0;
  if (rc < 0) return rc;
  /* Of the only turn there is, the state ends with the step. */
  if (!step->asked->once) brig__step_adopt(sessions, session, step);
  session->turns++;
  if (!step->asked->once) brig__session_store_at_once(sessions, session);
  return 0;
}

/* Brig keeps more of the output than is given: see shorten_output(). */
static void widen(uint64_t *limit, const struct brig_settings *settings) {
  uint64_t bytes = settings->session_output_file_bytes;
  if (bytes > settings->ceiling_output_limit_bytes) bytes = settings->ceiling_output_limit_bytes;
  if (*limit < bytes) *limit = bytes;
}

static int run_turn(struct brig_sessions *sessions, struct session *session,
                    const struct brig_turn *asked, struct brig_turn_result **ret_result,
                    struct brig_error *err) {
  struct brig_turn wider = *asked;
  struct step step = {.asked = &wider};
  const struct workspace_size most = brig__workspace_most(sessions->settings);
  struct workspace_changes changes;
  char header[64];
  widen(&wider.limits.stdout_bytes, sessions->settings);
  widen(&wider.limits.stderr_bytes, sessions->settings);
  snprintf(header, sizeof header, "{\"op\":\"run\",\"count\":%llu}",
           (unsigned long long)session->turns + 1);
  const struct turn_frame frame = {header, asked->code, strlen(asked->code)};
  struct timespec began = brig__workspace_now();
  int rc = brig__session_step(sessions, session, &frame, &step, err);
  if (rc < 0) {
    session->measured = false;
    if (!session->known) brig__workspace_remove_empty(step.workspace);
    brig__step_free(&step);
    return rc;
  }
  struct turn_outcome outcome = {.session = session->id, .step = &step, .changes = &changes};
  outcome.output_file = shorten_output(sessions, session, asked,
                                       asked->once ? NULL : step.workspace, step.turn.result);
  brig__workspace_changes(step.workspace, &most, began, &session->seen, &changes);
  session->room = changes.room;
  rc = settle(sessions, session, &step, err);
  if (!asked->once) brig__session_note(sessions, session);
  outcome.turns = session->turns;
  outcome.saved = session->turns > 0 && session->saved_turns == session->turns;
  outcome.unsaved = session->unsaved;
  outcome.lost = session->lost;
  if (rc == 0)
    rc = brig__turn_result_new(&outcome, ret_result, err);
  else
    free(outcome.output_file);
  if (rc == 0) {
    json_decref(session->lost);
    session->lost = NULL;
  }
  brig__workspace_changes_free(&changes);
  brig__step_free(&step);
  return rc;
}

static int set_guest(struct session *session, const char *asked, struct brig_error *err) {
  if (session->guest == NULL) {
    session->guest = strdup(asked != NULL ? asked : "python");
    return session->guest != NULL ? 0 : brig__store_no_memory(err);
  }
  if (asked == NULL || strcmp(asked, session->guest) == 0) return 0;
  return brig__fail(err, BRIG_E_INVALID, "session", "the session %s is one of %s, not of %s",
                    session->id, session->guest, asked);
}

static void allow(struct session *session, const struct brig_limits *limits) {
  if (limits->memory_bytes > session->allowed.memory_bytes)
    session->allowed.memory_bytes = limits->memory_bytes;
  if (limits->fuel != 0 && limits->fuel != BRIG_UNLIMITED) session->allowed.metered = true;
}

static int run_entered(struct brig_sessions *sessions, struct session *session,
                       const struct brig_turn *asked, struct brig_turn_result **ret_result,
                       struct brig_error *err) {
  int rc = set_guest(session, asked->guest, err);
  allow(session, &asked->limits);
  if (rc == 0) rc = brig__session_restore(sessions, session, asked->cancel, err);
  return rc < 0 ? rc : run_turn(sessions, session, asked, ret_result, err);
}

/* While it waited for the session, or that came back. */
static int cancelled(const char *id, struct brig_turn_result **ret_result,
                     struct brig_error *err) {
  struct step step = {0};
  struct workspace_changes none = {0};
  const struct turn_outcome outcome = {.session = id, .step = &step, .changes = &none};
  int rc = brig__turn_cancelled(&step.turn, err);
  if (rc == 0) rc = brig__turn_result_new(&outcome, ret_result, err);
  brig__step_free(&step);
  return rc;
}

int brig_session_run(struct brig_sessions *sessions, const struct brig_turn *turn,
                     struct brig_turn_result **ret_result, struct brig_error *err) {
  struct brig_turn asked;
  struct session *session = NULL;
  int rc = read_turn(turn, &asked, err);
  if (rc < 0) return rc;
  CLEANUP_FREE char *owner = brig__session_owner(asked.tenant, asked.user);
  CLEANUP_FREE char *fresh = asked.session == NULL ? brig__session_id_new() : NULL;
  const char *id = asked.session == NULL ? fresh : asked.session;
  if (owner == NULL || id == NULL) return brig__store_no_memory(err);
  rc = brig__session_id_check(id, err);
  if (rc == 0) rc = brig__session_enter(sessions, owner, id, true, asked.cancel, &session, err);
  if (rc == BRIG__CANCELLED) return cancelled(id, ret_result, err);
  if (rc < 0) return rc;
  rc = run_entered(sessions, session, &asked, ret_result, err);
  if (asked.once) brig__workspace_remove(sessions->workspaces, owner, id);
  brig__session_leave(sessions, session);
  brig__sessions_make_room(sessions, owner);
  return rc == BRIG__CANCELLED ? cancelled(id, ret_result, err) : rc;
}

static int no_session(const struct brig_session_name *name, struct brig_error *err) {
  return brig__fail(err, BRIG_E_NOT_FOUND, "session", "there is no session %s", name->id);
}

/* --- The others ------------------------------------------------------------------ */

static int no_earlier_state(const struct brig_sessions *sessions, const struct session *session,
                            struct brig_error *err) {
  if (session->state_count == 0)
    return brig__fail(err, BRIG_E_NOT_FOUND, "session",
                      "there is no earlier state of the session %s: it is saved as it is, and a "
                      "turn can be undone only while the process that ran it goes on",
                      session->id);
  return brig__fail(err, BRIG_E_NOT_FOUND, "session",
                    "there is no earlier state of the session %s (session.undo keeps %llu)",
                    session->id, (unsigned long long)sessions->settings->session_undo);
}

static int make_live(struct brig_sessions *sessions, struct session *session,
                     struct brig_error *err) {
  int rc = brig__session_restore(sessions, session, NULL, err);
  if (rc == 0 && session->state_count == 0)
    rc = brig__fail(err, BRIG_E_NOT_FOUND, "session", "the session %s has no state yet",
                    session->id);
  return rc;
}

int brig_session_undo(struct brig_sessions *sessions, const struct brig_session_name *name,
                      struct brig_error *err) {
  struct session *session;
  int rc = enter(sessions, name, &session, err);
  if (rc < 0) return rc;
  if (session->state_count < 2) {
    rc = no_earlier_state(sessions, session, err);
  } else {
    brig__session_pop(session);
    session->turns--;
    brig__session_unsaved(session);
    brig__session_store_at_once(sessions, session);
  }
  brig__session_leave(sessions, session);
  return rc;
}

static int branch_to(struct brig_sessions *sessions, struct session *from, const char *id,
                     struct brig_error *err) {
  struct session *to;
  struct zygote_process *state;
  int rc = brig__session_enter_new(sessions, from->owner, id, &to, err);
  if (rc < 0) return rc;
  to->guest = strdup(from->guest);
  rc = to->guest == NULL ? brig__store_no_memory(err)
                         : brig__state_branch(from->states[0].process, &state, err);
  if (rc == BRIG_E_LOST) brig__session_forget(sessions, from);
  if (rc == 0) {
    to->turns = from->turns;
    brig__session_unsaved(to);
    brig__session_push(sessions, to, state, from->states[0].bytes);
    brig__session_store_at_once(sessions, to);
  }
  brig__session_leave(sessions, to);
  return rc;
}

int brig_session_branch(struct brig_sessions *sessions, const struct brig_session_name *name,
                        const char *to, char **ret_id, struct brig_error *err) {
  struct session *session;
  CLEANUP_FREE char *id = to == NULL ? brig__session_id_new() : strdup(to);
  if (id == NULL) return brig__store_no_memory(err);
  int rc = brig__session_id_check(id, err);
  if (rc == 0 && strcmp(id, name->id) == 0)
    rc = brig__fail(err, BRIG_E_INVALID, "session", "there is a session %s already", id);
  if (rc == 0) rc = enter(sessions, name, &session, err);
  if (rc < 0) return rc;
  rc = make_live(sessions, session, err);
  if (rc == 0) rc = branch_to(sessions, session, id, err);
  CLEANUP_FREE char *owner = strdup(session->owner);
  brig__session_leave(sessions, session);
  if (rc == 0 && ret_id != NULL) *ret_id = STEAL_PTR(id);
  if (owner != NULL) brig__sessions_make_room(sessions, owner);
  return rc;
}

int brig_session_save(struct brig_sessions *sessions, const struct brig_session_name *name,
                      int leave, struct brig_error *err) {
  struct session *session;
  int rc = enter(sessions, name, &session, err);
  if (rc < 0) return rc;
  rc = brig__session_store(sessions, session, err);
  if (rc == 0 && leave) brig__session_end_states(session);
  brig__session_leave(sessions, session);
  return rc;
}

int brig_session_drop(struct brig_sessions *sessions, const struct brig_session_name *name,
                      struct brig_error *err) {
  struct session *session;
  CLEANUP_FREE char *owner = brig__session_owner(name->tenant, name->user);
  int rc = brig__session_id_check(name->id, err);
  if (rc == 0 && owner == NULL) rc = brig__store_no_memory(err);
  /* Made, as turns that all went wrong leave a workspace, and no session. */
  if (rc == 0) rc = brig__session_enter(sessions, owner, name->id, true, NULL, &session, err);
  if (rc < 0) return rc;
  bool there = session->known || session->state_count > 0;
  rc = brig__store_remove(sessions->store, session->owner, session->id, err);
  if (rc == 0 && !sessions->settings->session_keep_workspaces)
    brig__workspace_remove(sessions->workspaces, session->owner, session->id);
  brig__session_forget(sessions, session);
  brig__session_leave(sessions, session);
  return rc < 0 || there ? rc : no_session(name, err);
}

int brig_session_workspace(struct brig_sessions *sessions, const struct brig_session_name *name,
                           char **ret_path, struct brig_error *err) {
  CLEANUP_FREE char *memory = NULL;
  struct session *session;
  int rc = enter(sessions, name, &session, err);
  if (rc < 0) return rc;
  rc = brig__workspace_open(sessions->workspaces, session->owner, session->id, ret_path, &memory,
                            err);
  brig__session_leave(sessions, session);
  return rc;
}

int brig_session_lost(struct brig_sessions *sessions, const struct brig_session_name *name,
                      void (*each)(void *context, const struct brig_lost *lost), void *context,
                      struct brig_error *err) {
  CLEANUP_FREE char *owner = brig__session_owner(name->tenant, name->user);
  CLEANUP_FREE struct session_record *record = NULL;
  int rc = brig__session_id_check(name->id, err);
  if (rc == 0 && owner == NULL) rc = brig__store_no_memory(err);
  if (rc == 0) rc = brig__store_get(sessions->store, owner, name->id, &record, err);
  if (rc < 0) return rc;
  json_t *losses = brig__session_losses(record), *item;
  size_t at;
  if (losses == NULL) return brig__session_damaged(name->id, err);
  json_array_foreach(losses, at, item) {
    struct brig_lost lost = {json_string_value(json_object_get(item, "name")),
                             json_string_value(json_object_get(item, "reason"))};
    if (lost.name != NULL && lost.reason != NULL) each(context, &lost);
  }
  json_decref(losses);
  return 0;
}

int brig_session_show(struct brig_sessions *sessions, const struct brig_session_name *name,
                      char **ret_json, struct brig_error *err) {
  struct step step = {.timeout_ms = sessions->settings->session_save_timeout_ms};
  struct session *session;
  const struct turn_frame frame = {"{\"op\":\"info\"}", NULL, 0};
  int rc = enter(sessions, name, &session, err);
  if (rc < 0) return rc;
  rc = make_live(sessions, session, err);
  if (rc == 0) rc = brig__session_step(sessions, session, &frame, &step, err);
  char *json = rc == 0 && step.reply != NULL ? json_dumps(step.reply, JSON_COMPACT) : NULL;
  if (rc == 0 && json == NULL)
    rc = brig__fail(err, BRIG_E_LOST, "session", "the session %s gives no answer", session->id);
  if (rc == 0) *ret_json = json;
  brig__step_free(&step);
  brig__session_leave(sessions, session);
  return rc;
}
