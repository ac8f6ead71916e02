/* A user's sessions: what one holds, and the end of all. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/fd.h"
#include "tool/tool.h"

static int no_memory(struct brig_error *err) {
  return brig__fail(err, BRIG_E_MEMORY, "python_executor", "out of memory");
}

/* --- clear_sessions --------------------------------------------------------------- */

/* Ids, each with its 0 byte, or no memory for them. */
static void note_id(void *context, const struct brig_session_info *info) {
  fwrite(info->id, 1, strlen(info->id) + 1, context);
}

static int drop_all(struct brig_python_executor *executor, struct brig_session_name name,
                    const char *ids, size_t size, uint64_t *ret_count, struct brig_error *err) {
  struct brig_error why, first = {0};
  uint64_t count = 0;
  for (const char *id = ids; id < ids + size; id += strlen(id) + 1) {
    name.id = id;
    int rc = brig_session_drop(executor->sessions, &name, &why);
    if (rc == 0) count++;
    if (rc < 0 && rc != BRIG_E_NOT_FOUND && first.code == 0) first = why;
  }
  if (first.code == 0 && ret_count != NULL) *ret_count = count;
  if (first.code != 0 && err != NULL) *err = first;
  return first.code;
}

int brig_python_clear_sessions(struct brig_python_executor *executor, const char *tenant,
                               const char *user, uint64_t *ret_count, struct brig_error *err) {
  struct brig_session_name name = {.tenant = tenant, .user = user};
  CLEANUP_FREE char *ids = NULL;
  size_t size = 0;
  FILE *list = open_memstream(&ids, &size);
  if (list == NULL) return no_memory(err);
  int rc = brig_session_list(executor->sessions, &name, note_id, list, err);
  if (ferror(list) && rc == 0) rc = no_memory(err);
  if (fclose(list) != 0 && rc == 0) rc = no_memory(err);
  return rc < 0 ? rc : drop_all(executor, name, ids, size, ret_count, err);
}

/* --- get_session_info ------------------------------------------------------------- */

struct wanted {
  const char *id;
  bool found;
  uint64_t turns, used_us;
};

static void look(void *context, const struct brig_session_info *info) {
  struct wanted *wanted = context;
  if (strcmp(info->id, wanted->id) != 0) return;
  wanted->found = true;
  wanted->turns = info->turns;
  wanted->used_us = info->used_us;
}

static const char *text(const json_t *object, const char *key) {
  return json_string_value(json_object_get(object, key));
}

static json_t *as_name(const json_t *entry) {
  return json_string(json_is_string(entry) ? json_string_value(entry) : text(entry, "name"));
}

static json_t *as_import(const json_t *entry) {
  const char *name = text(entry, "name"), *module = text(entry, "module");
  if (name == NULL || module == NULL) return NULL;
  return strcmp(name, module) == 0 ? json_sprintf("import %s", module)
                                   : json_sprintf("import %s as %s", module, name);
}

/* What the guest says is there, if it is as it should be. */
static json_t *each_of(const json_t *shown, const char *key, json_t *(*make)(const json_t *)) {
  const json_t *entries = json_object_get(shown, key);
  json_t *made = json_array();
  for (size_t i = 0; i < json_array_size(entries); i++) {
    json_t *item = make(json_array_get(entries, i));
    if (item != NULL) json_array_append_new(made, item);
  }
  return made;
}

static char *info_text(const json_t *shown, const struct wanted *wanted) {
  json_t *info = json_pack("{s:s, s:o, s:o, s:o, s:o, s:I, s:f}", "session_id", wanted->id,
                           "variables", each_of(shown, "variables", as_name), "imports",
                           each_of(shown, "imports", as_import), "functions",
                           each_of(shown, "functions", as_name), "classes",
                           each_of(shown, "classes", as_name), "execution_count",
                           (json_int_t)wanted->turns, "last_accessed",
                           (double)wanted->used_us / 1e6);
  char *json = info == NULL ? NULL : json_dumps(info, JSON_COMPACT);
  json_decref(info);
  return json;
}

int brig_python_get_session_info(struct brig_python_executor *executor,
                                 const struct brig_session_name *name, char **ret_json,
                                 struct brig_error *err) {
  struct wanted wanted = {.id = name->id == NULL ? "" : name->id};
  CLEANUP_FREE char *shown = NULL;
  /* Showing it may bring it back, which uses it: so when that was comes first. */
  int rc = brig_session_list(executor->sessions, name, look, &wanted, err);
  if (rc == 0) rc = brig_session_show(executor->sessions, name, &shown, err);
  if (rc == 0 && !wanted.found)
    rc = brig__fail(err, BRIG_E_NOT_FOUND, "python_executor", "there is no session %s", name->id);
  if (rc < 0) return rc;
  json_t *parsed = json_loads(shown, 0, NULL);
  char *json = info_text(parsed, &wanted);
  json_decref(parsed);
  if (json == NULL) return no_memory(err);
  *ret_json = json;
  return 0;
}
