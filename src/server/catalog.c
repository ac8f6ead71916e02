#include "server/catalog.h"

#include <brig/version.h>
#include <string.h>
#include <strings.h>
#include "server/tool.h"

#define OUTPUT_SCHEMA                                                                      \
  "{\"type\": \"object\", \"properties\": {\"output\": {\"type\": \"string\"}, \"error\":" \
  " {\"type\": \"string\"}}}"

const struct tool brig__catalog[CATALOG_COUNT] = {
    {
        .name = "code_executor",
        .title = "Code executor",
        .description =
            "Runs a WebAssembly module (WASI preview 1) in a process of its own, fenced and "
            "limited. With a session id the session's files are at /workspace.",
        .input_schema =
            "{\"type\": \"object\", \"properties\": {"
            "\"wasm_base64\": {\"type\": \"string\", \"description\": \"The module, in base64\"},"
            "\"wasm_path\": {\"type\": \"string\", \"description\": \"Or the path of an "
            "interpreter of the server's\"},"
            "\"stdin\": {\"type\": \"string\", \"description\": \"Standard input\"},"
            "\"argv\": {\"type\": \"array\", \"items\": {\"type\": \"string\"}, \"description\": "
            "\"Arguments, the program's name first\"}}}",
        .output_schema = OUTPUT_SCHEMA,
        .example = "Python, as clients send it",
        .example_input =
            "{\"wasm_path\": \"/opt/wasm-interpreters/python-3.11.4.wasm\", \"stdin\": "
            "\"print(6 * 7)\", \"argv\": [\"python\", \"-c\", \"import sys; "
            "exec(sys.stdin.read())\"]}",
        .tags = (const char *const[]){"code", "wasm", "wasi", "sandbox", NULL},
        .run = brig__code_executor_run,
    },
    {
        .name = "python_executor",
        .title = "Python executor",
        .description =
            "Runs Python. With a session id names, imports and files are there in the next call; "
            "a call that fails leaves the session as it was.",
        .input_schema =
            "{\"type\": \"object\", \"required\": [\"code\"], \"properties\": {"
            "\"code\": {\"type\": \"string\", \"description\": \"The program\"},"
            "\"session_id\": {\"type\": \"string\", \"description\": \"Whose names and files it "
            "goes on with\"},"
            "\"timeout_seconds\": {\"type\": \"number\", \"minimum\": 0, \"maximum\": 60},"
            "\"stdin\": {\"type\": \"string\", \"description\": \"Standard input\"}}}",
        .output_schema = OUTPUT_SCHEMA,
        .example = "A value",
        .example_input = "{\"code\": \"import math\\nmath.sqrt(2)\", \"session_id\": \"one\"}",
        .tags = (const char *const[]){"code", "python", "session", "sandbox", NULL},
        .run = brig__python_executor_run,
    },
};

const struct tool *brig__catalog_find(const ProtobufCBinaryData *name) {
  for (size_t i = 0; i < CATALOG_COUNT; i++)
    if (brig__text_is(name, brig__catalog[i].name)) return &brig__catalog[i];
  return NULL;
}

/* --- What a client is told ------------------------------------------------------------ */

static void add_tags(struct arena *arena, const struct tool *tool,
                     Shannon__Agent__ToolCapability *capability) {
  size_t count = 0;
  while (tool->tags[count] != NULL) count++;
  capability->tags = brig__arena_new(arena, count * sizeof *capability->tags);
  for (size_t i = 0; i < count && capability->tags != NULL; i++)
    capability->tags[capability->n_tags++] = brig__text(tool->tags[i]);
}

static void add_example(struct arena *arena, const struct tool *tool,
                        Shannon__Agent__ToolCapability *capability) {
  Shannon__Agent__ToolExample *example = brig__arena_new(arena, sizeof *example);
  capability->examples = brig__arena_new(arena, sizeof *capability->examples);
  if (example == NULL || capability->examples == NULL) return;
  shannon__agent__tool_example__init(example);
  example->description = brig__text(tool->example);
  example->input = brig__struct_of_json(arena, tool->example_input);
  capability->examples[capability->n_examples++] = example;
}

static void add_permission(struct arena *arena, Shannon__Agent__ToolCapability *capability) {
  capability->required_permissions =
      brig__arena_new(arena, sizeof *capability->required_permissions);
  if (capability->required_permissions == NULL) return;
  capability->required_permissions[capability->n_required_permissions++] =
      brig__text("code_execution");
}

Shannon__Agent__ToolCapability *brig__catalog_capability(struct arena *arena,
                                                         const struct tool *tool) {
  Shannon__Agent__ToolCapability *capability = brig__arena_new(arena, sizeof *capability);
  if (capability == NULL) return NULL;
  shannon__agent__tool_capability__init(capability);
  capability->id = brig__text(tool->name);
  capability->name = brig__text(tool->title);
  capability->description = brig__text(tool->description);
  capability->category = brig__text(CATALOG_CATEGORY);
  capability->input_schema = brig__struct_of_json(arena, tool->input_schema);
  capability->output_schema = brig__struct_of_json(arena, tool->output_schema);
  capability->is_dangerous = true;
  capability->version = brig__text(BRIG_VERSION);
  capability->author = brig__text("Brig");
  add_tags(arena, tool, capability);
  add_example(arena, tool, capability);
  add_permission(arena, capability);
  return arena->failed ? NULL : capability;
}

/* --- What a client looks for ------------------------------------------------------------ */

static bool is_same(const ProtobufCBinaryData *text, const char *word) {
  return text->len == strlen(word) && strncasecmp((const char *)text->data, word, text->len) == 0;
}

static bool contains(const char *where, const ProtobufCBinaryData *what) {
  for (; strlen(where) >= what->len; where++)
    if (strncasecmp(where, (const char *)what->data, what->len) == 0) return true;
  return false;
}

static bool has_tag(const struct tool *tool, const ProtobufCBinaryData *tag) {
  for (size_t i = 0; tool->tags[i] != NULL; i++)
    if (is_same(tag, tool->tags[i])) return true;
  return false;
}

static bool matches(const struct tool *tool, const ProtobufCBinaryData *query) {
  return query->len == 0 || contains(tool->name, query) || contains(tool->title, query) ||
         contains(tool->description, query) || has_tag(tool, query);
}

bool brig__catalog_wanted(const Shannon__Agent__DiscoverToolsRequest *request,
                          const struct tool *tool) {
  bool category = request->n_categories == 0, tag = request->n_tags == 0;
  for (size_t i = 0; i < request->n_categories; i++)
    category = category || is_same(&request->categories[i], CATALOG_CATEGORY);
  for (size_t i = 0; i < request->n_tags; i++) tag = tag || has_tag(tool, &request->tags[i]);
  return category && tag && matches(tool, &request->query) && !request->exclude_dangerous;
}
