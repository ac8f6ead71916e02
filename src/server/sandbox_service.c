#include "server/sandbox_service.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "server/files.h"
#include "server/tenants.h"
#include "session/session.h"

#define SERVICE "shannon.sandbox.SandboxService"

/* X(method, prefix of the generated names, of its types, function, has a user's id) */
#define OPERATIONS(X)                                                    \
  X("FileRead", file_read, FileRead, brig__files_read, true)             \
  X("FileWrite", file_write, FileWrite, brig__files_write, true)         \
  X("FileList", file_list, FileList, brig__files_list, true)             \
  X("FileSearch", file_search, FileSearch, brig__files_search, false)    \
  X("FileEdit", file_edit, FileEdit, brig__files_edit, false)            \
  X("FileDelete", file_delete, FileDelete, brig__files_delete, false)

/* Where each message has what they all have; `user` 0: nowhere. */
struct operation {
  const char *method;
  const ProtobufCMessageDescriptor *request, *response;
  size_t session, user, success, error;
  int (*run)(struct files_call *call, const void *request, void *response);
};

static const struct operation operations[] = {
#define USER_OFFSET_true(type)  offsetof(type, user_id)
#define USER_OFFSET_false(type) 0
#define ROW(method, prefix, type, run, has_user)                                          \
  {method,                                                                                \
   &shannon__sandbox__##prefix##_request__descriptor,                                     \
   &shannon__sandbox__##prefix##_response__descriptor,                                    \
   offsetof(Shannon__Sandbox__##type##Request, session_id),                               \
   USER_OFFSET_##has_user(Shannon__Sandbox__##type##Request),                             \
   offsetof(Shannon__Sandbox__##type##Response, success),                                 \
   offsetof(Shannon__Sandbox__##type##Response, error),                                   \
   run},
    OPERATIONS(ROW)
#undef ROW
};

enum { OPERATIONS_COUNT = sizeof operations / sizeof *operations };
_Static_assert(OPERATIONS_COUNT + 1 == SANDBOX_METHODS, "and ExecuteCommand");

struct sandbox_job {
  TAILQ_ENTRY(sandbox_job) link;
  struct sandbox_service *service;
  const struct operation *operation;
  bool running;
  size_t bytes; /* of the request */
  struct rpc_call *call; /* of the loop; NULL: ended */
  /* Of the thread, then of the loop. */
  ProtobufCMessage *request, *response;
  struct files_call files;
};

/* --- Its end -------------------------------------------------------------------------------- */

static void free_job(struct sandbox_job *job) {
  brig__arena_free(&job->files.arena);
  protobuf_c_message_free_unpacked(job->request, NULL);
  free(job);
}

/* The client hears now. A thread that has it ends soon, and the job with it. */
static void end_early(struct sandbox_job *job, enum rpc_status status, const char *message) {
  struct rpc_call *call = job->call;
  atomic_store(&job->files.cancelled, true);
  job->call = NULL;
  if (!job->running) {
    TAILQ_REMOVE(&job->service->waiting, job, link);
    free_job(job);
  }
  if (call != NULL) brig__rpc_finish(call, status, message);
}

static void on_cancel(struct rpc_call *call, void *context) {
  (void)call;
  end_early(context, RPC_CANCELLED, NULL);
}

void brig__sandbox_cancel_all(struct sandbox_service *service) {
  static const char message[] = "the server is shutting down";
  struct sandbox_job *job;
  while ((job = TAILQ_FIRST(&service->waiting)) != NULL)
    end_early(job, RPC_UNAVAILABLE, message);
  TAILQ_FOREACH(job, &service->running, link) end_early(job, RPC_UNAVAILABLE, message);
}

static void log_failure(const struct sandbox_job *job) {
  const struct files_call *files = &job->files;
  if (files->failure.code == 0) return;
  LOG(job->service->log, LOG_ERROR, "files", LOG_TEXT("method", job->operation->method),
      LOG_TEXT("tenant", files->tenant), LOG_TEXT("error", files->failure.message));
}

static void run_those_who_wait(struct sandbox_service *service);

static void on_done(void *context) {
  struct sandbox_job *job = context;
  struct sandbox_service *service = job->service;
  struct rpc_call *call = job->call;
  job->call = NULL; /* a reply that cannot be sent cancels it */
  TAILQ_REMOVE(&service->running, job, link);
  log_failure(job);
  if (call != NULL && job->files.arena.failed)
    brig__rpc_finish(call, RPC_RESOURCE_EXHAUSTED, "out of memory: try again later");
  else if (call != NULL)
    brig__rpc_reply(call, job->response);
  free_job(job);
  run_those_who_wait(service);
}

/* --- Its work -------------------------------------------------------------------------------- */

static ProtobufCBinaryData *text_at(void *message, size_t offset) {
  return (ProtobufCBinaryData *)(void *)((char *)message + offset);
}

static void set_outcome(const struct operation *operation, ProtobufCMessage *response,
                        bool success, ProtobufCBinaryData error) {
  *(protobuf_c_boolean *)((char *)response + operation->success) = success;
  if (!success) *text_at(response, operation->error) = error;
}

static void work(void *context) {
  struct sandbox_job *job = context;
  bool success = job->operation->run(&job->files, job->request, job->response) == 0;
  set_outcome(job->operation, job->response, success, job->files.error);
  while (brig__rpc_post(job->service->rpc, on_done, job) < 0) usleep(10000); /* no memory */
}

/* --- Its beginning ---------------------------------------------------------------------------- */

static void refuse(struct sandbox_job *job) {
  struct rpc_call *call = job->call;
  job->call = NULL;
  set_outcome(job->operation, job->response, false,
              brig__text("too many files are worked on at once: try again later"));
  brig__rpc_reply(call, job->response);
  free_job(job);
}

struct tally {
  size_t jobs, bytes;
};

static bool is_of(const struct sandbox_job *job, const char *tenant) {
  const char *own = job->files.tenant;
  return own == tenant || (own != NULL && tenant != NULL && strcmp(own, tenant) == 0);
}

static void count(const struct sandbox_jobs *jobs, const char *tenant, struct tally *all,
                  struct tally *of_tenant) {
  const struct sandbox_job *job;
  TAILQ_FOREACH(job, jobs, link) {
    all->jobs++;
    all->bytes += job->bytes;
    if (!is_of(job, tenant)) continue;
    of_tenant->jobs++;
    of_tenant->bytes += job->bytes;
  }
}

static bool has_place(const struct sandbox_service *service, const struct sandbox_job *job) {
  struct tally all = {0}, of_tenant = {0};
  count(&service->running, job->files.tenant, &all, &of_tenant);
  count(&service->waiting, job->files.tenant, &all, &of_tenant);
  return all.jobs < SANDBOX_JOBS_MAX && of_tenant.jobs < SANDBOX_JOBS_MAX / 2 &&
         all.bytes + job->bytes <= SANDBOX_BYTES_MAX &&
         of_tenant.bytes + job->bytes <= SANDBOX_BYTES_MAX / 2;
}

static bool may_run(const struct sandbox_service *service, const struct sandbox_job *job) {
  struct tally all = {0}, of_tenant = {0};
  count(&service->running, job->files.tenant, &all, &of_tenant);
  return all.jobs < SANDBOX_RUNNING_MAX && of_tenant.jobs < SANDBOX_RUNNING_MAX / 2;
}

static void run_those_who_wait(struct sandbox_service *service) {
  struct sandbox_job *next;
  for (struct sandbox_job *job = TAILQ_FIRST(&service->waiting); job != NULL; job = next) {
    next = TAILQ_NEXT(job, link);
    if (!may_run(service, job)) continue;
    TAILQ_REMOVE(&service->waiting, job, link);
    job->running = true;
    if (brig__executor_run(service->executor, work, job) < 0) {
      refuse(job);
      continue;
    }
    TAILQ_INSERT_TAIL(&service->running, job, link);
  }
}

static uint64_t end_of(const struct sandbox_service *service, const struct rpc_call *call) {
  uint64_t deadline_us = brig__rpc_call_deadline_us(call);
  uint64_t enforced_us =
      brig__rpc_call_begun_us(call) + brig__enforcement_timeout_us(service->enforcement);
  return deadline_us < enforced_us ? deadline_us : enforced_us;
}

/* NULL without memory. */
static struct sandbox_job *new_job(struct sandbox_service *service,
                                   const struct operation *operation, struct rpc_call *call) {
  struct sandbox_job *job = calloc(1, sizeof *job);
  const struct tool_setting *setting = service->setting;
  const struct caller *caller = brig__rpc_call_caller(call);
  if (job == NULL) return NULL;
  job->response = brig__arena_new(&job->files.arena, operation->response->sizeof_message);
  if (job->response == NULL) {
    free(job);
    return NULL;
  }
  operation->response->message_init(job->response);
  job->service = service;
  job->operation = operation;
  job->call = call;
  job->files.settings = setting->settings;
  job->files.workspaces = setting->sessions->workspaces;
  job->files.tenant = caller == NULL ? NULL : caller->tenant;
  job->files.ends_us = end_of(service, call);
  return job;
}

static void start(struct rpc_call *call, void *context, ProtobufCMessage *request) {
  struct sandbox_service *service = context;
  const char *name = brig__rpc_call_method(call)->name;
  const struct operation *operation = operations;
  while (strcmp(operation->method, name) != 0) operation++;
  if (!*service->started) {
    brig__rpc_finish(call, RPC_UNAVAILABLE, "the server is starting: try again soon");
    return;
  }
  struct sandbox_job *job = new_job(service, operation, call);
  if (job == NULL) {
    brig__rpc_finish(call, RPC_RESOURCE_EXHAUSTED, "out of memory: try again later");
    return;
  }
  brig__rpc_keep_request(call);
  job->request = request;
  job->files.session = *text_at(request, operation->session);
  if (operation->user != 0) job->files.user = *text_at(request, operation->user);
  job->bytes = protobuf_c_message_get_packed_size(request);
  if (!has_place(service, job)) {
    refuse(job);
    return;
  }
  TAILQ_INSERT_TAIL(&service->waiting, job, link);
  brig__rpc_on_cancel(call, on_cancel, job);
  run_those_who_wait(service);
}

static void execute_command(struct rpc_call *call, void *context, ProtobufCMessage *request) {
  (void)context;
  (void)request;
  brig__rpc_finish(call, RPC_UNIMPLEMENTED,
                   "there is no shell: run a program by the tool python_executor "
                   "(shannon.agent.AgentService/ExecuteTask), in the same session");
}

void brig__sandbox_methods(struct sandbox_service *service,
                           struct rpc_method methods[SANDBOX_METHODS]) {
  TAILQ_INIT(&service->running);
  TAILQ_INIT(&service->waiting);
  for (size_t i = 0; i < OPERATIONS_COUNT; i++)
    methods[i] = (struct rpc_method){.service = SERVICE,
                                     .name = operations[i].method,
                                     .request = operations[i].request,
                                     .context = service,
                                     .message = start};
  methods[OPERATIONS_COUNT] =
      (struct rpc_method){.service = SERVICE,
                          .name = "ExecuteCommand",
                          .request = &shannon__sandbox__command_request__descriptor,
                          .context = service,
                          .message = execute_command};
}
