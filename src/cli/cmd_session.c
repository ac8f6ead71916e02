#include <stdlib.h>
#include <string.h>
#include "base/fd.h"
#include "cli/door.h"
#include "cli/script.h"
#include "cli/show.h"
#include "cli/turn.h"

struct request {
  struct door door; /* first: the options' context */
  const char *code;
  const char *word; /* what follows the session's id, or NULL */
};

static int take_code(void *context, const char *value) {
  ((struct request *)context)->code = value;
  return 0;
}

static int list(struct request *request) { return brig__cli_show_all(&request->door); }

static int show(struct request *request) { return brig__cli_show(&request->door); }

static int run(struct request *request) {
  struct brig_turn *turn = &request->door.turn;
  const struct guest *guest;
  CLEANUP_FREE char *script = NULL;
  if (request->code != NULL && request->word != NULL) {
    brig__cli_say("session run: a turn takes no arguments, but \"%s\" follows its code",
                  request->word);
    return EXIT_BRIG;
  }
  int status = brig__cli_door_guest(&request->door, "python", &guest);
  if (status == 0 && request->code == NULL)
    status = brig__cli_read_program(request->word, &script);
  turn->code = request->code != NULL ? request->code : script;
  return status != 0 ? status : brig__cli_turn_command(&request->door);
}

static int undo(struct request *request) {
  struct brig_error err;
  if (brig__cli_door_undo(&request->door, &err) < 0) return brig__cli_fail(&err);
  return brig__cli_keep(&request->door, NULL);
}

static int branch(struct request *request) {
  int status = brig__cli_branch(&request->door, request->word);
  return status != 0 ? status : brig__cli_finish(0);
}

static int save(struct request *request) { return brig__cli_save(&request->door, NULL); }

static int drop(struct request *request) {
  struct brig_error err;
  if (brig__cli_door_drop(&request->door, &err) < 0) return brig__cli_fail(&err);
  return 0;
}

static const struct verb {
  struct command command; /* its `run` is not used */
  int (*act)(struct request *request);
  int least, most; /* words: an id, and what follows it */
  unsigned rows;   /* options, as bits: 1 << DOOR_ROW_... */
} verbs[] = {
#define COMMON (1u << DOOR_ROW_USER | 1u << DOOR_ROW_SERVER)
#define JSON   (1u << DOOR_ROW_JSON)
#define TURN   (1u << DOOR_ROW_GUEST | 1u << DOOR_ROW_STDIN | 1u << DOOR_ROW_STATS)
    {{"session list", NULL, "session list [OPTIONS]", "list sessions, the one used last first"},
     list, 0, 0, COMMON | JSON},
    {{"session show", NULL, "session show [OPTIONS] ID", "show what a session holds"},
     show, 1, 1, COMMON | JSON},
    {{"session run", NULL, "session run [OPTIONS] ID [-c CODE | FILE | -]",
      "run a turn of a session, which is made if it is not there, and keep it"},
     run, 1, 2, COMMON | JSON | TURN},
    {{"session undo", NULL, "session undo [OPTIONS] ID", "go back to the state before a turn"},
     undo, 1, 1, COMMON},
    {{"session branch", NULL, "session branch [OPTIONS] ID [NEW]",
      "make a second session in the same state, and print its id"},
     branch, 1, 2, COMMON | JSON},
    {{"session save", NULL, "session save [OPTIONS] ID", "save a session, and end its process"},
     save, 1, 1, COMMON},
    {{"session drop", NULL, "session drop [OPTIONS] ID", "remove a session, and its workspace"},
     drop, 1, 1, COMMON},
};

static const struct verb *find_verb(const char *name) {
  for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
    if (strcmp(strchr(verbs[i].command.name, ' ') + 1, name) == 0) return &verbs[i];
  return NULL;
}

static size_t choose_rows(const struct verb *verb, struct option_row *rows) {
  size_t count = 0;
  for (size_t i = 0; i < DOOR_ROWS; i++)
    if (verb->rows & 1u << i) rows[count++] = brig__cli_door_rows[i];
  if (verb->act == run)
    rows[count++] = (struct option_row){"", 'c', "CODE", "a program as text", take_code, false};
  return count;
}

/* Options may stand before and behind each word. 0, or as brig__cli_options() returns. */
static int read_words(const struct verb *verb, struct request *request, int argc, char **argv) {
  struct option_row rows[DOOR_ROWS + 1];
  const struct option_set set = {rows, choose_rows(verb, rows), verb->act == run};
  const char *words[3] = {NULL};
  int count = 0, at = 0;
  while (at < argc) {
    int next = brig__cli_options(&verb->command, &set, request->door.config, request, argc - at,
                                 argv + at);
    if (next < 0) return next;
    at += next;
    if (at < argc && count <= verb->most) words[count++] = argv[at];
  }
  request->door.turn.session = words[0];
  request->word = words[1];
  if (count >= verb->least && count <= verb->most) return 0;
  brig__cli_say("say `brig %s`", verb->command.usage);
  return -1 - EXIT_BRIG;
}

static int perform(const struct verb *verb, int argc, char **argv) {
  struct request request = {.code = NULL};
  int status = brig__cli_door_load(&request.door);
  if (status != 0) return status;
  int rc = read_words(verb, &request, argc, argv);
  status = rc < 0 ? -1 - rc : brig__cli_door_open(&request.door, true);
  if (rc == 0 && status == 0) status = verb->act(&request);
  brig__cli_door_close(&request.door);
  return status;
}

static int print_verbs(void) {
  puts("Usage: brig session COMMAND [OPTIONS]\n\nCommands:");
  for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
    printf("  %-10s %s\n", strchr(verbs[i].command.name, ' ') + 1, verbs[i].command.summary);
  puts("\nWhere a server of yours listens on server.socket, sessions are the server's; else they"
       "\ncome from the store, and are saved there. `brig help session COMMAND` says more of one.");
  return brig__cli_finish(0);
}

int brig__cli_session(int argc, char **argv) {
  const struct verb *verb = argc < 2 ? NULL : find_verb(argv[1]);
  if (verb != NULL) return perform(verb, argc - 1, argv + 1);
  if (argc == 2 && strcmp(argv[1], "--help") == 0) return print_verbs();
  brig__cli_say("session: say `brig %s`", brig__cli_find("session")->usage);
  return EXIT_BRIG;
}
