/* Which executions may go on from a template, and from which. */
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/fd.h"
#include "sandbox/sandbox_internal.h"

/* Anybody's module is started in a zygote only where that one can reach no file of
 * the host's; an installed interpreter's start is the operator's own. */
bool brig__warm_possible(const struct brig_sandbox *sandbox, const struct template_kind *kind) {
  walls_t up = brig__pool_hello(sandbox->pool)->report.up;
  return kind->module->guest != NULL || (up & JAIL_WALL(ROOT)) != 0;
}

/* All that a guest can see before it asks for input; and whose it is, so that one
 * tenant's module is never started for another. */
int brig__warm_key(const struct template_kind *kind, struct brig_digest *ret_key) {
  const struct wire_task *task = kind->task;
  const char *tenant = kind->module->guest != NULL || kind->tenant == NULL ? "" : kind->tenant;
  struct {
    struct brig_digest module;
    struct engine_settings settings;
    uint32_t arguments, variables, entries, mounts, writable, program;
  } head = {kind->module->digest, task->settings, task->arguments, task->variables,
            task->entries,        task->mounts,   task->writable,  task->program};
  size_t tenant_size = strlen(tenant), size = sizeof head + kind->strings->size + tenant_size;
  CLEANUP_FREE uint8_t *all = malloc(size);
  if (all == NULL) return -1;
  memcpy(all, &head, sizeof head);
  memcpy(all + sizeof head, kind->strings->data, kind->strings->size);
  memcpy(all + sizeof head + kind->strings->size, tenant, tenant_size);
  return brig__digest_repeated(all, size, ret_key);
}

/* The most that any request may have. A request's own is set after the fork. */
struct brig_limits brig__warm_limits(const struct brig_sandbox *sandbox,
                                     const struct brig_limits *request) {
  const struct brig_limits *ceilings = &sandbox->limits.ceilings;
  struct brig_limits limits = *request;
  limits.timeout_ms = ceilings->timeout_ms;
  limits.memory_bytes = ceilings->memory_bytes;
  limits.quota_bytes = ceilings->quota_bytes;
  limits.table_elements = ceilings->table_elements;
  limits.open_files = sandbox->limits.defaults.open_files;
  /* Fuel bounds a start as it bounds a run; afterwards it is counted anew. */
  if (limits.fuel != BRIG_UNLIMITED) limits.fuel = sandbox->limits.defaults.fuel;
  if (limits.fuel == BRIG_UNLIMITED) limits.fuel = INT64_MAX;
  return limits;
}

static bool same_environment(const struct config_list *list, const char *const *environment) {
  size_t i = 0;
  for (; environment != NULL && environment[i] != NULL && i < list->count; i++)
    if (strcmp(list->items[i], environment[i]) != 0) return false;
  return i == list->count && (environment == NULL || environment[i] == NULL);
}

/* What the operator says of a guest and an environment, in the first template with
 * them, holds for all of them, whatever directories they have. */
char *brig__warm_preload(const struct brig_sandbox *sandbox, const struct guest *guest,
                         const char *const *environment) {
  const struct config_templates *named = &sandbox->settings->templates_named;
  for (size_t i = 0; i < named->count; i++)
    if (brig__guest_named(guest, named->items[i].guest) && named->items[i].arguments.count == 0 &&
        same_environment(&named->items[i].environment, environment))
      return brig__format("%s\n%s", guest->preload, named->items[i].preload);
  return strdup(guest->preload);
}

static int warm_one(struct brig_sandbox *sandbox, const struct config_template *named,
                    struct brig_error *err) {
  struct brig_request request = BRIG_REQUEST_INIT;
  const char *const *arguments = (const char *const *)named->arguments.items;
  if (*named->guest != '\0') request.guest = named->guest;
  if (*named->module != '\0') request.module_path = named->module;
  request.env = (const char *const *)named->environment.items;
  request.argv = arguments;
  if (request.guest != NULL && arguments == NULL) request.code = "";
  if (named->workspace) request.workspace = brig__any_directory;
  if (named->memory) request.memory = brig__any_directory;
  return brig__execution_warm(sandbox, &request, (uint32_t)named->ready_workers, err);
}

int brig__warm_named(struct brig_sandbox *sandbox, struct brig_error *err) {
  const struct config_templates *named = &sandbox->settings->templates_named;
  for (size_t i = 0; i < named->count; i++) {
    struct brig_error reason;
    if (warm_one(sandbox, &named->items[i], &reason) == 0) continue;
    char *notice = brig__format("template \"%s\": %s", named->items[i].name, reason.message);
    if (brig__strings_take(&sandbox->notices, notice) < 0)
      return brig__fail(err, BRIG_E_MEMORY, "start", "out of memory");
  }
  return 0;
}
