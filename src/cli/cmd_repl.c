#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/fd.h"
#include "cli/complete.h"
#include "cli/lines.h"
#include "cli/show.h"
#include "cli/signals.h"
#include "cli/turn.h"
#include "config/config.h"

struct repl {
  struct door door; /* first: the options' context */
  struct lines *lines;
  const char *language;
  char *made;  /* the id of a session that was made for this alone, or NULL */
  char *text;  /* what has been typed of a program, */
  size_t size; /* so much */
  bool changed, ended;
  int status; /* to exit with */
};

static int take_session(void *context, const char *value) {
  ((struct repl *)context)->door.turn.session = value;
  return 0;
}

/* --- Commands ------------------------------------------------------------------ */

static void show(struct repl *repl, const char *word) {
  (void)word;
  brig__cli_show(&repl->door);
}

static void undo(struct repl *repl, const char *word) {
  struct brig_error err;
  (void)word;
  if (brig__cli_door_undo(&repl->door, &err) < 0)
    brig__cli_fail(&err);
  else
    puts("the last turn is undone; files stay as they are");
}

static void branch(struct repl *repl, const char *word) { brig__cli_branch(&repl->door, word); }

static void quit(struct repl *repl, const char *word) {
  (void)word;
  repl->ended = true;
}

static void help(struct repl *repl, const char *word);

static const struct {
  const char *name, *usage, *summary;
  void (*act)(struct repl *repl, const char *word); /* word: NULL if there is none */
  bool takes_word, needs_session;
} commands[] = {
    {":help", ":help", "this", help, false, false},
    {":show", ":show", "what the session holds", show, false, true},
    {":undo", ":undo", "go back to the state before the last turn", undo, false, true},
    {":branch", ":branch [ID]", "keep the state as a session of its own, and print its id", branch,
     true, true},
    {":quit", ":quit", "end, as Ctrl-D does", quit, false, false},
};
#define COMMANDS (sizeof commands / sizeof *commands)

static void help(struct repl *repl, const char *word) {
  (void)repl, (void)word;
  for (size_t i = 0; i < COMMANDS; i++)
    printf("  %-14s %s\n", commands[i].usage, commands[i].summary);
}

static void command(struct repl *repl, char *line) {
  char *rest;
  const char *name = strtok_r(line, " \t\r\n", &rest), *word = strtok_r(NULL, " \t\r\n", &rest);
  for (size_t i = 0; i < COMMANDS; i++) {
    if (strcmp(commands[i].name, name) != 0) continue;
    if (strtok_r(NULL, " \t\r\n", &rest) != NULL || (word != NULL && !commands[i].takes_word))
      brig__cli_say("say `%s`", commands[i].usage);
    else if (commands[i].needs_session && repl->door.turn.session == NULL)
      brig__cli_say("nothing has been run yet");
    else
      commands[i].act(repl, word);
    fflush(stdout);
    return;
  }
  brig__cli_say("there is no %s; `:help` lists the commands", name);
}

/* --- Turns --------------------------------------------------------------------- */

/* A session without a name is made by the first turn. */
static void remember(struct repl *repl, const char *id) {
  if (repl->door.turn.session != NULL) return;
  repl->door.turn.session = repl->made = strdup(id);
}

/* Ctrl-C was for the turn; other signals, or one to who does not type, are for Brig. */
static void heed_signals(struct repl *repl) {
  int signal = brig__cli_signal();
  if (signal == 0) return;
  brig__cli_signal_forget();
  if (signal == SIGINT && brig__cli_lines_typed(repl->lines)) return;
  repl->ended = true;
  repl->status = 128 + signal;
}

static void run(struct repl *repl) {
  struct brig_turn_result *result = NULL;
  repl->door.turn.code = repl->text;
  if (brig__cli_turn(&repl->door, &result) == 0) {
    brig__cli_turn_report(result);
    remember(repl, result->session);
    if (result->ended_well) repl->changed = true;
    if (brig__cli_turn_exited(result)) {
      repl->ended = true;
      repl->status = brig__cli_turn_status(result);
    }
  }
  brig__cli_door_result_free(&repl->door, result);
  fflush(stdout);
  heed_signals(repl);
}

static bool append(struct repl *repl, const char *line) {
  size_t length = strlen(line);
  char *text = realloc(repl->text, repl->size + length + 1);
  if (text == NULL) return false;
  memcpy(text + repl->size, line, length + 1);
  repl->text = text;
  repl->size += length;
  return true;
}

static bool is_blank(const char *text) { return text[strspn(text, " \t\r\n")] == '\0'; }

static void take_line(struct repl *repl, const char *line) {
  if (repl->size == 0 && is_blank(line)) return;
  if (repl->size == 0 && line[0] == ':') {
    CLEANUP_FREE char *words = strdup(line);
    if (words != NULL) command(repl, words);
    heed_signals(repl);
    return;
  }
  if (!append(repl, line)) {
    brig__cli_say("out of memory");
    repl->ended = true;
  } else if (brig__cli_is_complete(repl->language, repl->text)) {
    run(repl);
    repl->size = 0;
  }
}

static void loop(struct repl *repl) {
  const char *line = NULL;
  while (!repl->ended) {
    switch (brig__cli_lines_read(repl->lines, repl->size == 0 ? ">>> " : "... ", &line)) {
      case LINE_READ:
        take_line(repl, line);
        break;
      case LINE_INTERRUPTED:
        repl->size = 0;
        break;
      case LINE_NO_MORE:
        heed_signals(repl);
        if (repl->size > 0 && !repl->ended && !brig__cli_lines_typed(repl->lines)) run(repl);
        return;
    }
  }
}

/* --- The command --------------------------------------------------------------- */

/* A session with a name is kept; one that was made for this is gone with it. */
static int finish(struct repl *repl) {
  if (repl->made != NULL) {
    brig__cli_door_drop(&repl->door, NULL);
    return 0;
  }
  return repl->changed ? brig__cli_keep(&repl->door, NULL) : 0;
}

static int talk(struct repl *repl) {
  CLEANUP_FREE char *history = NULL;
  const struct guest *guest;
  int status = brig__cli_door_open(&repl->door, false);
  if (status == 0) status = brig__cli_door_guest(&repl->door, "python", &guest);
  if (status != 0) return status;
  brig__config_history(&history, NULL);
  repl->language = guest->language;
  repl->lines = brig__cli_lines_open(history);
  if (repl->lines == NULL) {
    brig__cli_say("out of memory");
    return EXIT_BRIG;
  }
  brig__cli_signals_cancel(NULL);
  if (brig__cli_lines_typed(repl->lines)) {
    printf("%s %s in Brig %s; :help lists commands, Ctrl-D ends\n", guest->name, guest->version,
           brig_version());
    repl->door.turn.input_from_fd = 1; /* a program may ask, too */
    repl->door.turn.input_fd = STDIN_FILENO;
  }
  loop(repl);
  status = finish(repl);
  brig__cli_lines_close(repl->lines);
  return brig__cli_finish(status != 0 ? status : repl->status);
}

int brig__cli_repl(int argc, char **argv) {
  const struct option_row rows[] = {
      {"--session", 0, "ID", "the session, which is kept; else one that ends with this",
       take_session, false},
      brig__cli_door_rows[DOOR_ROW_GUEST],
      brig__cli_door_rows[DOOR_ROW_USER],
      brig__cli_door_rows[DOOR_ROW_SERVER],
  };
  const struct option_set set = {rows, sizeof rows / sizeof *rows, true};
  struct repl repl = {.lines = NULL};
  int status = brig__cli_door_load(&repl.door);
  if (status != 0) return status;
  int at = brig__cli_options(brig__cli_find("repl"), &set, repl.door.config, &repl, argc, argv);
  if (at >= 0 && at < argc) {
    brig__cli_say("repl: takes no \"%s\"", argv[at]);
    status = EXIT_BRIG;
  } else {
    status = at < 0 ? -1 - at : talk(&repl);
  }
  brig__cli_door_close(&repl.door);
  free(repl.made);
  free(repl.text);
  return status;
}
