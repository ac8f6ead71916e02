/* server/catalog.h - the tools there are: one table, in catalog.c. */
#ifndef BRIG_SERVER_CATALOG_H
#define BRIG_SERVER_CATALOG_H

#include <agent/agent.pb-c.h>
#include <stdbool.h>
#include "server/arena.h"
#include "server/struct_value.h"

struct tool_run; /* server/tool.h */

struct tool {
  const char *name, *title, *description;
  const char *input_schema, *output_schema; /* JSON */
  const char *example, *example_input;      /* JSON */
  const char *const *tags;                  /* NULL-terminated */
  void (*run)(struct tool_run *run);
};

#define CATALOG_CATEGORY "code"

enum { CATALOG_COUNT = 2 };
extern const struct tool brig__catalog[CATALOG_COUNT];

/* NULL: there is none of that name. */
const struct tool *brig__catalog_find(const ProtobufCBinaryData *name);

/* What a client is told of it, in the arena. */
Shannon__Agent__ToolCapability *brig__catalog_capability(struct arena *arena,
                                                         const struct tool *tool);

/* Whether a client that asks so wants it. All are dangerous: they run programs. */
bool brig__catalog_wanted(const Shannon__Agent__DiscoverToolsRequest *request,
                          const struct tool *tool);

#endif
