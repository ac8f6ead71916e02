/* A gRPC server of src/rpc with the real services' messages, whose handlers do what a
 * request's `query` says: see `queries` below. HealthCheck tells what the server holds.
 *
 * rpc-echo [NAME=VALUE...] [ADDRESS | /PATH | plain:ADDRESS | fd:NUMBER]...
 * SIGTERM drains, SIGHUP reloads the certificates, SIGINT closes while calls live. */
#include <agent/agent.pb-c.h>
#include <event2/event.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/fd.h"
#include "rpc/health.h"
#include "rpc/reflection.h"
#include "rpc/rpc.h"

#define UNSENT_MAX (1u << 20)

static struct event_base *base;
static struct rpc_server *server;
static struct rpc_health *health;
static uint64_t cancelled, ended, ended_ok;

/* A call that goes on: `left` replies of `size` bytes, `pause_us` between them. */
struct job {
  struct rpc_call *call;
  struct event *timer;
  uint64_t left, pause_us, size;
  enum rpc_status status;
};

static ProtobufCBinaryData bytes(const char *text) {
  return (ProtobufCBinaryData){strlen(text), (uint8_t *)text};
}

static void reply_text(struct rpc_call *call, const char *text) {
  Shannon__Agent__ExecuteTaskResponse reply = SHANNON__AGENT__EXECUTE_TASK_RESPONSE__INIT;
  reply.result = bytes(text);
  brig__rpc_reply(call, &reply.base);
}

static void job_end(struct job *job, enum rpc_status status, const char *message) {
  brig__rpc_finish(job->call, status, message);
  event_free(job->timer);
  free(job);
}

static void job_step(evutil_socket_t fd, short what, void *context) {
  struct job *job = context;
  (void)fd, (void)what;
  while (job->left > 0 && brig__rpc_unsent(job->call) < UNSENT_MAX) {
    CLEANUP_FREE char *text = calloc(1, job->size + 1);
    Shannon__Agent__TaskUpdate update = SHANNON__AGENT__TASK_UPDATE__INIT;
    memset(text, 'x', job->size);
    update.delta = bytes(text);
    update.progress = (double)job->left--;
    brig__rpc_send(job->call, &update.base);
    if (brig__rpc_is_cancelled(job->call)) return; /* on_cancel has ended it */
    if (job->pause_us > 0) break;
  }
  uint64_t pause = job->pause_us > 0 ? job->pause_us : 1000;
  struct timeval time = {.tv_sec = (time_t)(pause / 1000000), .tv_usec = (long)(pause % 1000000)};
  if (job->left == 0 || brig__rpc_is_cancelled(job->call))
    job_end(job, job->status, job->status == RPC_OK ? NULL : "as asked");
  else
    event_add(job->timer, &time);
}

static void job_cancelled(struct rpc_call *call, void *context) {
  struct job *job = context;
  (void)call;
  cancelled++;
  job->left = 0;
  event_active(job->timer, EV_TIMEOUT, 0);
}

static void start_job(struct rpc_call *call, const struct job *like) {
  struct job *job = malloc(sizeof *job);
  *job = *like;
  job->call = call;
  job->timer = evtimer_new(base, job_step, job);
  brig__rpc_on_cancel(call, job_cancelled, job);
  event_active(job->timer, EV_TIMEOUT, 0);
}

/* In a thread, as executions are. */
struct sleeper {
  struct rpc_call *call;
  useconds_t us;
};

static void woken(void *context) {
  struct sleeper *sleeper = context;
  if (brig__rpc_is_cancelled(sleeper->call)) cancelled++;
  reply_text(sleeper->call, "slept");
  free(sleeper);
}

static void *sleep_on(void *context) {
  struct sleeper *sleeper = context;
  usleep(sleeper->us);
  brig__rpc_post(server, woken, sleeper);
  return NULL;
}

static void query_sleep(struct rpc_call *call, const char *rest) {
  struct sleeper *sleeper = malloc(sizeof *sleeper);
  pthread_t thread;
  *sleeper = (struct sleeper){call, (useconds_t)strtoul(rest, NULL, 10) * 1000};
  pthread_create(&thread, NULL, sleep_on, sleeper);
  pthread_detach(thread);
}

static void query_status(struct rpc_call *call, const char *rest) {
  char *message;
  unsigned long status = strtoul(rest, &message, 10);
  brig__rpc_finish(call, (enum rpc_status)status, *message != '\0' ? message + 1 : NULL);
}

static void query_big(struct rpc_call *call, const char *rest) {
  size_t size = strtoul(rest, NULL, 10);
  CLEANUP_FREE char *text = calloc(1, size + 1);
  memset(text, 'x', size);
  reply_text(call, text);
}

static void query_peer(struct rpc_call *call, const char *rest) {
  const struct rpc_peer *peer = brig__rpc_call_peer(call);
  (void)rest;
  CLEANUP_FREE char *text = brig__format(
      "%s|%d|%u|%d|%s|%s|%s", peer->address, peer->local, peer->uid, (int)peer->pid,
      peer->certificate != NULL ? peer->certificate : "",
      peer->authorization != NULL ? peer->authorization : "", (char *)brig__rpc_call_caller(call));
  reply_text(call, text);
}

static void query_count(struct rpc_call *call, const char *rest) {
  struct job job = {.size = 1};
  char *end;
  job.left = strtoull(rest, &end, 10);
  job.pause_us = strtoull(end, &end, 10) * 1000;
  job.status = (enum rpc_status)strtoul(end, NULL, 10);
  start_job(call, &job);
}

static void query_flood(struct rpc_call *call, const char *rest) {
  start_job(call, &(struct job){.size = strtoull(rest, NULL, 10), .left = UINT64_MAX});
}

static void query_health(struct rpc_call *call, const char *rest) {
  brig__rpc_health_set(health, rest + 1, rest[0] == '+');
  reply_text(call, "set");
}

static const struct {
  const char *word;
  void (*run)(struct rpc_call *call, const char *rest);
} queries[] = {
    {"sleep ", query_sleep},   /* MS: reply then, from another thread */
    {"status ", query_status}, /* NUMBER TEXT */
    {"big ", query_big},       /* SIZE */
    {"peer", query_peer},      /* what is known of it */
    {"count ", query_count},   /* N [PAUSE_MS [STATUS]]: a stream */
    {"health ", query_health}, /* +SERVICE or -SERVICE */
    {"flood ", query_flood},   /* SIZE: a stream without end */
};

static void execute(struct rpc_call *call, void *context, ProtobufCMessage *message) {
  const Shannon__Agent__ExecuteTaskRequest *request =
      (const Shannon__Agent__ExecuteTaskRequest *)message;
  Shannon__Agent__ExecuteTaskResponse reply = SHANNON__AGENT__EXECUTE_TASK_RESPONSE__INIT;
  CLEANUP_FREE char *query =
      brig__format("%.*s", (int)request->query.len, (const char *)request->query.data);
  (void)context;
  for (size_t i = 0; query != NULL && i < sizeof queries / sizeof *queries; i++)
    if (strncmp(query, queries[i].word, strlen(queries[i].word)) == 0) {
      queries[i].run(call, query + strlen(queries[i].word));
      return;
    }
  if (request->metadata != NULL) reply.task_id = request->metadata->task_id;
  reply.result = request->query;
  reply.metadata = request->context;
  brig__rpc_reply(call, &reply.base);
}

static void health_check(struct rpc_call *call, void *context, ProtobufCMessage *message) {
  Shannon__Agent__HealthCheckResponse reply = SHANNON__AGENT__HEALTH_CHECK_RESPONSE__INIT;
  struct rpc_counts counts;
  (void)context, (void)message;
  brig__rpc_counts(server, &counts);
  CLEANUP_FREE char *text = brig__format("{\"connections\": %" PRIu64 ", \"calls\": %" PRIu64
                                         ", \"buffered_bytes\": %" PRIu64 ", \"refused\": %" PRIu64
                                         ", \"cancelled\": %" PRIu64 ", \"ended\": %" PRIu64
                                         ", \"ended_ok\": %" PRIu64 "}",
                                         counts.connections, counts.calls, counts.buffered_bytes,
                                         counts.refused, cancelled, ended, ended_ok);
  reply.healthy = true;
  reply.message = bytes(text);
  brig__rpc_reply(call, &reply.base);
}

static void on_ended(void *context, const struct rpc_call *call, enum rpc_status status) {
  (void)context;
  ended++;
  if (status == RPC_OK) ended_ok++;
  fprintf(stderr, "ended %s %s\n", brig__rpc_call_method(call)->name,
          brig__rpc_status_name(status));
}

static void on_noted(void *context, const char *event, const char *address, const char *text) {
  (void)context;
  fprintf(stderr, "%s %s %s\n", event, address, text);
}

static enum rpc_status admit(void *context, const struct rpc_peer *peer,
                             const struct rpc_method *method, void **ret_caller,
                             const char **ret_message) {
  (void)context, (void)method;
  *ret_caller = (void *)"somebody";
  if (peer->authorization == NULL || strcmp(peer->authorization, "Bearer wrong") != 0)
    return RPC_OK;
  *ret_message = "not you";
  return RPC_UNAUTHENTICATED;
}

static struct rpc_method methods[16] = {
    {"shannon.agent.AgentService", "ExecuteTask", &shannon__agent__execute_task_request__descriptor,
     .message = execute},
    {"shannon.agent.AgentService", "StreamExecuteTask",
     &shannon__agent__execute_task_request__descriptor, .message = execute},
    {"shannon.agent.AgentService", "HealthCheck", &shannon__agent__health_check_request__descriptor,
     .message = health_check},
};

static struct rpc_settings settings = {
    .methods = methods,
    .method_count = 3 + RPC_HEALTH_METHODS + RPC_REFLECTION_METHODS,
    .max_request_bytes = 16 << 20,
    .max_parts = 400000,
    .max_connections = 2000,
    .max_calls_per_connection = 256,
    .max_buffered_bytes = 256 << 20,
    .handshake_us = 10000000,
    .idle_us = 60000000,
    .admit = admit,
    .ended = on_ended,
    .noted = on_noted,
};

static const struct {
  const char *name;
  uint64_t *number;
  const char **text;
} options[] = {
    {"max_request_bytes=", &settings.max_request_bytes, NULL},
    {"max_parts=", &settings.max_parts, NULL},
    {"max_connections=", &settings.max_connections, NULL},
    {"max_calls=", &settings.max_calls_per_connection, NULL},
    {"max_buffered_bytes=", &settings.max_buffered_bytes, NULL},
    {"handshake_us=", &settings.handshake_us, NULL},
    {"idle_us=", &settings.idle_us, NULL},
    {"certificate=", NULL, &settings.tls_certificate},
    {"key=", NULL, &settings.tls_key},
    {"client_ca=", NULL, &settings.tls_client_ca},
};

static bool take_option(const char *argument) {
  for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
    size_t length = strlen(options[i].name);
    if (strncmp(argument, options[i].name, length) != 0) continue;
    if (options[i].number != NULL)
      *options[i].number = strtoull(argument + length, NULL, 10);
    else
      *options[i].text = argument + length;
    return true;
  }
  return false;
}

static void fail(const struct brig_error *err) {
  fprintf(stderr, "rpc-echo: %s\n", err->message);
  exit(1);
}

static void listen_on(const char *argument, size_t index) {
  struct rpc_listener listener = {.address = argument};
  struct brig_error err;
  if (argument[0] == '/') listener = (struct rpc_listener){.path = argument};
  if (strncmp(argument, "plain:", 6) == 0)
    listener = (struct rpc_listener){.address = argument + 6, .plain = true};
  if (strncmp(argument, "fd:", 3) == 0)
    listener = (struct rpc_listener){.fd = (int)strtol(argument + 3, NULL, 10), .from_fd = true};
  if (brig__rpc_listen(server, &listener, &err) < 0) fail(&err);
  printf("%s\n", brig__rpc_address(server, index));
}

static void on_drained(void *context) {
  (void)context;
  event_base_loopbreak(base);
}

static void on_signal(evutil_socket_t number, short what, void *context) {
  struct brig_error err;
  (void)what, (void)context;
  if (number == SIGTERM) {
    brig__rpc_health_shut_down(health);
    brig__rpc_drain(server, on_drained, NULL);
  } else if (number == SIGINT) {
    event_base_loopbreak(base);
  } else if (brig__rpc_reload_tls(server, &err) < 0) {
    fprintf(stderr, "rpc-echo: %s\n", err.message);
  }
}

int main(int argc, char **argv) {
  static const int signals[] = {SIGTERM, SIGINT, SIGHUP};
  struct event *events[3];
  struct brig_error err;
  size_t listeners = 0;
  int first = 1;
  signal(SIGPIPE, SIG_IGN);
  base = event_base_new();
  while (first < argc && take_option(argv[first])) first++;
  health = brig__rpc_health_new();
  brig__rpc_health_methods(health, methods + 3);
  memcpy(methods + 3 + RPC_HEALTH_METHODS, brig__rpc_reflection_methods,
         sizeof brig__rpc_reflection_methods);
  brig__rpc_health_set(health, "", true);
  if (brig__rpc_open(base, &settings, &server, &err) < 0) fail(&err);
  for (int i = first; i < argc; i++) listen_on(argv[i], listeners++);
  for (int i = 0; i < 3; i++) {
    events[i] = evsignal_new(base, signals[i], on_signal, NULL);
    event_add(events[i], NULL);
  }
  fflush(stdout);
  event_base_dispatch(base);
  for (int i = 0; i < 3; i++) event_free(events[i]);
  brig__rpc_close(server);
  event_base_loop(base, EVLOOP_NONBLOCK); /* jobs end */
  brig__rpc_health_free(health);
  event_base_free(base);
  libevent_global_shutdown();
  return 0;
}
