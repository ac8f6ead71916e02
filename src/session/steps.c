/* What a session's driver is asked, and what it answers: JSON from a hostile process,
 * so that every value is looked at before it is used. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/fd.h"
#include "session/session.h"

/* For what a driver says beside the data of a saved state. */
#define REPLY_MAX ((size_t)4 << 20)

/* A length in 4 bytes, so much JSON, which must be of this type, and data to the end.
 * NULL if it is not that. */
static json_t *parse(const void *bytes, size_t size, json_type type, const void **ret_data,
                     size_t *ret_size) {
  const char *at = bytes;
  uint32_t length = 0;
  if (at == NULL || size < sizeof length) return NULL;
  for (size_t i = 0; i < sizeof length; i++) length |= (uint32_t)(uint8_t)at[i] << 8 * i;
  if (length > size - sizeof length) return NULL;
  json_t *json = json_loadb(at + sizeof length, length, JSON_ALLOW_NUL, NULL);
  if (json == NULL || json_typeof(json) != type) {
    json_decref(json);
    return NULL;
  }
  *ret_data = at + sizeof length + length;
  *ret_size = size - sizeof length - length;
  return json;
}

static void parse_reply(struct step *step) {
  step->reply = parse(step->turn.reply, step->turn.reply_size, JSON_OBJECT, &step->data,
                      &step->data_size);
}

static uint64_t at_most(uint64_t value, uint64_t ceiling) {
  return value < ceiling ? value : ceiling;
}

/* Of saving, coming back and telling: not the turns' own. Fuel is counted so that later
 * turns can be held to theirs. */
static struct brig_limits own_limits(const struct brig_settings *settings,
                                     const struct session *session) {
  struct brig_limits limits = BRIG_LIMITS_INIT;
  bool metered = session->allowed.metered || settings->wasi_interpreter_max_fuel != 0;
  limits.timeout_ms =
      at_most(settings->session_save_timeout_ms, settings->ceiling_execution_timeout_ms);
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
  request->limits = own_limits(settings, session);
  if (asked == NULL) return;
  request->limits = asked->limits;
  request->input = asked->input;
  request->input_size = asked->input_size;
  request->on_output = asked->on_output;
  request->on_output_context = asked->on_output_context;
  request->cancel = asked->cancel;
}

int brig__session_step(struct brig_sessions *sessions, struct session *session,
                       const struct turn_frame *frame, struct step *step, struct brig_error *err) {
  int rc = brig__workspace_open(sessions->workspaces, session->owner, session->id, &step->workspace,
                                &step->memory, err);
  if (rc < 0) return rc;
  set_request(sessions->settings, step, session);
  step->turn = (struct turn){
      .request = &step->request,
      .from = session->state_count > 0 ? session->states[0] : NULL,
      .frame = *frame,
      .reply_max = REPLY_MAX + sessions->settings->session_max_state_bytes,
  };
  rc = brig__turn_run(sessions->sandbox, &step->turn, err);
  if (rc == BRIG_E_LOST && session->state_count > 0) brig__session_forget(sessions, session);
  if (rc == 0 && step->turn.result->outcome == BRIG_OUTCOME_EXITED && step->turn.state != NULL)
    parse_reply(step);
  return rc;
}

void brig__step_free(struct step *step) {
  json_decref(step->reply);
  step->reply = NULL;
  brig__turn_free(&step->turn);
  free(step->workspace);
  free(step->memory);
  step->workspace = step->memory = NULL;
}

void brig__step_adopt(struct brig_sessions *sessions, struct session *session, struct step *step) {
  uint64_t bytes = brig__state_bytes(step->turn.state, step->turn.result);
  brig__session_push(sessions, session, STEAL_PTR(step->turn.state), bytes);
}

static int not_restored(const struct session *session, const struct brig_result *result,
                        struct brig_error *err) {
  return brig__fail(err, BRIG_E_LOST, "session",
                    "the session %s could not be brought back (%s): drop it to begin anew",
                    session->id, result->reason[0] != '\0' ? result->reason : "no answer");
}

static int restore(struct brig_sessions *sessions, struct session *session,
                   const struct session_record *record, struct brig_error *err) {
  struct step step = {0};
  struct turn_frame frame = {"{\"op\":\"restore\"}", NULL, 0};
  json_t *before =
      parse(record->state, record->state_size, JSON_ARRAY, &frame.data, &frame.size);
  if (before == NULL)
    return brig__fail(err, BRIG_E_INTEGRITY, "session",
                      "what is saved of the session %s is damaged: drop it to begin anew",
                      session->id);
  int rc = brig__session_step(sessions, session, &frame, &step, err);
  if (rc == 0 && step.reply == NULL) rc = not_restored(session, step.turn.result, err);
  if (rc == 0) {
    json_array_extend(before, json_object_get(step.reply, "lost"));
    json_decref(session->lost);
    session->lost = json_incref(before);
    brig__step_adopt(sessions, session, &step);
  }
  json_decref(before);
  brig__step_free(&step);
  return rc;
}

int brig__session_restore(struct brig_sessions *sessions, struct session *session,
                          struct brig_error *err) {
  CLEANUP_FREE struct session_record *record = NULL;
  if (session->state_count > 0 || !session->known) return 0;
  int rc = brig__store_get(sessions->store, session->owner, session->id, &record, err);
  if (rc < 0) return rc == BRIG_E_NOT_FOUND ? 0 : rc;
  if (!record->has_state) return 0;
  rc = restore(sessions, session, record, err);
  if (rc == 0) session->turns = session->saved_turns = record->turns;
  return rc;
}

/* The saved state, with the names of what is lost in front, so that who brings it back
 * can tell. Fresh memory, or NULL. */
static uint8_t *with_losses(const struct step *step, size_t *ret_size) {
  const json_t *lost = json_object_get(step->reply, "lost");
  CLEANUP_FREE char *text = json_is_array(lost) ? json_dumps(lost, JSON_COMPACT) : strdup("[]");
  const struct turn_frame frame = {text, step->data, step->data_size};
  return text == NULL ? NULL : brig__turn_frame_bytes(&frame, ret_size);
}

int brig__session_store(struct brig_sessions *sessions, struct session *session,
                        struct brig_error *err) {
  struct step step = {0};
  const struct turn_frame frame = {"{\"op\":\"save\"}", NULL, 0};
  if (session->state_count == 0) return 0;
  int rc = brig__session_step(sessions, session, &frame, &step, err);
  if (rc == 0 && (step.reply == NULL || json_object_get(step.reply, "error") != NULL))
    rc = brig__fail(err, BRIG_E_LIMIT, "session", "the session %s could not be saved (%s)",
                    session->id,
                    step.turn.result->reason[0] != '\0' ? step.turn.result->reason : "no answer");
  CLEANUP_FREE uint8_t *state = NULL;
  size_t state_size = 0;
  if (rc == 0 && (state = with_losses(&step, &state_size)) == NULL) rc = brig__store_no_memory(err);
  struct session_record record = {.owner = session->owner,
                                  .id = session->id,
                                  .guest = session->guest,
                                  .created_us = session->created_us,
                                  .used_us = session->used_us,
                                  .turns = session->turns,
                                  .has_state = true,
                                  .state = state,
                                  .state_size = state_size};
  if (rc == 0) rc = brig__store_put(sessions->store, &record, err);
  if (rc == 0) session->saved_turns = session->turns;
  if (rc == 0) session->known = true;
  brig__step_free(&step);
  return rc;
}
