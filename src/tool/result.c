/* What a model reads of an execution, and the same as JSON. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/utf8.h"
#include "tool/tool.h"

/* A model is helped by the first names; get_session_info tells the others. */
#define LOST_MAX 20

struct owned {
  struct brig_python_result result; /* first: it is what callers have */
  char *output, *error, *json, *session_id, *interpreter;
  struct brig_turn_result *turn;
};

/* A text that is written piece by piece. */
struct text {
  FILE *file;
  char *data;
  size_t size;
  bool begun, at_line_start;
};

/* --- Output ----------------------------------------------------------------------- */

static void begin_line(struct text *text) {
  if (text->begun && !text->at_line_start) fputc('\n', text->file);
  text->begun = true;
  text->at_line_start = false;
}

static void put(struct text *text, const void *data, size_t size) {
  if (size == 0) return;
  fwrite(data, 1, size, text->file);
  text->begun = true;
  text->at_line_start = ((const char *)data)[size - 1] == '\n';
}

static void put_output(struct text *text, const struct brig_turn_result *turn) {
  const struct brig_result *run = turn->run;
  put(text, run->stdout_data, run->stdout_size);
  if (turn->value != NULL) {
    begin_line(text);
    put(text, turn->value, strlen(turn->value));
  }
  if (run->stderr_size > 0) {
    begin_line(text);
    fputs("[stderr]\n", text->file);
    put(text, run->stderr_data, run->stderr_size);
  }
}

/* --- Notes ------------------------------------------------------------------------ */

static void put_lost(struct text *text, const struct brig_turn_result *turn) {
  if (turn->lost_count == 0) return;
  begin_line(text);
  fputs("[The session was saved since its last call. These are lost, make them again: ",
        text->file);
  for (size_t i = 0; i < turn->lost_count && i < LOST_MAX; i++)
    fprintf(text->file, "%s%s (%s)", i > 0 ? "; " : "", turn->lost[i].name, turn->lost[i].reason);
  if (turn->lost_count > LOST_MAX)
    fprintf(text->file, "; and %zu more", turn->lost_count - LOST_MAX);
  fputs(".]", text->file);
}

/* What was shortened has both its ends and a note between: it is above its limit. */
static bool was_cut(const struct brig_result *run, const struct brig_settings *settings) {
  return run->stdout_size > settings->wasi_stdout_limit_bytes ||
         run->stderr_size > settings->wasi_stderr_limit_bytes;
}

static void put_cut(struct text *text, const struct execution *execution) {
  const struct brig_turn_result *turn = execution->turn;
  unsigned long long dropped = turn->run->stdout_dropped + turn->run->stderr_dropped;
  if (!was_cut(turn->run, execution->executor->settings)) return;
  begin_line(text);
  fputs("[The output was too long and is cut. ", text->file);
  if (turn->output_file != NULL)
    fprintf(text->file, "Read more of it in a call of the same session: open('/workspace/%s').",
            turn->output_file);
  else
    fputs("Print less, or make the call with a session_id: then all is kept in a file.",
          text->file);
  if (dropped > 0) fprintf(text->file, " %llu bytes more are kept nowhere.", dropped);
  fputc(']', text->file);
}

static void put_notes(struct text *text, const struct execution *execution) {
  if (execution->turn == NULL) return;
  put_lost(text, execution->turn);
  put_cut(text, execution);
}

/* --- The whole -------------------------------------------------------------------- */

static bool open_text(struct text *text) {
  *text = (struct text){0};
  text->file = open_memstream(&text->data, &text->size);
  return text->file != NULL;
}

/* As UTF-8 in fresh memory, or NULL. */
static char *close_text(struct text *text, size_t *ret_size) {
  bool whole = !ferror(text->file);
  whole = fclose(text->file) == 0 && whole;
  char *repaired = whole ? brig__utf8_repair(text->data, text->size, ret_size) : NULL;
  free(text->data);
  return repaired;
}

static bool make_output(const struct execution *execution, struct owned *owned) {
  struct text text;
  if (!open_text(&text)) return false;
  if (execution->turn != NULL) put_output(&text, execution->turn);
  if (execution->hint == HINT_NONE) put_notes(&text, execution);
  owned->output = close_text(&text, &owned->result.output_size);
  owned->result.output = owned->output;
  return owned->output != NULL;
}

static bool make_error(const struct execution *execution, struct owned *owned) {
  struct text text;
  size_t size;
  if (execution->hint == HINT_NONE) return true;
  if (!open_text(&text)) return false;
  brig__tool_explain(text.file, execution);
  text.begun = true;
  put_notes(&text, execution);
  owned->error = close_text(&text, &size);
  owned->result.error = owned->error;
  return owned->error != NULL;
}

static json_t *string_or_null(const char *text) {
  return text == NULL ? json_null() : json_string(text);
}

static bool make_json(struct owned *owned) {
  const struct brig_python_result *result = &owned->result;
  json_t *root = json_pack(
      "{s:b, s:o, s:o, s:{s:I, s:o, s:I, s:s}}", "success", result->success, "output",
      json_stringn(result->output, result->output_size), "error", string_or_null(result->error),
      "metadata", "execution_time_ms", (json_int_t)result->execution_time_ms, "session_id",
      string_or_null(result->session_id), "execution_count", (json_int_t)result->execution_count,
      "interpreter", result->interpreter);
  owned->json = root == NULL ? NULL : json_dumps(root, JSON_COMPACT);
  json_decref(root);
  owned->result.json = owned->json;
  return owned->json != NULL;
}

static bool copy_string(const char *from, char **to, const char **ret_text) {
  if (from == NULL) return true;
  *to = strdup(from);
  *ret_text = *to;
  return *to != NULL;
}

static uint64_t count_of(const struct execution *execution) {
  if (execution->turn == NULL) return 0;
  return execution->session_id == NULL ? 1 : execution->turn->turn;
}

/* What a call was refused for is not only for its model to read. */
static void note_refusal(struct brig_python_result *result) {
  if (result->turn == NULL && result->failure.code == 0)
    brig__fail(&result->failure, BRIG_E_INVALID, "python_executor", "%.*s",
               (int)strcspn(result->error, "\n"), result->error);
}

static bool fill(struct execution *execution, struct owned *owned) {
  struct brig_python_result *result = &owned->result;
  result->success = execution->hint == HINT_NONE;
  result->execution_count = count_of(execution);
  result->failure = execution->failure;
  if (!make_output(execution, owned) || !make_error(execution, owned)) return false;
  result->turn = owned->turn = STEAL_PTR(execution->turn);
  note_refusal(result);
  /* Late, for the hints may have asked the guest. */
  result->execution_time_ms = (brig__now_us() - execution->began_us) / 1000;
  return copy_string(execution->session_id, &owned->session_id, &result->session_id) &&
         copy_string(execution->executor->interpreter, &owned->interpreter, &result->interpreter) &&
         make_json(owned);
}

int brig__tool_result(struct execution *execution, struct brig_python_result **ret_result,
                      struct brig_error *err) {
  struct owned *owned = calloc(1, sizeof *owned);
  if (owned != NULL && fill(execution, owned)) {
    *ret_result = &owned->result;
    return 0;
  }
  brig_python_result_free(owned == NULL ? NULL : &owned->result);
  return brig__fail(err, BRIG_E_MEMORY, "python_executor", "out of memory for the result");
}

void brig_python_result_free(struct brig_python_result *result) {
  struct owned *owned = (struct owned *)result;
  if (owned == NULL) return;
  brig_turn_result_free(owned->turn);
  free(owned->output);
  free(owned->error);
  free(owned->json);
  free(owned->session_id);
  free(owned->interpreter);
  free(owned);
}
