/* support/messages.h - requests of the agent service, made from JSON. */
#ifndef BRIG_TESTS_MESSAGES_H
#define BRIG_TESTS_MESSAGES_H

#include <agent/agent.pb-c.h>
#include <string.h>
#include "server/struct_value.h"

/* What a request has, before it becomes one. All strings end with a 0 byte. */
struct request_text {
  const char *context;        /* JSON, or NULL */
  const char *tools[4];       /* available_tools */
  const char *session, *user; /* of the session's context */
  const char *metadata_session, *metadata_user, *task_id;
  int32_t timeout_seconds;
  int64_t memory_limit_mb;
};

static Shannon__Agent__ExecuteTaskRequest *make_request(struct arena *arena,
                                                        const struct request_text *text) {
  Shannon__Agent__ExecuteTaskRequest *request = brig__arena_new(arena, sizeof *request);
  shannon__agent__execute_task_request__init(request);
  if (text->context != NULL) {
    request->context = brig__struct_of_json(arena, text->context);
    assert_non_null(request->context);
  }
  request->available_tools = brig__arena_new(arena, 4 * sizeof *request->available_tools);
  while (request->n_available_tools < 4 && text->tools[request->n_available_tools] != NULL) {
    request->available_tools[request->n_available_tools] =
        brig__text(text->tools[request->n_available_tools]);
    request->n_available_tools++;
  }
  request->session_context = brig__arena_new(arena, sizeof *request->session_context);
  shannon__agent__session_context__init(request->session_context);
  request->session_context->session_id = brig__text(text->session);
  request->session_context->user_id = brig__text(text->user);
  request->metadata = brig__arena_new(arena, sizeof *request->metadata);
  shannon__common__task_metadata__init(request->metadata);
  request->metadata->session_id = brig__text(text->metadata_session);
  request->metadata->user_id = brig__text(text->metadata_user);
  request->metadata->task_id = brig__text(text->task_id);
  request->config = brig__arena_new(arena, sizeof *request->config);
  shannon__agent__agent_config__init(request->config);
  request->config->timeout_seconds = text->timeout_seconds;
  request->config->memory_limit_mb = text->memory_limit_mb;
  return request;
}

#endif
