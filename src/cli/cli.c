#include "cli/cli.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include "base/fd.h"
#include "config/config.h"

const struct command brig__cli_commands[] = {
#define X(name, usage, summary) {#name, brig__cli_##name, usage, summary},
#include "cli/commands.def"
#undef X
};
const size_t brig__cli_command_count = sizeof brig__cli_commands / sizeof *brig__cli_commands;

const struct command *brig__cli_find(const char *name) {
  for (size_t i = 0; i < brig__cli_command_count; i++)
    if (strcmp(brig__cli_commands[i].name, name) == 0) return &brig__cli_commands[i];
  return NULL;
}

void brig__cli_say(const char *format, ...) {
  va_list args;
  va_start(args, format);
  fputs("brig: ", stderr);
  vfprintf(stderr, format, args);
  fputc('\n', stderr);
  va_end(args);
}

/* Controls, in ASCII and beyond it (U+0080 to U+009F). */
void brig__cli_put_plain(FILE *stream, const char *text) {
  for (const unsigned char *at = (const unsigned char *)text; *at != '\0'; at++) {
    bool beyond = at[0] == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0;
    if (beyond) at++;
    putc(beyond || *at < ' ' || *at == 0x7f ? '?' : *at, stream);
  }
}

void brig__cli_say_plain(const char *format, ...) {
  CLEANUP_FREE char *text = NULL;
  va_list args;
  va_start(args, format);
  int length = vasprintf(&text, format, args);
  va_end(args);
  if (length < 0) text = NULL;
  fputs("brig: ", stderr);
  brig__cli_put_plain(stderr, text == NULL ? "out of memory" : text);
  fputc('\n', stderr);
}

int brig__cli_fail(const struct brig_error *err) {
  brig__cli_say_plain("%s", err->message); /* which may be a server's */
  return brig_error_refused(err->code) ? EXIT_REFUSED : EXIT_BRIG;
}

int brig__cli_load_config(struct brig_config **ret_config) {
  struct brig_error err;
  if (brig_config_load(NULL, ret_config, &err) < 0) return brig__cli_fail(&err);
  return 0;
}

int brig__cli_finish(int status) {
  if (fflush(stdout) == 0 && !ferror(stdout)) return status;
  brig__cli_say("standard output: %s", strerror(errno));
  return EXIT_BRIG;
}

static void print_options(const struct option_set *set) {
  struct config_flag flag;
  for (size_t i = 0; i < set->count; i++) {
    const struct option_row *row = &set->rows[i];
    char left[64];
    char letter[8] = "";
    if (row->letter != 0)
      snprintf(letter, sizeof letter, "-%c%s", row->letter, row->name[0] ? ", " : "");
    snprintf(left, sizeof left, "%s%s%s%s", letter, row->name, row->placeholder ? " " : "",
             row->placeholder ? row->placeholder : "");
    printf("  %-26s %s\n", left, row->help);
  }
  for (size_t i = 0; set->limits && brig__config_flag(i, &flag); i++) {
    char left[64];
    snprintf(left, sizeof left, "%s %s", flag.flag, flag.placeholder);
    printf("  %-26s %s (default %s)\n", left, flag.help, flag.default_value);
  }
}

static int help(const struct command *command, const struct option_set *set) {
  printf("Usage: brig %s\n\nTo %s.\n", command->usage, command->summary);
  if (set->count > 0 || set->limits) {
    printf("\nOptions:\n");
    print_options(set);
  }
  return brig__cli_finish(0);
}

static const struct option_row *find_row(const struct option_set *set, const char *name,
                                         size_t length) {
  for (size_t i = 0; i < set->count; i++) {
    const struct option_row *row = &set->rows[i];
    bool by_letter = row->letter != 0 && length == 2 && name[0] == '-' && name[1] == row->letter;
    bool by_name = row->name[0] != '\0' && strlen(row->name) == length &&
                   strncmp(row->name, name, length) == 0;
    if (by_letter || by_name) return row;
  }
  return NULL;
}

struct parse {
  const struct command *command;
  const struct option_set *set;
  struct brig_config *config;
  void *context;
  int argc, at;
  char **argv;
};

static int wrong(const struct parse *parse, const char *option, const char *why) {
  brig__cli_say("%s: option %s %s; `brig help %s` lists the options", parse->command->name, option,
                why, parse->command->name);
  return -1 - EXIT_BRIG;
}

/* "--name=value", or the next word. NULL, and told, if there is none. */
static const char *value_of(struct parse *parse, const char *option, const char *equals) {
  if (equals != NULL) return equals + 1;
  if (parse->at + 1 < parse->argc) return parse->argv[++parse->at];
  wrong(parse, option, "needs a value");
  return NULL;
}

static int take_limit(struct parse *parse, const char *key, const char *name, const char *equals) {
  struct brig_error err;
  const char *value = value_of(parse, name, equals);
  if (value == NULL) return -1 - EXIT_BRIG;
  int rc = brig_config_set(parse->config, key, value, &err);
  /* Two keys tell modules from interpreters; a flag is about the one run there is. */
  if (rc == 0 && strcmp(key, "wasi.max_fuel") == 0)
    rc = brig_config_set(parse->config, "wasi.interpreter_max_fuel", value, &err);
  if (rc == 0) return 0;
  brig__cli_say("%s: %s", name, err.message);
  return -1 - EXIT_BRIG;
}

/* 0; 1 if no option follows; or as brig__cli_options() returns. */
static int take_option(struct parse *parse) {
  char *option = parse->argv[parse->at];
  const char *equals = strncmp(option, "--", 2) == 0 ? strchr(option, '=') : NULL;
  size_t length = equals != NULL ? (size_t)(equals - option) : strlen(option);
  char name[64];
  snprintf(name, sizeof name, "%.*s", (int)length, option);
  if (strcmp(name, "--help") == 0) return -1 - help(parse->command, parse->set);
  const struct option_row *row = find_row(parse->set, option, length);
  const char *key = parse->set->limits ? brig__config_key_for_flag(name) : NULL;
  if (row == NULL && key != NULL) return take_limit(parse, key, name, equals);
  if (row == NULL) return wrong(parse, name, "does not exist");
  if (row->placeholder == NULL)
    return equals != NULL                         ? wrong(parse, name, "takes no value")
           : row->take(parse->context, NULL) == 0 ? 0
                                                  : -1 - EXIT_BRIG;
  const char *value = value_of(parse, name, equals);
  if (value == NULL || row->take(parse->context, value) != 0) return -1 - EXIT_BRIG;
  return row->last ? 1 : 0;
}

int brig__cli_options(const struct command *command, const struct option_set *set,
                      struct brig_config *config, void *context, int argc, char **argv) {
  struct parse parse = {command, set, config, context, argc, 1, argv};
  for (; parse.at < argc; parse.at++) {
    const char *word = argv[parse.at];
    if (strcmp(word, "--") == 0) return parse.at + 1;
    if (word[0] != '-' || word[1] == '\0') return parse.at;
    int rc = take_option(&parse);
    if (rc < 0) return rc;
    if (rc > 0) return parse.at + 1;
  }
  return parse.at;
}
