#include "server/sessions_service.h"

#include <brig/sessions.pb-c.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "rpc/errors.h"
#include "server/deltas.h"
#include "server/pace.h"
#include "server/session_answer.h"
#include "server/struct_value.h"
#include "server/tenants.h"

static const char no_memory[] = "out of memory: try again later";

struct verb {
  const char *name;
  const ProtobufCMessageDescriptor *request;
  /* On a thread: 0 and job->reply, or an error. */
  int (*work)(struct sessions_job *job, struct brig_error *err);
};

/* Every request begins like this. */
struct named_request {
  ProtobufCMessage base;
  Brig__V1__SessionName *name;
};
#define NAMED(type)                                                             \
  _Static_assert(offsetof(type, name) == offsetof(struct named_request, name), \
                 #type " does not begin with a name")
NAMED(Brig__V1__ListRequest);
NAMED(Brig__V1__ShowRequest);
NAMED(Brig__V1__RunRequest);
NAMED(Brig__V1__UndoRequest);
NAMED(Brig__V1__BranchRequest);
NAMED(Brig__V1__SaveRequest);
NAMED(Brig__V1__DropRequest);

struct sessions_job {
  LIST_ENTRY(sessions_job) link;
  struct sessions_service *service;
  const struct verb *verb;
  /* Of the loop. */
  struct rpc_call *call; /* NULL: ended */
  bool working;          /* the thread has it, */
  bool held;             /* or a function that sends, which may end the call */
  bool admitted;
  struct enforcement_ticket ticket;
  struct event *slow; /* for a client that reads slowly */
  /* Of the thread while it works, then of the loop. */
  const struct named_request *request;
  struct arena arena;
  struct brig_session_name name;
  bool is_operator;
  struct brig_cancel *cancel;
  ProtobufCMessage *reply; /* the last, if it streams */
  struct brig_turn_result *result; /* that the reply is made of */
  struct brig_error failure;       /* code 0: none */
  /* Of both. */
  struct deltas deltas;
};

/* --- On a thread ------------------------------------------------------------------------- */

#define NEW_REPLY(job, type, init)                                \
  ({                                                              \
    type *fresh = brig__arena_new(&(job)->arena, sizeof *fresh);  \
    if (fresh != NULL) *fresh = (type)init;                       \
    if (fresh != NULL) (job)->reply = &fresh->base;               \
    fresh;                                                        \
  })

static int out_of_memory(struct brig_error *err) {
  return brig__fail(err, BRIG_E_MEMORY, "session", no_memory);
}

static void post(struct sessions_job *job, void (*run)(void *context)) {
  /* Without it nobody would ever hear of what the thread has done. */
  while (brig__rpc_post(job->service->rpc, run, job) < 0) usleep(10000);
}

static int list(struct sessions_job *job, struct brig_error *err) {
  Brig__V1__ListReply *reply = NEW_REPLY(job, Brig__V1__ListReply, BRIG__V1__LIST_REPLY__INIT);
  struct session_infos infos = {.arena = &job->arena};
  if (reply == NULL) return out_of_memory(err);
  int rc = brig_session_list(job->service->sessions, &job->name, brig__session_answer_info, &infos,
                             err);
  reply->sessions = infos.items;
  reply->n_sessions = infos.count;
  return rc;
}

/* What could not be kept; nothing of one that was never saved. */
static int look_for_lost(struct sessions_job *job, struct session_losses *losses,
                         struct brig_error *err) {
  losses->arena = &job->arena;
  int rc = brig_session_lost(job->service->sessions, &job->name, brig__session_answer_lost, losses,
                             err);
  return rc == BRIG_E_NOT_FOUND ? 0 : rc;
}

static int show(struct sessions_job *job, struct brig_error *err) {
  Brig__V1__ShowReply *reply = NEW_REPLY(job, Brig__V1__ShowReply, BRIG__V1__SHOW_REPLY__INIT);
  struct brig_sessions *sessions = job->service->sessions;
  struct session_losses losses = {0};
  char *holds = NULL, *workspace = NULL;
  if (reply == NULL) return out_of_memory(err);
  int rc = brig_session_show(sessions, &job->name, &holds, err);
  reply->holds = brig__text(brig__arena_take(&job->arena, holds));
  if (rc == 0 && job->is_operator) {
    rc = brig_session_workspace(sessions, &job->name, &workspace, err);
    reply->workspace = brig__text(brig__arena_take(&job->arena, workspace));
  }
  if (rc == 0) rc = look_for_lost(job, &losses, err);
  reply->lost = losses.items;
  reply->n_lost = losses.count;
  return rc;
}

static int undo(struct sessions_job *job, struct brig_error *err) {
  NEW_REPLY(job, Brig__V1__UndoReply, BRIG__V1__UNDO_REPLY__INIT);
  return brig_session_undo(job->service->sessions, &job->name, err);
}

static int branch(struct sessions_job *job, struct brig_error *err) {
  const Brig__V1__BranchRequest *request = (const void *)job->request;
  Brig__V1__BranchReply *reply =
      NEW_REPLY(job, Brig__V1__BranchReply, BRIG__V1__BRANCH_REPLY__INIT);
  const char *to = brig__text_string(&job->arena, &request->to);
  char *id = NULL;
  if (reply == NULL) return out_of_memory(err);
  if (to == NULL) to = ""; /* which is refused, in good words */
  int rc = brig_session_branch(job->service->sessions, &job->name, request->new_id ? NULL : to, &id,
                               err);
  reply->id = brig__text(brig__arena_take(&job->arena, id));
  return rc;
}

static int save(struct sessions_job *job, struct brig_error *err) {
  Brig__V1__SaveReply *reply = NEW_REPLY(job, Brig__V1__SaveReply, BRIG__V1__SAVE_REPLY__INIT);
  struct session_losses losses = {0};
  if (reply == NULL) return out_of_memory(err);
  int rc = brig_session_save(job->service->sessions, &job->name, 1, err);
  if (rc == 0) rc = look_for_lost(job, &losses, err);
  reply->lost = losses.items;
  reply->n_lost = losses.count;
  return rc;
}

static int drop(struct sessions_job *job, struct brig_error *err) {
  NEW_REPLY(job, Brig__V1__DropReply, BRIG__V1__DROP_REPLY__INIT);
  return brig_session_drop(job->service->sessions, &job->name, err);
}

/* --- A turn ------------------------------------------------------------------------------ */

static void on_news(void *context);

static void on_output(void *context, enum brig_stream stream, const void *data, size_t size) {
  struct sessions_job *job = context;
  if (brig__deltas_add(&job->deltas, stream, data, size)) post(job, on_news);
}

static void read_limits(const Brig__V1__Limits *asked, struct brig_limits *limits) {
  if (asked == NULL) return;
  limits->timeout_ms = asked->timeout_ms;
  limits->memory_bytes = asked->memory_bytes;
  limits->fuel = asked->fuel;
  limits->stdout_bytes = asked->stdout_bytes;
  limits->stderr_bytes = asked->stderr_bytes;
  limits->quota_bytes = asked->quota_bytes;
  limits->quota_files = asked->quota_files;
}

static int read_turn(struct sessions_job *job, struct brig_turn *turn, struct brig_error *err) {
  const Brig__V1__RunRequest *request = (const void *)job->request;
  turn->tenant = job->name.tenant;
  turn->user = job->name.user;
  turn->session = request->new_id ? NULL : job->name.id;
  turn->code = brig__text_string(&job->arena, &request->code);
  turn->guest = brig__text_string(&job->arena, &request->guest);
  if (turn->code == NULL || turn->guest == NULL)
    return job->arena.failed ? out_of_memory(err)
                             : brig__fail(err, BRIG_E_INVALID, "session",
                                          "code, or the interpreter's name, has a 0 byte in it");
  if (turn->guest[0] == '\0') turn->guest = NULL;
  turn->input = request->input.data;
  turn->input_size = request->input.len;
  turn->cancel = job->cancel;
  if (request->stream) turn->on_output = on_output;
  turn->on_output_context = job;
  read_limits(request->limits, &turn->limits);
  return 0;
}

static int run(struct sessions_job *job, struct brig_error *err) {
  const Brig__V1__RunRequest *request = (const void *)job->request;
  Brig__V1__RunReply *reply = NEW_REPLY(job, Brig__V1__RunReply, BRIG__V1__RUN_REPLY__INIT);
  struct brig_turn turn = BRIG_TURN_INIT;
  if (reply == NULL) return out_of_memory(err);
  int rc = read_turn(job, &turn, err);
  if (rc == 0) rc = brig_session_run(job->service->sessions, &turn, &job->result, err);
  if (rc < 0) return rc;
  brig__metrics_result(job->service->metrics, job->result->run);
  reply->result = brig__session_answer_turn(&job->arena, job->result, !request->stream);
  return 0;
}

/* --- A call's end ------------------------------------------------------------------------ */

/* Once nobody has it any more. */
static void release(struct sessions_job *job) {
  if (job->call != NULL || job->working || job->held) return;
  LIST_REMOVE(job, link);
  if (job->slow != NULL) event_free(job->slow);
  brig_cancel_free(job->cancel);
  brig__deltas_free(&job->deltas);
  brig__arena_free(&job->arena);
  brig_turn_result_free(job->result);
  protobuf_c_message_free_unpacked((ProtobufCMessage *)(uintptr_t)&job->request->base, NULL);
  free(job);
}

static void finish(struct sessions_job *job, enum rpc_status status, const char *message) {
  struct rpc_call *call = STEAL_PTR(job->call);
  if (job->admitted)
    brig__enforcement_end(job->service->enforcement, &job->ticket, status, brig__now_us());
  brig__rpc_finish(call, status, message);
}

static void stop(struct sessions_job *job, enum rpc_status status, const char *message) {
  brig_cancel_trigger(job->cancel);
  if (job->call != NULL) finish(job, status, message);
  release(job);
}

static void on_cancel(struct rpc_call *call, void *context) {
  (void)call;
  stop(context, RPC_CANCELLED, NULL);
}

void brig__sessions_cancel_all(struct sessions_service *service) {
  struct sessions_job *next;
  for (struct sessions_job *at = LIST_FIRST(&service->jobs); at != NULL; at = next) {
    next = LIST_NEXT(at, link);
    stop(at, RPC_UNAVAILABLE, "the server is shutting down");
  }
}

/* Of the operator's machine no word reaches another. */
static void fail(struct sessions_job *job) {
  enum rpc_status status = brig__rpc_status_of(job->failure.code);
  bool ours = status == RPC_INTERNAL;
  if (ours)
    LOG(job->service->log, LOG_ERROR, "session", LOG_TEXT("method", job->verb->name),
        LOG_TEXT("tenant", job->name.tenant), LOG_TEXT("error", job->failure.message));
  finish(job, status,
         ours && !job->is_operator ? "the sandbox failed: the server's log says why"
                                   : job->failure.message);
}

static void answer(struct sessions_job *job) {
  if (job->call == NULL) return;
  if (job->failure.code != 0) {
    fail(job);
  } else if (job->reply == NULL || job->arena.failed || job->deltas.failed) {
    finish(job, RPC_RESOURCE_EXHAUSTED, no_memory);
  } else {
    brig__rpc_send(job->call, job->reply); /* which may end the call */
    if (job->call != NULL) finish(job, RPC_OK, NULL);
  }
}

/* --- Output, and then the answer --------------------------------------------------------- */

static void tell(struct sessions_job *job);

static void on_slow(evutil_socket_t fd, short what, void *context) {
  (void)fd, (void)what;
  tell(context);
}

static void tell_output(struct sessions_job *job, const struct delta *delta) {
  Brig__V1__RunReply reply = BRIG__V1__RUN_REPLY__INIT;
  reply.stream = delta->stream == BRIG_STDOUT ? BRIG__V1__STREAM__STREAM_STDOUT
                                              : BRIG__V1__STREAM__STREAM_STDERR;
  reply.output = (ProtobufCBinaryData){delta->size, delta->data};
  if (delta->size > 0) brig__rpc_send(job->call, &reply.base);
  free(delta->data);
}

static void tell(struct sessions_job *job) {
  struct delta delta;
  job->held = true;
  while (job->call != NULL) {
    int room = brig__pace(&job->slow, job->service->base, job->call, on_slow, job);
    if (room < 0) stop(job, RPC_RESOURCE_EXHAUSTED, no_memory);
    if (room <= 0) break;
    if (brig__deltas_next(&job->deltas, PACE_PIECE, &delta)) {
      tell_output(job, &delta);
    } else {
      if (!job->working) answer(job);
      break;
    }
  }
  job->held = false;
  release(job);
}

static void on_news(void *context) { tell(context); }

static void on_done(void *context) {
  struct sessions_job *job = context;
  job->working = false;
  tell(job);
}

static void work(void *context) {
  struct sessions_job *job = context;
  struct brig_error err;
  if (job->verb->work(job, &err) < 0) job->failure = err;
  brig__deltas_end_run(&job->deltas, 0); /* also what is half a character */
  post(job, on_done);
}

/* --- A call's beginning ------------------------------------------------------------------ */

/* False: it has a 0 byte in it. Empty is `none`. */
static bool read_text(struct sessions_job *job, const ProtobufCBinaryData *text, const char *none,
                      const char **ret_text) {
  const char *string = brig__text_string(&job->arena, text);
  *ret_text = string != NULL && string[0] != '\0' ? string : none;
  return string != NULL;
}

static enum rpc_status read_name(struct sessions_job *job, const char **ret_message) {
  static const Brig__V1__SessionName nobody = BRIG__V1__SESSION_NAME__INIT;
  const Brig__V1__SessionName *name = job->request->name == NULL ? &nobody : job->request->name;
  const struct caller *caller = brig__rpc_call_caller(job->call);
  const char *tenant = NULL;
  *ret_message = "sessions are for the operator, and for tenants: see server.tokens_file";
  if (caller == NULL || (!caller->is_operator && caller->tenant == NULL))
    return RPC_PERMISSION_DENIED;
  *ret_message = "a name has a 0 byte in it";
  if (!read_text(job, &name->tenant, caller->tenant, &tenant) ||
      !read_text(job, &name->user, NULL, &job->name.user) ||
      !read_text(job, &name->id, "", &job->name.id))
    return RPC_INVALID_ARGUMENT;
  *ret_message = "only the operator may name a tenant";
  if (!caller->is_operator && strcmp(tenant, caller->tenant) != 0) return RPC_PERMISSION_DENIED;
  job->name.tenant = tenant;
  job->is_operator = caller->is_operator;
  return RPC_OK;
}

/* The operator may do as he likes. */
static enum enforcement_verdict admit(struct sessions_job *job) {
  const char *user = job->name.user == NULL ? "" : job->name.user;
  const struct enforcement_request asked = {
      .tenant = job->name.tenant, .user = user, .user_size = strlen(user)};
  if (job->is_operator) return ENFORCEMENT_ALLOWED;
  enum enforcement_verdict verdict =
      brig__enforcement_begin(job->service->enforcement, &asked, brig__now_us(), &job->ticket);
  job->admitted = verdict == ENFORCEMENT_ALLOWED;
  return verdict;
}

/* RPC_OK: the thread has it. */
static enum rpc_status begin(struct sessions_job *job, const char **ret_message) {
  enum rpc_status status = read_name(job, ret_message);
  if (status != RPC_OK) return status;
  enum enforcement_verdict verdict = admit(job);
  *ret_message = brig__enforcement_message(verdict);
  if (verdict != ENFORCEMENT_ALLOWED) return brig__enforcement_status(verdict);
  *ret_message = "the server is still starting: try again later";
  if (job->service->sessions == NULL) return RPC_UNAVAILABLE;
  *ret_message = "too many calls at once: try again later";
  if (brig__executor_run(job->service->executor, work, job) < 0) return RPC_RESOURCE_EXHAUSTED;
  job->working = true;
  return RPC_OK;
}

static void start(struct sessions_service *service, const struct verb *verb, struct rpc_call *call,
                  ProtobufCMessage *request) {
  struct sessions_job *job = calloc(1, sizeof *job);
  struct brig_cancel *cancel = NULL;
  const char *message = NULL;
  if (job == NULL || brig_cancel_new(&cancel, NULL) < 0) {
    free(job);
    brig__rpc_finish(call, RPC_RESOURCE_EXHAUSTED, no_memory);
    return;
  }
  brig__rpc_keep_request(call);
  job->service = service;
  job->verb = verb;
  job->call = call;
  job->request = (const struct named_request *)request;
  job->cancel = cancel;
  brig__deltas_init(&job->deltas);
  LIST_INSERT_HEAD(&service->jobs, job, link);
  enum rpc_status status = begin(job, &message);
  if (status == RPC_OK)
    brig__rpc_on_cancel(call, on_cancel, job);
  else
    stop(job, status, message);
}

static const struct verb verbs[SESSIONS_METHODS] = {
    {"List", &brig__v1__list_request__descriptor, list},
    {"Show", &brig__v1__show_request__descriptor, show},
    {"Run", &brig__v1__run_request__descriptor, run},
    {"Undo", &brig__v1__undo_request__descriptor, undo},
    {"Branch", &brig__v1__branch_request__descriptor, branch},
    {"Save", &brig__v1__save_request__descriptor, save},
    {"Drop", &brig__v1__drop_request__descriptor, drop},
};

static void on_message(struct rpc_call *call, void *context, ProtobufCMessage *request) {
  const char *name = brig__rpc_call_method(call)->name;
  size_t at = 0;
  while (strcmp(verbs[at].name, name) != 0) at++;
  start(context, &verbs[at], call, request);
}

void brig__sessions_methods(struct sessions_service *service,
                            struct rpc_method methods[SESSIONS_METHODS]) {
  for (size_t i = 0; i < SESSIONS_METHODS; i++)
    methods[i] = (struct rpc_method){.service = "brig.v1.Sessions",
                                     .name = verbs[i].name,
                                     .request = verbs[i].request,
                                     .context = service,
                                     .message = on_message};
}
