#include "cli/remote.h"

#include <brig/sessions.pb-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/fd.h"
#include "rpc/client.h"
#include "rpc/errors.h"
#include "sandbox/turn.h"

/* For all but turns, which have limits of their own: saving may wait, and take its time. */
#define TIMEOUT_US UINT64_C(120000000)

static int no_memory(struct brig_error *err) {
  return brig__fail(err, BRIG_E_MEMORY, "session", "out of memory");
}

/* --- Texts --------------------------------------------------------------------------------- */

static ProtobufCBinaryData bytes(const char *text) {
  return (ProtobufCBinaryData){text == NULL ? 0 : strlen(text), (uint8_t *)(uintptr_t)text};
}

/* A reply's bytes, with a 0 byte after them, where they are; NULL without memory. */
static const char *ended(ProtobufCBinaryData *data) {
  if (data->len == 0) return "";
  uint8_t *longer = realloc(data->data, data->len + 1);
  if (longer == NULL) return NULL;
  longer[data->len] = '\0';
  data->data = longer;
  return (const char *)longer;
}

/* The same as a string: 0 bytes become '?', as in the library's results. */
static const char *text(ProtobufCBinaryData *data) {
  for (size_t i = 0; i < data->len; i++)
    if (data->data[i] == '\0') data->data[i] = '?';
  return ended(data);
}

static const char *or_null(const char *string) {
  return string == NULL || string[0] == '\0' ? NULL : string;
}

static Brig__V1__SessionName name_of(const struct brig_session_name *name) {
  Brig__V1__SessionName message = BRIG__V1__SESSION_NAME__INIT;
  message.tenant = bytes(name->tenant);
  message.user = bytes(name->user);
  message.id = bytes(name->id);
  return message;
}

/* --- Calls --------------------------------------------------------------------------------- */

static int call(const struct rpc_client_call *wanted, struct brig_error *err) {
  struct rpc_client_end end;
  int rc = brig__rpc_client_call(wanted, &end, err);
  if (rc < 0 || end.status == RPC_OK) return rc;
  return brig__fail(err, brig__rpc_error_of(end.status), "session", "%s",
                    end.message[0] != '\0' ? end.message : brig__rpc_status_name(end.status));
}

/* One that has one reply: what `each` makes of it. */
static int ask(const char *server, const char *method, const ProtobufCMessage *request,
               const ProtobufCMessageDescriptor *reply,
               void (*each)(void *context, ProtobufCMessage *reply), void *context,
               struct brig_error *err) {
  return call(&(struct rpc_client_call){.path = server,
                                        .service = "brig.v1.Sessions",
                                        .name = method,
                                        .request = request,
                                        .reply = reply,
                                        .each = each,
                                        .context = context,
                                        .timeout_us = TIMEOUT_US,
                                        .cancel_fd = -1},
              err);
}

int brig__cli_remote_undo(const char *server, const struct brig_session_name *name,
                          struct brig_error *err) {
  Brig__V1__UndoRequest request = BRIG__V1__UNDO_REQUEST__INIT;
  Brig__V1__SessionName whose = name_of(name);
  request.name = &whose;
  return ask(server, "Undo", &request.base, &brig__v1__undo_reply__descriptor, NULL, NULL, err);
}

int brig__cli_remote_drop(const char *server, const struct brig_session_name *name,
                          struct brig_error *err) {
  Brig__V1__DropRequest request = BRIG__V1__DROP_REQUEST__INIT;
  Brig__V1__SessionName whose = name_of(name);
  request.name = &whose;
  return ask(server, "Drop", &request.base, &brig__v1__drop_reply__descriptor, NULL, NULL, err);
}

static void take_id(void *context, ProtobufCMessage *message) {
  Brig__V1__BranchReply *reply = (Brig__V1__BranchReply *)message;
  char **id = context;
  const char *found = text(&reply->id);
  if (*id == NULL && found != NULL) *id = strdup(found);
}

int brig__cli_remote_branch(const char *server, const struct brig_session_name *name,
                            const char *to, char **ret_id, struct brig_error *err) {
  Brig__V1__BranchRequest request = BRIG__V1__BRANCH_REQUEST__INIT;
  Brig__V1__SessionName whose = name_of(name);
  char *id = NULL;
  request.name = &whose;
  request.to = bytes(to);
  request.new_id = to == NULL;
  int rc = ask(server, "Branch", &request.base, &brig__v1__branch_reply__descriptor, take_id, &id,
               err);
  if (rc < 0) free(id);
  if (rc < 0) return rc;
  if (id == NULL) return no_memory(err);
  *ret_id = id;
  return 0;
}

/* --- Looking --------------------------------------------------------------------------------- */

struct lost_taker {
  void (*each)(void *context, const struct brig_lost *lost);
  void *context;
};

static void take_lost(const struct lost_taker *taker, Brig__V1__Lost **items, size_t count) {
  for (size_t i = 0; i < count; i++) {
    const struct brig_lost lost = {text(&items[i]->name), text(&items[i]->reason)};
    if (lost.name != NULL && lost.reason != NULL) taker->each(taker->context, &lost);
  }
}

static void take_saved(void *context, ProtobufCMessage *message) {
  Brig__V1__SaveReply *reply = (Brig__V1__SaveReply *)message;
  take_lost(context, reply->lost, reply->n_lost);
}

int brig__cli_remote_save(const char *server, const struct brig_session_name *name,
                          void (*each)(void *context, const struct brig_lost *lost), void *context,
                          struct brig_error *err) {
  Brig__V1__SaveRequest request = BRIG__V1__SAVE_REQUEST__INIT;
  Brig__V1__SessionName whose = name_of(name);
  struct lost_taker taker = {each, context};
  request.name = &whose;
  return ask(server, "Save", &request.base, &brig__v1__save_reply__descriptor, take_saved, &taker,
             err);
}

struct info_taker {
  void (*each)(void *context, const struct brig_session_info *info);
  void *context;
};

static void take_list(void *context, ProtobufCMessage *message) {
  Brig__V1__ListReply *reply = (Brig__V1__ListReply *)message;
  const struct info_taker *taker = context;
  for (size_t i = 0; i < reply->n_sessions; i++) {
    Brig__V1__SessionInfo *item = reply->sessions[i];
    const struct brig_session_info info = {.id = text(&item->id),
                                           .guest = text(&item->guest),
                                           .turns = item->turns,
                                           .created_us = item->created_us,
                                           .used_us = item->used_us,
                                           .live = item->live,
                                           .memory_bytes = item->memory_bytes,
                                           .saved_bytes = item->saved_bytes};
    if (info.id != NULL && info.guest != NULL) taker->each(taker->context, &info);
  }
}

int brig__cli_remote_list(const char *server, const struct brig_session_name *name,
                          void (*each)(void *context, const struct brig_session_info *info),
                          void *context, struct brig_error *err) {
  Brig__V1__ListRequest request = BRIG__V1__LIST_REQUEST__INIT;
  Brig__V1__SessionName whose = name_of(name);
  struct info_taker taker = {each, context};
  request.name = &whose;
  return ask(server, "List", &request.base, &brig__v1__list_reply__descriptor, take_list, &taker,
             err);
}

struct show_taker {
  struct lost_taker lost;
  char *holds, *workspace;
};

static void take_show(void *context, ProtobufCMessage *message) {
  Brig__V1__ShowReply *reply = (Brig__V1__ShowReply *)message;
  struct show_taker *taker = context;
  const char *holds = text(&reply->holds), *workspace = text(&reply->workspace);
  if (taker->holds != NULL || holds == NULL || workspace == NULL) return;
  taker->holds = strdup(holds);
  taker->workspace = strdup(workspace);
  take_lost(&taker->lost, reply->lost, reply->n_lost);
}

int brig__cli_remote_show(const char *server, const struct brig_session_name *name,
                          char **ret_json, char **ret_workspace,
                          void (*each)(void *context, const struct brig_lost *lost), void *context,
                          struct brig_error *err) {
  Brig__V1__ShowRequest request = BRIG__V1__SHOW_REQUEST__INIT;
  Brig__V1__SessionName whose = name_of(name);
  struct show_taker taker = {.lost = {each, context}};
  request.name = &whose;
  int rc = ask(server, "Show", &request.base, &brig__v1__show_reply__descriptor, take_show,
               &taker, err);
  if (rc == 0 && (taker.holds == NULL || taker.workspace == NULL)) rc = no_memory(err);
  if (rc == 0) {
    *ret_json = STEAL_PTR(taker.holds);
    *ret_workspace = STEAL_PTR(taker.workspace);
  }
  free(taker.holds);
  free(taker.workspace);
  return rc;
}

/* --- A turn ---------------------------------------------------------------------------------- */

/* The result's strings are the message's. */
struct owned {
  struct brig_turn_result result; /* first: it is what callers have */
  struct brig_result run;
  Brig__V1__TurnResult *message;
  const char **names;
  struct brig_file *files;
  struct brig_lost *lost;
};

void brig__cli_remote_result_free(struct brig_turn_result *result) {
  struct owned *owned = (struct owned *)result;
  if (owned == NULL) return;
  protobuf_c_message_free_unpacked(&owned->message->base, NULL);
  free(owned->names);
  free(owned->files);
  free(owned->lost);
  free(owned);
}

static bool fill_run(struct brig_result *run, Brig__V1__RunResult *message) {
  if (message == NULL || message->outcome > BRIG_OUTCOME_CANCELLED) return false;
  const char *trap = text(&message->trap), *reason = text(&message->reason);
  const char *out = ended(&message->stdout_data), *errors = ended(&message->stderr_data);
  if (trap == NULL || reason == NULL || out == NULL || errors == NULL) return false;
  run->outcome = (enum brig_outcome)message->outcome;
  snprintf(run->trap, sizeof run->trap, "%s", trap);
  snprintf(run->reason, sizeof run->reason, "%s", reason);
  run->stdout_data = (uint8_t *)(uintptr_t)out;
  run->stdout_size = message->stdout_data.len;
  run->stderr_data = (uint8_t *)(uintptr_t)errors;
  run->stderr_size = message->stderr_data.len;
#define X(field) run->field = message->field;
#include "rpc/run_result.def"
#undef X
  return true;
}

static bool fill_lists(struct owned *owned) {
  Brig__V1__TurnResult *message = owned->message;
  owned->names = calloc(message->n_names + 1, sizeof *owned->names);
  owned->files = calloc(message->n_files + 1, sizeof *owned->files);
  owned->lost = calloc(message->n_lost + 1, sizeof *owned->lost);
  if (owned->names == NULL || owned->files == NULL || owned->lost == NULL) return false;
  bool whole = true;
  for (size_t i = 0; i < message->n_names; i++)
    whole &= (owned->names[i] = text(&message->names[i])) != NULL;
  for (size_t i = 0; i < message->n_files; i++) {
    owned->files[i] = (struct brig_file){text(&message->files[i]->path), message->files[i]->size};
    whole &= owned->files[i].path != NULL;
  }
  for (size_t i = 0; i < message->n_lost; i++) {
    owned->lost[i] =
        (struct brig_lost){text(&message->lost[i]->name), text(&message->lost[i]->reason)};
    whole &= owned->lost[i].name != NULL && owned->lost[i].reason != NULL;
  }
  return whole;
}

static bool fill(struct owned *owned) {
  Brig__V1__TurnResult *message = owned->message;
  Brig__V1__Exception *exception = message->exception;
  const char *session = text(&message->session), *value = text(&message->value);
  const char *output_file = text(&message->output_file), *unsaved = text(&message->unsaved);
  if (session == NULL || value == NULL || output_file == NULL || unsaved == NULL ||
      !fill_run(&owned->run, message->run) || !fill_lists(owned))
    return false;
  owned->result = (struct brig_turn_result){.session = session,
                                            .turn = message->turn,
                                            .run = &owned->run,
                                            .ended_well = message->ended_well,
                                            .value = message->has_value ? value : NULL,
                                            .names = owned->names,
                                            .files = owned->files,
                                            .file_count = message->n_files,
                                            .files_more = message->files_more,
                                            .output_file = or_null(output_file),
                                            .restored = message->restored,
                                            .lost = owned->lost,
                                            .lost_count = message->n_lost,
                                            .saved = message->saved,
                                            .unsaved = or_null(unsaved)};
  if (exception == NULL) return true;
  owned->result.error_type = text(&exception->type);
  owned->result.error_message = text(&exception->message);
  owned->result.traceback = or_null(text(&exception->traceback));
  return owned->result.error_type != NULL && owned->result.error_message != NULL;
}

static int make_result(Brig__V1__TurnResult *message, struct brig_turn_result **ret_result,
                       struct brig_error *err) {
  struct owned *owned = calloc(1, sizeof *owned);
  if (owned == NULL) {
    protobuf_c_message_free_unpacked(&message->base, NULL);
    return no_memory(err);
  }
  owned->message = message;
  if (fill(owned)) {
    *ret_result = &owned->result;
    return 0;
  }
  brig__cli_remote_result_free(&owned->result);
  return brig__fail(err, BRIG_E_LOST, "session", "the server's result cannot be read");
}

struct turn_taker {
  const struct brig_turn *turn;
  Brig__V1__TurnResult *result;
};

static void take_reply(void *context, ProtobufCMessage *message) {
  Brig__V1__RunReply *reply = (Brig__V1__RunReply *)message;
  struct turn_taker *taker = context;
  const struct brig_turn *turn = taker->turn;
  bool known = reply->stream == BRIG__V1__STREAM__STREAM_STDOUT ||
               reply->stream == BRIG__V1__STREAM__STREAM_STDERR;
  if (turn->on_output != NULL && known && reply->output.len > 0)
    turn->on_output(turn->on_output_context,
                    reply->stream == BRIG__V1__STREAM__STREAM_STDOUT ? BRIG_STDOUT : BRIG_STDERR,
                    reply->output.data, reply->output.len);
  if (taker->result == NULL) taker->result = STEAL_PTR(reply->result);
}

static Brig__V1__Limits limits_of(const struct brig_limits *limits) {
  Brig__V1__Limits message = BRIG__V1__LIMITS__INIT;
  message.timeout_ms = limits->timeout_ms;
  message.memory_bytes = limits->memory_bytes;
  message.fuel = limits->fuel;
  message.stdout_bytes = limits->stdout_bytes;
  message.stderr_bytes = limits->stderr_bytes;
  message.quota_bytes = limits->quota_bytes;
  message.quota_files = limits->quota_files;
  return message;
}

static int run(const char *server, struct turn_taker *taker, struct brig_error *err) {
  const struct brig_turn *turn = taker->turn;
  const struct brig_session_name name = {turn->tenant, turn->user, turn->session};
  Brig__V1__RunRequest request = BRIG__V1__RUN_REQUEST__INIT;
  Brig__V1__SessionName whose = name_of(&name);
  Brig__V1__Limits limits = limits_of(&turn->limits);
  request.name = &whose;
  request.code = bytes(turn->code);
  request.guest = bytes(turn->guest);
  request.input = (ProtobufCBinaryData){turn->input_size, (uint8_t *)(uintptr_t)turn->input};
  request.limits = &limits;
  request.stream = turn->on_output != NULL;
  request.new_id = turn->session == NULL;
  return call(&(struct rpc_client_call){.path = server,
                                        .service = "brig.v1.Sessions",
                                        .name = "Run",
                                        .request = &request.base,
                                        .reply = &brig__v1__run_reply__descriptor,
                                        .each = take_reply,
                                        .context = taker,
                                        .cancel_fd = brig__cancel_fd(turn->cancel)},
              err);
}

int brig__cli_remote_run(const char *server, const struct brig_turn *turn,
                         struct brig_turn_result **ret_result, struct brig_error *err) {
  struct turn_taker taker = {.turn = turn};
  int rc = run(server, &taker, err);
  if (rc == 0 && taker.result == NULL)
    rc = brig__fail(err, BRIG_E_LOST, "session", "the server ended the turn without its result");
  if (rc == 0) return make_result(taker.result, ret_result, err);
  if (taker.result != NULL) protobuf_c_message_free_unpacked(&taker.result->base, NULL);
  return rc;
}
