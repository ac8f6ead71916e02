/* Which executions may go on from a template, and from which. */
#include <stdlib.h>
#include <string.h>
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
  return brig__digest(all, size, ret_key);
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

char *brig__warm_preload(const struct brig_sandbox *sandbox, const struct guest *guest) {
  (void)sandbox;
  return brig__format("%s", guest->preload);
}
