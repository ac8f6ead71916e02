/* The public result of a turn, in one block of memory behind it. */
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/fd.h"
#include "session/session.h"

struct owned {
  struct brig_turn_result result; /* first: it is what callers have */
  json_t *reply, *lost;           /* that strings are in */
  char *session, *output_file, *unsaved;
  const char **names;
  struct brig_file *files;
  struct brig_lost *losses;
};

/* Callers' strings end at the first 0 byte; guests' may have some. */
static const char *c_string(json_t *string) {
  const char *at = json_string_value(string);
  if (at == NULL || strlen(at) == json_string_length(string)) return at;
  size_t length = json_string_length(string);
  CLEANUP_FREE char *copy = malloc(length);
  if (copy == NULL) return at;
  for (size_t i = 0; i < length; i++) copy[i] = at[i] == '\0' ? '?' : at[i];
  json_string_setn(string, copy, length);
  return json_string_value(string);
}

static const char *text(const json_t *object, const char *key) {
  return c_string(json_object_get(object, key));
}

static bool fill_names(struct owned *owned) {
  const json_t *names = json_object_get(owned->reply, "names");
  size_t count = json_array_size(names), kept = 0;
  owned->names = calloc(count + 1, sizeof *owned->names);
  if (owned->names == NULL) return false;
  for (size_t i = 0; i < count; i++) {
    const char *name = c_string(json_array_get(names, i));
    if (name != NULL) owned->names[kept++] = name;
  }
  owned->result.names = owned->names;
  return true;
}

static bool fill_files(struct owned *owned, struct workspace_changes *changes) {
  owned->files = calloc(changes->count + 1, sizeof *owned->files);
  if (owned->files == NULL) return false;
  for (size_t i = 0; i < changes->count; i++) {
    owned->files[i] = (struct brig_file){changes->items[i].path, changes->items[i].size};
    changes->items[i].path = NULL;
  }
  owned->result.files = owned->files;
  owned->result.file_count = changes->count;
  owned->result.files_more = changes->more;
  return true;
}

static bool fill_lost(struct owned *owned) {
  size_t count = json_array_size(owned->lost), kept = 0;
  owned->losses = calloc(count + 1, sizeof *owned->losses);
  if (owned->losses == NULL) return false;
  for (size_t i = 0; i < count; i++) {
    const json_t *item = json_array_get(owned->lost, i);
    const char *name = text(item, "name"), *reason = text(item, "reason");
    if (name != NULL && reason != NULL) owned->losses[kept++] = (struct brig_lost){name, reason};
  }
  owned->result.lost = owned->losses;
  owned->result.lost_count = kept;
  return true;
}

int brig__turn_result_new(const struct turn_outcome *outcome, struct brig_turn_result **ret_result,
                          struct brig_error *err) {
  struct step *step = outcome->step;
  struct owned *owned = calloc(1, sizeof *owned);
  char *session = strdup(outcome->session);
  if (owned == NULL || session == NULL) {
    free(owned);
    free(session);
    free(outcome->output_file);
    return brig__fail(err, BRIG_E_MEMORY, "session", "out of memory");
  }
  const json_t *error = json_object_get(step->reply, "error");
  owned->reply = json_incref(step->reply);
  owned->lost = json_incref(outcome->lost);
  owned->session = session;
  owned->output_file = outcome->output_file;
  owned->unsaved = outcome->unsaved == NULL ? NULL : strdup(outcome->unsaved);
  owned->result = (struct brig_turn_result){
      .session = session,
      .turn = outcome->turns,
      .run = step->turn.result,
      .ended_well = step->reply != NULL,
      .value = text(step->reply, "value"),
      .error_type = text(error, "type"),
      .error_message = text(error, "message"),
      .traceback = text(error, "traceback"),
      .output_file = outcome->output_file,
      .restored = outcome->lost != NULL,
      .saved = outcome->saved,
      .unsaved = owned->unsaved,
  };
  step->turn.result = NULL;
  if (fill_names(owned) && fill_files(owned, outcome->changes) && fill_lost(owned)) {
    *ret_result = &owned->result;
    return 0;
  }
  brig_turn_result_free(&owned->result);
  return brig__fail(err, BRIG_E_MEMORY, "session", "out of memory");
}

void brig_turn_result_free(struct brig_turn_result *result) {
  struct owned *owned = (struct owned *)result;
  if (owned == NULL) return;
  for (size_t i = 0; owned->files != NULL && i < result->file_count; i++)
    free((char *)(uintptr_t)owned->files[i].path);
  brig_result_free(result->run);
  json_decref(owned->reply);
  json_decref(owned->lost);
  free(owned->session);
  free(owned->output_file);
  free(owned->unsaved);
  free(owned->names);
  free(owned->files);
  free(owned->losses);
  free(owned);
}
