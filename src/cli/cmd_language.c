#include <stdlib.h>
#include <string.h>
#include "base/fd.h"
#include "cli/execution.h"
#include "cli/script.h"
#include "cli/turn.h"

/* A command for programs in one language. */
struct language {
  const char *command, *name;
  const char *guest; /* the interpreter unless --guest says another */
  char letter;                 /* -c CODE or -e CODE, as its own interpreters have it, */
  const char *name_of_code;    /* and what argv[0] is then, if there is one */
};
static const struct language python = {"python", "python", "python", 'c', "-c"};
static const struct language javascript = {"js", "javascript", "quickjs", 'e', NULL};

struct program {
  struct execution execution; /* first: the shared options' context */
  const char *guest, *code;
  const char *session, *user; /* run it in this session; NULL: in none */
  bool no_server;
};

static int take_code(void *context, const char *value) {
  ((struct program *)context)->code = value;
  return 0;
}

static int take_guest(void *context, const char *value) {
  ((struct program *)context)->guest = value;
  return 0;
}

static int take_session(void *context, const char *value) {
  ((struct program *)context)->session = value;
  return 0;
}

static int take_no_server(void *context, const char *value) {
  (void)value;
  ((struct program *)context)->no_server = true;
  return 0;
}

static int take_user(void *context, const char *value) {
  ((struct program *)context)->user = value;
  return 0;
}

/* CODE, FILE, or "-" and nothing: the program is standard input. */
static int run(const struct language *language, struct program *program, int count, char **rest) {
  struct execution *execution = &program->execution;
  struct brig_request *request = &execution->request;
  CLEANUP_FREE char *script = NULL;
  int status = 0;
  const char **words = calloc((size_t)count + 2, sizeof *words);
  if (words == NULL) return EXIT_BRIG;
  request->guest = program->guest != NULL ? program->guest : language->guest;
  request->code = program->code;
  if (program->code != NULL) {
    size_t at = 0;
    if (language->name_of_code != NULL) words[at++] = language->name_of_code;
    memcpy(words + at, rest, (size_t)count * sizeof *words);
  } else {
    bool file = count > 0 && strcmp(rest[0], "-") != 0;
    words[0] = "";
    memcpy(words, rest, (size_t)count * sizeof *words);
    status = brig__cli_read_program(count > 0 ? rest[0] : NULL, &script);
    request->code = script;
    request->code_name = file ? rest[0] : "<stdin>";
  }
  request->argv = words;
  if (status == 0) status = brig__cli_execution_run(execution);
  free(words);
  return status;
}

static int open_door(const struct language *language, struct door *door) {
  const struct guest *guest;
  int status = brig__cli_door_open(door, true);
  if (status == 0) status = brig__cli_door_guest(door, language->guest, &guest);
  if (status != 0 || strcmp(guest->language, language->name) == 0) return status;
  brig__cli_say("the session %s has the interpreter %s: it does not run %s", door->turn.session,
                guest->name, language->name);
  return EXIT_BRIG;
}

static struct door door_for(struct program *program) {
  struct execution *execution = &program->execution;
  struct door door;
  brig__cli_door_init(&door, STEAL_PTR(execution->config));
  door.json = execution->json;
  door.stats = execution->stats;
  door.stdin_path = execution->stdin_path;
  door.no_server = program->no_server;
  door.turn.session = program->session;
  door.turn.user = program->user;
  door.turn.guest = program->guest;
  return door;
}

/* The same, as a turn of a session. */
static int run_in_session(const struct language *language, struct program *program, int count,
                          char **rest) {
  const struct execution *execution = &program->execution;
  CLEANUP_FREE char *script = NULL;
  if (execution->request.mount_count > 0 || execution->env_count > 0 ||
      count > (program->code != NULL ? 0 : 1)) {
    brig__cli_say("%s: a session has directories of its own (/workspace, /memory): --session goes "
                  "with neither --dir, --dir-rw and --env, nor arguments",
                  language->command);
    return EXIT_BRIG;
  }
  struct door door = door_for(program);
  int status = open_door(language, &door);
  if (status == 0 && program->code == NULL)
    status = brig__cli_read_program(count > 0 ? rest[0] : NULL, &script);
  door.turn.code = program->code != NULL ? program->code : script;
  if (status == 0) status = brig__cli_turn_command(&door);
  brig__cli_door_close(&door);
  return status;
}

static int run_language(const struct language *language, int argc, char **argv) {
  struct option_row rows[16];
  size_t count = brig__cli_execution_row_count;
  char guest_help[80];
  snprintf(guest_help, sizeof guest_help, "the interpreter, or NAME@VERSION (default %s)",
           language->guest);
  memcpy(rows, brig__cli_execution_rows, count * sizeof *rows);
  rows[count++] =
      (struct option_row){"", language->letter, "CODE", "a program as text", take_code, true};
  rows[count++] = (struct option_row){"--guest", 0, "NAME", guest_help, take_guest, false};
  rows[count++] = (struct option_row){"--session", 0, "ID", "run it as a turn of this session",
                                      take_session, false};
  rows[count++] =
      (struct option_row){"--user", 0, "NAME", "whose session", take_user, false};
  rows[count++] = (struct option_row){"--no-server", 0, NULL, "of a session: " DOOR_SERVER_HELP,
                                      take_no_server, false};
  const struct option_set set = {rows, count, true};
  struct program program = {.guest = NULL};
  int status = brig__cli_execution_open(&program.execution);
  if (status != 0) return status;
  int at = brig__cli_options(brig__cli_find(language->command), &set, program.execution.config,
                             &program, argc, argv);
  if (at < 0)
    status = -1 - at;
  else if (program.session != NULL)
    status = run_in_session(language, &program, argc - at, argv + at);
  else
    status = run(language, &program, argc - at, argv + at);
  brig__cli_execution_close(&program.execution);
  return status;
}

int brig__cli_python(int argc, char **argv) { return run_language(&python, argc, argv); }

int brig__cli_js(int argc, char **argv) { return run_language(&javascript, argc, argv); }
