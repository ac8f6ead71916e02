/* What a session's driver is asked, and what it answers: JSON from a hostile process,
 * so that every value is looked at before it is used. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "session/session.h"

/* For what a driver says beside the data of a saved state. */
#define REPLY_MAX ((size_t)4 << 20)

/* How often saving or coming back is tried again without what ended it. */
#define TRIES 4

/* How long a result waits for its turn to be saved. What takes longer is saved beside the
 * turns from then on, until it is seen to take less. */
#define AT_ONCE_MS 1000

/* A length in 4 bytes, so much JSON, at most `max`, which must be of this type, and data
 * to the end. NULL if it is not that. */
static json_t *parse(const void *bytes, size_t size, size_t max, json_type type,
                     const void **ret_data, size_t *ret_size) {
  const char *at = bytes;
  uint32_t length = 0;
  if (at == NULL || size < sizeof length) return NULL;
  for (size_t i = 0; i < sizeof length; i++) length |= (uint32_t)(uint8_t)at[i] << 8 * i;
  if (length > max || length > size - sizeof length) return NULL;
  json_t *json = json_loadb(at + sizeof length, length, JSON_ALLOW_NUL, NULL);
  if (json == NULL || json_typeof(json) != type) {
    json_decref(json);
    return NULL;
  }
  *ret_data = at + sizeof length + length;
  *ret_size = size - sizeof length - length;
  return json;
}

/* Before the reply there may be frames that tell what the driver was at: the last of
 * them, if there is no reply. */
static void parse_reply(struct step *step) {
  const void *data = step->turn.reply;
  size_t size = step->turn.reply_size;
  json_t *frame;
  while ((frame = parse(data, size, REPLY_MAX, JSON_OBJECT, &data, &size)) != NULL &&
         json_object_get(frame, "at") != NULL) {
    json_decref(step->at);
    step->at = frame;
  }
  step->reply = frame;
  step->data = data;
  step->data_size = size;
}

/* The process is there, and waits for more. */
static bool ended_well(const struct step *step) {
  return step->turn.result->outcome == BRIG_OUTCOME_EXITED && step->turn.state != NULL;
}

static uint64_t at_most(uint64_t value, uint64_t ceiling) {
  return value < ceiling ? value : ceiling;
}

/* Of saving, coming back and telling: not the turns' own. Fuel is counted so that later
 * turns can be held to theirs. */
static struct brig_limits own_limits(const struct brig_settings *settings,
                                     const struct session *session, uint64_t timeout_ms) {
  struct brig_limits limits = BRIG_LIMITS_INIT;
  bool metered = session->allowed.metered || settings->wasi_interpreter_max_fuel != 0;
  limits.timeout_ms = at_most(timeout_ms, settings->ceiling_execution_timeout_ms);
  limits.memory_bytes = session->allowed.memory_bytes;
  limits.fuel = metered ? INT64_MAX : BRIG_UNLIMITED;
  if (settings->ceiling_max_fuel != 0) limits.fuel = settings->ceiling_max_fuel;
  return limits;
}

static void set_request(const struct brig_settings *settings, struct step *step,
                        const struct session *session) {
  struct brig_request *request = &step->request;
  const struct brig_turn *asked = step->asked;
  *request = (struct brig_request)BRIG_REQUEST_INIT;
  request->guest = session->guest;
  request->workspace = step->workspace;
  request->memory = step->memory;
  request->tenant = asked == NULL ? NULL : asked->tenant;
  request->limits = own_limits(settings, session, step->timeout_ms);
  request->cancel = step->cancel;
  if (asked == NULL) return;
  request->limits = asked->limits;
  request->input = asked->input;
  request->input_size = asked->input_size;
  request->input_fd = asked->input_fd;
  request->input_from_fd = asked->input_from_fd;
  request->on_output = asked->on_output;
  request->on_output_context = asked->on_output_context;
  request->cancel = asked->cancel;
}

static struct zygote_process *current(const struct session *session) {
  return session->state_count > 0 ? session->states[0].process : NULL;
}

struct workspace_size brig__workspace_most(const struct brig_settings *settings) {
  return (struct workspace_size){settings->session_workspace_bytes,
                                 settings->session_workspace_files};
}

/* Both directories grow on one account, so that what is left in either bounds it. */
static struct turn_room measure(const struct brig_settings *settings, struct session *session,
                                const struct step *step) {
  const struct workspace_size most = brig__workspace_most(settings);
  struct workspace_room *own = &session->room, users; /* which other sessions write to */
  brig__workspace_measure(step->memory, &most, &users);
  if (!session->measured) brig__workspace_measure(step->workspace, &most, own);
  session->measured = true;
  return (struct turn_room){.held_bytes = own->held.bytes + users.held.bytes,
                            .held_files = own->held.files + users.held.files,
                            .left_bytes = at_most(own->left.bytes, users.left.bytes),
                            .left_files = at_most(own->left.files, users.left.files)};
}

int brig__session_step(struct brig_sessions *sessions, struct session *session,
                       const struct turn_frame *frame, struct step *step, struct brig_error *err) {
  struct zygote_process *from = step->from != NULL ? step->from : current(session);
  if (from != NULL) brig__state_expect(from);
  int rc = brig__workspace_open(sessions->workspaces, session->owner, session->id, &step->workspace,
                                &step->memory, err);
  if (rc < 0) return rc;
  step->room = measure(sessions->settings, session, step);
  set_request(sessions->settings, step, session);
  step->turn = (struct turn){
      .request = &step->request,
      .from = from,
      .frame = *frame,
      .room = &step->room,
      .reply_max = REPLY_MAX,
  };
  if (step->asked == NULL) step->turn.reply_max += sessions->settings->session_max_state_bytes;
  rc = brig__turn_run(sessions->sandbox, &step->turn, err);
  if (rc == BRIG_E_LOST && from != NULL && from == current(session))
    brig__session_forget(sessions, session);
  if (rc < 0) return rc;
  parse_reply(step);
  if (ended_well(step)) return 0;
  json_decref(step->reply);
  step->reply = NULL;
  return 0;
}

void brig__step_free(struct step *step) {
  json_decref(step->reply);
  json_decref(step->at);
  step->reply = step->at = NULL;
  brig__turn_free(&step->turn);
  free(step->workspace);
  free(step->memory);
  step->workspace = step->memory = NULL;
}

void brig__step_adopt(struct brig_sessions *sessions, struct session *session, struct step *step) {
  uint64_t bytes = brig__state_bytes(step->turn.state, step->turn.result);
  brig__session_push(sessions, session, STEAL_PTR(step->turn.state), bytes);
}

/* What the process was at as it ended, to be left out; false: it has not said. */
static bool add_culprit(json_t *culprits, const struct step *step) {
  const struct brig_result *result = step->turn.result;
  const char *name = json_string_value(json_object_get(step->at, "at"));
  CLEANUP_FREE char *reason = brig__format(
      "it ended the process (%s)", result->reason[0] != '\0' ? result->reason : "exit status 0");
  bool died = !ended_well(step) && result->outcome != BRIG_OUTCOME_CANCELLED;
  return died && name != NULL && reason != NULL &&
         json_array_append_new(culprits, json_pack("{s:s,s:s}", "name", name, "reason", reason)) ==
             0;
}

/* Have it save, or come back, and where that ends the process, do without what did, but
 * if the step has a time of its own: then what is only slow would be left out. The names
 * of that are added to `culprits`. No try may use up the time of the next. */
static int ask(struct brig_sessions *sessions, struct session *session, const char *operation,
               struct turn_frame *frame, json_t *culprits, struct step *step,
               struct brig_error *err) {
  bool once = step->timeout_ms != 0;
  uint64_t left_ms = once ? step->timeout_ms : sessions->settings->session_save_timeout_ms;
  for (int tries = once ? 1 : TRIES;; tries--) {
    CLEANUP(json_decrefp) json_t *header =
        json_pack("{s:s,s:O}", "op", operation, "without", culprits);
    CLEANUP_FREE char *text = json_dumps(header, JSON_COMPACT);
    if (text == NULL) return brig__store_no_memory(err);
    frame->header = text;
    step->timeout_ms = tries > 1 ? (left_ms + 1) / 2 : left_ms;
    left_ms -= left_ms / 2;
    int rc = brig__session_step(sessions, session, frame, step, err);
    if (rc < 0 || step->reply != NULL || tries == 1 || !add_culprit(culprits, step)) return rc;
    brig__step_free(step);
  }
}

/* Why it could not be saved or brought back. */
static const char *reason_of(const struct step *step) {
  const char *said =
      json_string_value(json_object_get(json_object_get(step->reply, "error"), "message"));
  if (said != NULL) return said;
  return step->turn.result->reason[0] != '\0' ? step->turn.result->reason : "no answer";
}

static int check_restored(const struct session *session, const struct step *step,
                          struct brig_error *err) {
  if (step->turn.result->outcome == BRIG_OUTCOME_CANCELLED) return BRIG__CANCELLED;
  if (step->reply != NULL && json_object_get(step->reply, "error") == NULL) return 0;
  return brig__fail(err, BRIG_E_LOST, "session",
                    "the session %s could not be brought back (%.200s): drop it to begin anew",
                    session->id, reason_of(step));
}

json_t *brig__session_losses(const struct session_record *record) {
  const void *data;
  size_t size;
  return record->has_state
             ? parse(record->state, record->state_size, SIZE_MAX, JSON_ARRAY, &data, &size)
             : json_array();
}

int brig__session_damaged(const char *id, struct brig_error *err) {
  return brig__fail(err, BRIG_E_INTEGRITY, "session",
                    "what is saved of the session %s is damaged: drop it to begin anew", id);
}

static int restore(struct brig_sessions *sessions, struct session *session,
                   const struct session_record *record, const struct brig_cancel *cancel,
                   struct brig_error *err) {
  struct step step = {.cancel = (struct brig_cancel *)(uintptr_t)cancel};
  struct turn_frame frame = {0};
  CLEANUP(json_decrefp) json_t *culprits = json_array();
  CLEANUP(json_decrefp) json_t *lost =
      parse(record->state, record->state_size, SIZE_MAX, JSON_ARRAY, &frame.data, &frame.size);
  if (lost == NULL)
    return brig__session_damaged(session->id, err);
  int rc = ask(sessions, session, "restore", &frame, culprits, &step, err);
  if (rc == 0) rc = check_restored(session, &step, err);
  if (rc == 0) {
    json_array_extend(lost, culprits);
    json_array_extend(lost, json_object_get(step.reply, "lost"));
    json_decref(session->lost);
    session->lost = STEAL_PTR(lost);
    brig__step_adopt(sessions, session, &step);
  }
  brig__step_free(&step);
  return rc;
}

int brig__session_restore(struct brig_sessions *sessions, struct session *session,
                          const struct brig_cancel *cancel, struct brig_error *err) {
  CLEANUP_FREE struct session_record *record = NULL;
  if (session->state_count > 0 || !session->known) return 0;
  int rc = brig__store_get(sessions->store, session->owner, session->id, &record, err);
  if (rc < 0) return rc == BRIG_E_NOT_FOUND ? 0 : rc;
  if (!record->has_state) return 0;
  rc = restore(sessions, session, record, cancel, err);
  if (rc == 0) session->turns = session->saved_turns = record->turns;
  return rc;
}

/* The saved state, with the names of what is lost in front, so that who brings it back
 * can tell. Fresh memory, or NULL. */
static uint8_t *with_losses(const struct step *step, json_t *culprits, size_t *ret_size) {
  json_array_extend(culprits, json_object_get(step->reply, "lost"));
  CLEANUP_FREE char *text = json_dumps(culprits, JSON_COMPACT);
  const struct turn_frame frame = {text, step->data, step->data_size};
  return text == NULL ? NULL : brig__turn_frame_bytes(&frame, ret_size);
}

static struct session_record record_of(const struct session *session, uint64_t turns) {
  return (struct session_record){.owner = session->owner,
                                 .id = session->id,
                                 .guest = session->guest,
                                 .created_us = session->created_us,
                                 .used_us = session->used_us,
                                 .turns = turns};
}

void brig__session_note(struct brig_sessions *sessions, struct session *session) {
  const struct session_record record = record_of(session, 0);
  if (session->known || session->state_count > 0) return;
  session->known = brig__session_put(sessions, &record, NULL) == 0;
}

/* Put a state into the store, after so many turns. */
static int store(struct brig_sessions *sessions, struct session *session, struct step *step,
                 uint64_t turns, struct brig_error *err) {
  struct turn_frame frame = {0};
  CLEANUP(json_decrefp) json_t *culprits = json_array();
  int rc = ask(sessions, session, "save", &frame, culprits, step, err);
  if (rc == 0 && (step->reply == NULL || json_object_get(step->reply, "error") != NULL))
    rc = brig__fail(err, BRIG_E_LIMIT, "session", "the session %s could not be saved (%.200s)",
                    session->id, reason_of(step));
  CLEANUP_FREE uint8_t *state = NULL;
  struct session_record record = record_of(session, turns);
  if (rc == 0 && (state = with_losses(step, culprits, &record.state_size)) == NULL)
    rc = brig__store_no_memory(err);
  record.has_state = true;
  record.state = state;
  if (rc == 0) rc = brig__session_put(sessions, &record, err);
  if (rc == 0) session->saved_turns = turns;
  if (rc == 0) session->known = true;
  brig__step_free(step);
  return rc;
}

/* `timeout_ms` for all of it; 0: what is configured, and then again without what failed. */
static int store_current(struct brig_sessions *sessions, struct session *session,
                         uint64_t timeout_ms, struct brig_error *err) {
  struct step step = {.timeout_ms = timeout_ms};
  uint64_t began_us = brig__now_us();
  struct brig_error why;
  if (current(session) == NULL) return 0;
  int rc = store(sessions, session, &step, session->turns, &why);
  session->slow = rc < 0 || brig__now_us() - began_us > AT_ONCE_MS * 1000;
  free(session->unsaved);
  session->unsaved = rc < 0 ? strdup(why.message) : NULL;
  if (rc < 0 && err != NULL) *err = why;
  return rc;
}

int brig__session_store(struct brig_sessions *sessions, struct session *session,
                        struct brig_error *err) {
  return store_current(sessions, session, 0, err);
}

int brig__session_store_next(struct brig_sessions *sessions, struct session *session,
                             const struct step *step, struct brig_error *err) {
  struct step save = {.from = step->turn.state};
  return store(sessions, session, &save, session->turns + 1, err);
}

void brig__session_store_at_once(struct brig_sessions *sessions, struct session *session) {
  if (!sessions->settings->session_save_at_once || session->slow) return;
  if (session->saved_turns == session->turns) return;
  store_current(sessions, session, AT_ONCE_MS, NULL);
}
