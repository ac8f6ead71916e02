#include "rpc/health.h"

#include <errno.h>
#include <grpc/health/v1/health.pb-c.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include "base/fd.h"

#define NAME_MAX_BYTES 256 /* of a service */

struct service {
  LIST_ENTRY(service) link;
  char *name;
  bool serving;
};

struct watcher {
  LIST_ENTRY(watcher) link;
  struct rpc_call *call;
  char name[NAME_MAX_BYTES + 1];
};

struct rpc_health {
  LIST_HEAD(, service) services;
  LIST_HEAD(, watcher) watchers;
  bool shut_down;
};

static struct service *find(const struct rpc_health *health, const char *name) {
  struct service *service;
  LIST_FOREACH(service, &health->services, link)
  if (strcmp(service->name, name) == 0) return service;
  return NULL;
}

static Grpc__Health__V1__HealthCheckResponse state(const struct rpc_health *health,
                                                   const char *name) {
  Grpc__Health__V1__HealthCheckResponse reply = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
  const struct service *service = find(health, name);
  if (service == NULL)
    reply.status = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVICE_UNKNOWN;
  else if (service->serving && !health->shut_down)
    reply.status = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING;
  else
    reply.status = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__NOT_SERVING;
  return reply;
}

static void tell(const struct rpc_health *health, const struct watcher *watcher) {
  Grpc__Health__V1__HealthCheckResponse reply = state(health, watcher->name);
  brig__rpc_send(watcher->call, &reply.base);
}

/* False: the call is over. */
static bool take_name(struct rpc_call *call, const ProtobufCMessage *message,
                      char ret_name[NAME_MAX_BYTES + 1]) {
  const ProtobufCBinaryData *name =
      &((const Grpc__Health__V1__HealthCheckRequest *)message)->service;
  if (name->len > NAME_MAX_BYTES) {
    brig__rpc_finish(call, RPC_INVALID_ARGUMENT, "no service has so long a name");
    return false;
  }
  memset(ret_name, 0, NAME_MAX_BYTES + 1);
  if (name->len > 0) memcpy(ret_name, name->data, name->len);
  return true;
}

static void check(struct rpc_call *call, void *context, ProtobufCMessage *request) {
  const struct rpc_health *health = context;
  char name[NAME_MAX_BYTES + 1];
  if (!take_name(call, request, name)) return;
  Grpc__Health__V1__HealthCheckResponse reply = state(health, name);
  if (find(health, name) == NULL)
    brig__rpc_finish(call, RPC_NOT_FOUND, "unknown service");
  else
    brig__rpc_reply(call, &reply.base);
}

static void end(struct watcher *watcher, enum rpc_status status, const char *message) {
  LIST_REMOVE(watcher, link);
  brig__rpc_finish(watcher->call, status, message);
  free(watcher);
}

static void unwatch(struct rpc_call *call, void *context) {
  (void)call;
  end(context, RPC_CANCELLED, NULL);
}

static void end_watches(struct rpc_health *health) {
  struct watcher *watcher;
  while ((watcher = LIST_FIRST(&health->watchers)) != NULL)
    end(watcher, RPC_UNAVAILABLE, "the server is shutting down");
}

static void watch(struct rpc_call *call, void *context, ProtobufCMessage *request) {
  struct rpc_health *health = context;
  CLEANUP_FREE struct watcher *watcher = calloc(1, sizeof *watcher);
  if (watcher == NULL) {
    brig__rpc_finish(call, RPC_RESOURCE_EXHAUSTED, "out of memory");
    return;
  }
  if (!take_name(call, request, watcher->name)) return;
  watcher->call = call;
  LIST_INSERT_HEAD(&health->watchers, watcher, link);
  brig__rpc_on_cancel(call, unwatch, watcher);
  tell(health, STEAL_PTR(watcher));
  if (health->shut_down) end_watches(health);
}

struct rpc_health *brig__rpc_health_new(void) {
  return calloc(1, sizeof(struct rpc_health));
}

void brig__rpc_health_free(struct rpc_health *health) {
  struct service *service;
  if (health == NULL) return;
  while ((service = LIST_FIRST(&health->services)) != NULL) {
    LIST_REMOVE(service, link);
    free(service->name);
    free(service);
  }
  free(health);
}

void brig__rpc_health_methods(struct rpc_health *health,
                              struct rpc_method ret_methods[RPC_HEALTH_METHODS]) {
  static const char service[] = "grpc.health.v1.Health";
  const ProtobufCMessageDescriptor *request = &grpc__health__v1__health_check_request__descriptor;
  ret_methods[0] = (struct rpc_method){service, "Check", request, false, health, check, NULL};
  ret_methods[1] = (struct rpc_method){service, "Watch", request, false, health, watch, NULL};
}

/* To those who watch `name`, or NULL: to all. Telling one may end its call. */
static void tell_watchers(struct rpc_health *health, const char *name) {
  struct watcher *watcher, *next;
  for (watcher = LIST_FIRST(&health->watchers); watcher != NULL; watcher = next) {
    next = LIST_NEXT(watcher, link);
    if (name == NULL || strcmp(watcher->name, name) == 0) tell(health, watcher);
  }
}

static struct service *add(struct rpc_health *health, const char *name) {
  struct service *service = calloc(1, sizeof *service);
  if (service != NULL) service->name = strdup(name);
  if (service == NULL || service->name == NULL) {
    free(service);
    return NULL;
  }
  LIST_INSERT_HEAD(&health->services, service, link);
  return service;
}

int brig__rpc_health_set(struct rpc_health *health, const char *name, bool serving) {
  struct service *service = find(health, name);
  bool known = service != NULL;
  if (!known) service = add(health, name);
  if (service == NULL) return -ENOMEM;
  bool changes = !known || service->serving != serving;
  service->serving = serving;
  if (changes && !health->shut_down) tell_watchers(health, name);
  return 0;
}

void brig__rpc_health_shut_down(struct rpc_health *health) {
  health->shut_down = true;
  tell_watchers(health, NULL);
  end_watches(health);
}
