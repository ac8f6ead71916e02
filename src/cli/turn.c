#include "cli/turn.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/fd.h"
#include "cli/outcome.h"
#include "cli/result_json.h"
#include "cli/signals.h"
#include "config/config.h"

/* --- Running ------------------------------------------------------------------- */

/* A session keeps more of what is written than is shown: see brig_turn_result.output_file. */
struct output {
  struct brig_cancel *cancel;
  uint64_t left[BRIG_STDERR + 1];
};

static void pass_output(void *context, enum brig_stream stream, const void *data, size_t size) {
  struct output *output = context;
  uint64_t *left = &output->left[stream];
  if (size > *left) size = (size_t)*left;
  *left -= size;
  int fd = stream == BRIG_STDOUT ? STDOUT_FILENO : STDERR_FILENO;
  if (brig__write_all(fd, data, size) < 0) brig_cancel_trigger(output->cancel);
}

int brig__cli_turn(struct door *door, struct brig_turn_result **ret_result) {
  const struct brig_settings *settings = brig__config_settings(door->config);
  struct output output = {.left = {[BRIG_STDOUT] = settings->wasi_stdout_limit_bytes,
                                   [BRIG_STDERR] = settings->wasi_stderr_limit_bytes}};
  struct brig_turn turn = door->turn;
  struct brig_error err;
  if (brig_cancel_new(&output.cancel, &err) < 0) return brig__cli_fail(&err);
  turn.cancel = output.cancel;
  if (!door->json) turn.on_output = pass_output;
  turn.on_output_context = &output;
  fflush(stdout);
  brig__cli_signals_cancel(output.cancel);
  int rc = brig__cli_door_run(door, &turn, ret_result, &err);
  brig__cli_signals_cancel(NULL);
  brig_cancel_free(output.cancel);
  if (rc == 0) return 0;
  int status = brig__cli_fail(&err);
  if (door->server == NULL || brig__cli_signal() == 0) return status;
  brig__cli_say("the session is as it was before this turn, unless that had just ended");
  return 128 + brig__cli_signal();
}

/* --- Telling ------------------------------------------------------------------- */

bool brig__cli_turn_exited(const struct brig_turn_result *result) {
  return result->error_type != NULL && strcmp(result->error_type, "SystemExit") == 0;
}

/* As python3 ends: sys.exit() with 0, sys.exit(3) with 3, sys.exit("text") with 1. Whether
 * it is a text. */
static bool read_exit(const char *message, int *ret_status) {
  char *end;
  if (message == NULL) message = "";
  long number = strtol(message, &end, 10);
  bool is_text = *end != '\0';
  *ret_status = is_text ? EXIT_FAILURE : (int)(number & 255);
  return is_text;
}

int brig__cli_turn_status(const struct brig_turn_result *result) {
  int status = brig__cli_exit_status(result->run);
  if (!result->ended_well) return status != 0 ? status : EXIT_FAILURE;
  if (brig__cli_turn_exited(result))
    read_exit(result->error_message, &status);
  else if (result->error_type != NULL)
    status = EXIT_FAILURE;
  return status;
}

static void report_error(const struct brig_turn_result *result) {
  int status;
  if (!brig__cli_turn_exited(result))
    fprintf(stderr, "%s%s", result->traceback != NULL ? result->traceback : result->error_type,
            result->traceback != NULL ? "" : "\n");
  else if (read_exit(result->error_message, &status))
    fprintf(stderr, "%s\n", result->error_message);
}

static void report_bad_end(const struct brig_turn_result *result) {
  if (result->run->outcome == BRIG_OUTCOME_EXITED)
    brig__cli_say("the turn ended its process, with status %u", result->run->exit_code);
  brig__cli_say("the session %s is as it was before this turn", result->session);
}

void brig__cli_turn_report(const struct brig_turn_result *result) {
  for (size_t i = 0; i < result->lost_count; i++)
    brig__cli_say_plain("not brought back: %s: %s", result->lost[i].name, result->lost[i].reason);
  if (result->value != NULL) puts(result->value);
  fflush(stdout);
  if (result->error_type != NULL) report_error(result);
  brig__cli_explain(result->run);
  if (result->output_file != NULL)
    brig__cli_say("the output was cut (--stdout-limit, --stderr-limit); %s in the session's "
                  "workspace has all of it",
                  result->output_file);
  if (!result->ended_well) report_bad_end(result);
}

static json_t *error_json(const struct brig_turn_result *result) {
  return result->error_type == NULL
             ? json_null()
             : json_pack("{s:s, s:s?, s:s?}", "type", result->error_type, "message",
                         result->error_message, "traceback", result->traceback);
}

static json_t *files_json(const struct brig_turn_result *result) {
  json_t *files = json_array();
  for (size_t i = 0; i < result->file_count; i++) {
    const struct brig_file *file = &result->files[i];
    json_t *item = json_pack("{s:I}", "size", (json_int_t)file->size);
    brig__cli_json_bytes(item, "path", "path_base64", file->path, strlen(file->path));
    json_array_append_new(files, item);
  }
  return files;
}

static json_t *names_json(const struct brig_turn_result *result) {
  json_t *names = json_array();
  for (size_t i = 0; result->names[i] != NULL; i++)
    json_array_append_new(names, json_string(result->names[i]));
  return names;
}

static json_t *lost_json(const struct brig_turn_result *result) {
  json_t *lost = json_array();
  for (size_t i = 0; i < result->lost_count; i++)
    json_array_append_new(lost, json_pack("{s:s, s:s}", "name", result->lost[i].name, "reason",
                                          result->lost[i].reason));
  return lost;
}

static json_t *result_json(const struct brig_turn_result *result, bool saved, json_t *not_saved) {
  return json_pack("{s:s, s:I, s:b, s:s?, s:o, s:o, s:o, s:I, s:s?, s:b, s:o, s:b, s:o, s:o}",
                   "session", result->session, "turn", (json_int_t)result->turn, "ended_well",
                   result->ended_well, "value", result->value, "error", error_json(result), "names",
                   names_json(result), "files", files_json(result), "files_more",
                   (json_int_t)result->files_more, "output_file", result->output_file, "restored",
                   result->restored, "lost", lost_json(result), "saved", saved, "not_saved",
                   not_saved, "run", brig__cli_result_json(result->run));
}

#define INPUT_MAX ((size_t)8 << 20)

/* --- A command ----------------------------------------------------------------- */

static int open_stdin(struct door *door) {
  door->turn.input_from_fd = 1;
  door->turn.input_fd = STDIN_FILENO;
  if (door->stdin_path == NULL || strcmp(door->stdin_path, "-") == 0) return 0;
  int fd = open(door->stdin_path, O_RDONLY | O_CLOEXEC);
  if (fd >= 0) door->turn.input_fd = fd;
  if (fd >= 0) return 0;
  brig__cli_say("--stdin %s: %s", door->stdin_path, strerror(errno));
  return EXIT_BRIG;
}

/* A server takes what there is, before the turn: nothing of a terminal's. */
static int read_input(struct door *door, char **ret_input) {
  CLEANUP_FREE char *input = malloc(INPUT_MAX + 1);
  if (isatty(door->turn.input_fd)) return 0;
  ssize_t size =
      input == NULL ? -ENOMEM : brig__read_all(door->turn.input_fd, input, INPUT_MAX + 1);
  if (size > (ssize_t)INPUT_MAX) size = -EFBIG;
  if (size < 0) {
    brig__cli_say("standard input: %s", strerror((int)-size));
    return EXIT_BRIG;
  }
  door->turn.input = *ret_input = STEAL_PTR(input);
  door->turn.input_size = (size_t)size;
  return 0;
}

/* The state that a turn led to is gone with this process, unless it is saved. */
static int save_and_report(struct door *door, const struct brig_turn_result *result) {
  json_t *not_saved = door->json ? json_array() : NULL;
  int saved = 0;
  door->turn.session = result->session;
  if (!door->json) brig__cli_turn_report(result);
  if (result->ended_well) saved = brig__cli_keep(door, not_saved);
  if (saved != 0) brig__cli_say("what this turn changed is lost");
  if (door->server != NULL && result->unsaved != NULL)
    brig__cli_say_plain("the server has not saved the session yet: %s", result->unsaved);
  bool is_saved = door->server != NULL ? result->saved : result->ended_well && saved == 0;
  if (door->json) brig__cli_print_json(result_json(result, is_saved, not_saved));
  if (door->stats) brig__cli_print_stats(result->run);
  return brig__cli_finish(saved != 0 ? saved : brig__cli_turn_status(result));
}

int brig__cli_turn_command(struct door *door) {
  struct brig_turn_result *result = NULL;
  CLEANUP_FREE char *input = NULL;
  int status = open_stdin(door);
  if (status == 0 && door->server != NULL) status = read_input(door, &input);
  if (status == 0) status = brig__cli_turn(door, &result);
  if (result != NULL) status = save_and_report(door, result);
  brig__cli_door_result_free(door, result);
  if (door->turn.input_fd > STDIN_FILENO) close(door->turn.input_fd);
  return status;
}
