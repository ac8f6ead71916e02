#include "server/agent_service.h"

#include <brig/version.h>
#include <stdio.h>
#include <string.h>
#include "base/clock.h"
#include "server/agent_job.h"

/* --- Tasks ------------------------------------------------------------------------------ */

static void execute_task(struct rpc_call *call, void *context, ProtobufCMessage *request) {
  brig__rpc_keep_request(call);
  brig__agent_job_start(context, call, (Shannon__Agent__ExecuteTaskRequest *)request, false);
}

static void stream_execute_task(struct rpc_call *call, void *context, ProtobufCMessage *request) {
  brig__rpc_keep_request(call);
  brig__agent_job_start(context, call, (Shannon__Agent__ExecuteTaskRequest *)request, true);
}

void brig__agent_cancel_all(struct agent_service *service) {
  struct agent_job *next;
  for (struct agent_job *at = LIST_FIRST(&service->jobs); at != NULL; at = next) {
    next = LIST_NEXT(at, link);
    brig__agent_job_stop(at, RPC_UNAVAILABLE, "the server is shutting down");
  }
}

void brig__agent_when_idle(struct agent_service *service, void (*idle)(void *context),
                           void *context) {
  service->idle = idle;
  service->idle_context = context;
  if (service->job_count == 0) idle(context);
}

/* --- What it can ------------------------------------------------------------------------- */

/* Both are about the interpreter, for clients; modules of their own run without. */
static bool is_offered(const struct agent_service *service) {
  return service->started && service->setting->python != NULL;
}

static void get_capabilities(struct rpc_call *call, void *context, ProtobufCMessage *request) {
  static Shannon__Common__ExecutionMode modes[] = {
      SHANNON__COMMON__EXECUTION_MODE__EXECUTION_MODE_SIMPLE,
      SHANNON__COMMON__EXECUTION_MODE__EXECUTION_MODE_STANDARD,
      SHANNON__COMMON__EXECUTION_MODE__EXECUTION_MODE_COMPLEX,
  };
  const struct agent_service *service = context;
  Shannon__Agent__GetCapabilitiesResponse response =
      SHANNON__AGENT__GET_CAPABILITIES_RESPONSE__INIT;
  ProtobufCBinaryData tools[CATALOG_COUNT];
  (void)request;
  for (size_t i = 0; i < CATALOG_COUNT; i++) tools[i] = brig__text(brig__catalog[i].name);
  response.supported_tools = tools;
  response.n_supported_tools = is_offered(service) ? CATALOG_COUNT : 0;
  response.supported_modes = modes;
  response.n_supported_modes = sizeof modes / sizeof *modes;
  response.max_memory_mb = (int64_t)(service->setting->settings->ceiling_memory_limit_bytes >> 20);
  response.max_concurrent_tasks = (int32_t)service->max_executions;
  response.version = brig__text(BRIG_VERSION);
  brig__rpc_reply(call, &response.base);
}

static double memory_percent(void) {
  unsigned long long total = 0, available = 0;
  FILE *file = fopen("/proc/meminfo", "re");
  if (file == NULL) return 0;
  if (fscanf(file, "MemTotal: %llu kB MemFree: %*u kB MemAvailable: %llu kB", &total, &available) !=
      2)
    total = 0;
  fclose(file);
  return total == 0 ? 0 : 100.0 * (double)(total - available) / (double)total;
}

static void health_check(struct rpc_call *call, void *context, ProtobufCMessage *request) {
  const struct agent_service *service = context;
  Shannon__Agent__HealthCheckResponse response = SHANNON__AGENT__HEALTH_CHECK_RESPONSE__INIT;
  (void)request;
  response.healthy = service->healthy;
  response.message = brig__text(service->healthy ? "healthy" : "not serving");
  response.uptime_seconds = (int64_t)((brig__now_us() - service->started_us) / 1000000);
  response.active_tasks = (int32_t)service->job_count;
  response.memory_usage_percent = memory_percent();
  brig__rpc_reply(call, &response.base);
}

/* --- Tools -------------------------------------------------------------------------------- */

static void discover_tools(struct rpc_call *call, void *context, ProtobufCMessage *message) {
  const Shannon__Agent__DiscoverToolsRequest *request = (const void *)message;
  Shannon__Agent__DiscoverToolsResponse response = SHANNON__AGENT__DISCOVER_TOOLS_RESPONSE__INIT;
  Shannon__Agent__ToolCapability *tools[CATALOG_COUNT];
  struct arena arena = {0};
  size_t max = request->max_results > 0 ? (size_t)request->max_results : CATALOG_COUNT;
  response.tools = tools;
  for (size_t i = 0; i < CATALOG_COUNT && response.n_tools < max; i++)
    if (is_offered(context) && brig__catalog_wanted(request, &brig__catalog[i]))
      tools[response.n_tools++] = brig__catalog_capability(&arena, &brig__catalog[i]);
  if (arena.failed)
    brig__rpc_finish(call, RPC_RESOURCE_EXHAUSTED, "out of memory");
  else
    brig__rpc_reply(call, &response.base);
  brig__arena_free(&arena);
}

static void get_tool_capability(struct rpc_call *call, void *context, ProtobufCMessage *message) {
  const Shannon__Agent__GetToolCapabilityRequest *request = (const void *)message;
  Shannon__Agent__GetToolCapabilityResponse response =
      SHANNON__AGENT__GET_TOOL_CAPABILITY_RESPONSE__INIT;
  const struct tool *tool = brig__catalog_find(&request->tool_id);
  struct arena arena = {0};
  (void)context;
  response.tool = tool == NULL ? NULL : brig__catalog_capability(&arena, tool);
  if (tool == NULL)
    brig__rpc_finish(call, RPC_NOT_FOUND,
                     "there is no such tool: this server has code_executor and python_executor");
  else if (arena.failed)
    brig__rpc_finish(call, RPC_RESOURCE_EXHAUSTED, "out of memory");
  else
    brig__rpc_reply(call, &response.base);
  brig__arena_free(&arena);
}

#define SERVICE "shannon.agent.AgentService"

void brig__agent_methods(struct agent_service *service, struct rpc_method methods[AGENT_METHODS]) {
  const struct rpc_method rows[AGENT_METHODS] = {
      {SERVICE, "ExecuteTask", &shannon__agent__execute_task_request__descriptor, false, service,
       execute_task, NULL},
      {SERVICE, "StreamExecuteTask", &shannon__agent__execute_task_request__descriptor, false,
       service, stream_execute_task, NULL},
      {SERVICE, "GetCapabilities", &shannon__agent__get_capabilities_request__descriptor, false,
       service, get_capabilities, NULL},
      {SERVICE, "HealthCheck", &shannon__agent__health_check_request__descriptor, false, service,
       health_check, NULL},
      {SERVICE, "DiscoverTools", &shannon__agent__discover_tools_request__descriptor, false,
       service, discover_tools, NULL},
      {SERVICE, "GetToolCapability", &shannon__agent__get_tool_capability_request__descriptor,
       false, service, get_tool_capability, NULL},
  };
  memcpy(methods, rows, sizeof rows);
}
