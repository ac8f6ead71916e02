/* cli/cli.h - what the commands share. One file a command, one row each in
 * commands.def. */
#ifndef BRIG_CLI_CLI_H
#define BRIG_CLI_CLI_H

#include <brig/brig.h>
#include <stdbool.h>
#include <stdio.h>

/* Exit statuses of Brig's own, beside a guest's. */
enum {
  EXIT_TIMEOUT = 124,
  EXIT_BRIG = 125,    /* Brig failed, or was called wrongly */
  EXIT_REFUSED = 126, /* Brig declined to run it */
  EXIT_KILLED = 137,  /* by a limit, or the kernel */
};

struct command {
  const char *name;
  int (*run)(int argc, char **argv); /* argv[0] is the command's name */
  const char *usage;                 /* "run [OPTIONS] MODULE.wasm [ARGS...]" */
  const char *summary;
};
extern const struct command brig__cli_commands[];
extern const size_t brig__cli_command_count;

/* An option: `take` gets its value (NULL without one); not 0 means a wrong one,
 * and has told why. */
struct option_row {
  const char *name;        /* "--dir" */
  char letter;             /* 'e' for "-e", or 0 */
  const char *placeholder; /* "HOST[::GUEST]"; NULL: takes no value */
  const char *help;
  int (*take)(void *context, const char *value);
  bool last; /* what follows it is the guest's, as after python3 -c */
};

struct option_set {
  const struct option_row *rows;
  size_t count;
  bool limits; /* also the flags of the configuration's keys */
};

/* Read options up to the first other word, or "--". Returns the index of what
 * follows, or a negative exit status' complement: -1 - status, for "--help" and
 * for errors, which have been told. `config` gets the limits; `context` goes to
 * the rows. */
int brig__cli_options(const struct command *command, const struct option_set *set,
                      struct brig_config *config, void *context, int argc, char **argv);

const struct command *brig__cli_find(const char *name);

/* "brig: ..." on stderr. */
void brig__cli_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Text of a guest's that is not its output: without what a terminal would obey. */
void brig__cli_put_plain(FILE *stream, const char *text);

/* "brig: ..." likewise, as one line. */
void brig__cli_say_plain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Say the error; the exit status for it. */
int brig__cli_fail(const struct brig_error *err);

/* The configuration, with its notices said if `verbose`. 0, or an exit status. */
int brig__cli_load_config(struct brig_config **ret_config);

/* Flush stdout; EXIT_BRIG if it cannot be written, else `status`. */
int brig__cli_finish(int status);

#define CLI_COMMAND(name) int brig__cli_##name(int argc, char **argv);
CLI_COMMAND(run)
CLI_COMMAND(python)
CLI_COMMAND(js)
CLI_COMMAND(session)
CLI_COMMAND(repl)
CLI_COMMAND(guest)
CLI_COMMAND(serve)
CLI_COMMAND(doctor)
CLI_COMMAND(config)
CLI_COMMAND(version)
CLI_COMMAND(help)
#undef CLI_COMMAND

#endif
