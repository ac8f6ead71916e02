#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include "base/fd.h"
#include "cli/execution.h"

/* Scripts are handed over as text, so that a guest needs no directory to be run. */
#define SCRIPT_MAX ((size_t)8 << 20)

/* A command for programs in one language. */
struct language {
  const char *command, *guest; /* the interpreter unless --guest says another */
  char letter;                 /* -c CODE or -e CODE, as its own interpreters have it, */
  const char *name_of_code;    /* and what argv[0] is then, if there is one */
};
static const struct language python = {"python", "python", 'c', "-c"};
static const struct language javascript = {"js", "quickjs", 'e', NULL};

struct program {
  struct execution execution; /* first: the shared options' context */
  const char *guest, *code;
};

static int take_code(void *context, const char *value) {
  ((struct program *)context)->code = value;
  return 0;
}

static int take_guest(void *context, const char *value) {
  ((struct program *)context)->guest = value;
  return 0;
}

static int read_script(const char *path, char **ret_text) {
  size_t size;
  int rc = brig__read_file(AT_FDCWD, path, SCRIPT_MAX, ret_text, &size);
  if (rc == 0 && strlen(*ret_text) == size) return 0;
  brig__cli_say("can't open file '%s': %s", path,
                rc < 0 ? strerror(-rc) : "it has a NUL byte in it");
  return rc < 0 ? 2 : EXIT_BRIG;
}

/* As its own interpreters do, to its end before the first line is run. */
static int read_stdin(char **ret_text) {
  CLEANUP_FREE char *text = malloc(SCRIPT_MAX + 1);
  ssize_t size = text == NULL ? -ENOMEM : brig__read_all(STDIN_FILENO, text, SCRIPT_MAX + 1);
  if (size > (ssize_t)SCRIPT_MAX) size = -EFBIG;
  if (size >= 0) text[size] = '\0';
  if (size >= 0 && strlen(text) == (size_t)size) {
    *ret_text = STEAL_PTR(text);
    return 0;
  }
  brig__cli_say("cannot read a program from standard input: %s",
                size < 0 ? strerror((int)-size) : "it has a NUL byte in it");
  return EXIT_BRIG;
}

/* CODE, FILE, or "-" and nothing: the program is standard input. */
static int run(const struct language *language, struct program *program, int count, char **rest) {
  struct execution *execution = &program->execution;
  struct brig_request *request = &execution->request;
  CLEANUP_FREE char *script = NULL;
  int status = 0;
  const char **words = calloc((size_t)count + 2, sizeof *words);
  if (words == NULL) return EXIT_BRIG;
  request->guest = program->guest;
  request->code = program->code;
  if (program->code != NULL) {
    size_t at = 0;
    if (language->name_of_code != NULL) words[at++] = language->name_of_code;
    memcpy(words + at, rest, (size_t)count * sizeof *words);
  } else {
    bool file = count > 0 && strcmp(rest[0], "-") != 0;
    words[0] = "";
    memcpy(words, rest, (size_t)count * sizeof *words);
    status = file ? read_script(rest[0], &script) : read_stdin(&script);
    request->code = script;
    request->code_name = file ? rest[0] : "<stdin>";
  }
  request->argv = words;
  if (status == 0) status = brig__cli_execution_run(execution);
  free(words);
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
  const struct option_set set = {rows, count, true};
  struct program program = {.guest = language->guest};
  int status = brig__cli_execution_open(&program.execution);
  if (status != 0) return status;
  int at = brig__cli_options(brig__cli_find(language->command), &set, program.execution.config,
                             &program, argc, argv);
  status = at < 0 ? -1 - at : run(language, &program, argc - at, argv + at);
  brig__cli_execution_close(&program.execution);
  return status;
}

int brig__cli_python(int argc, char **argv) { return run_language(&python, argc, argv); }

int brig__cli_js(int argc, char **argv) { return run_language(&javascript, argc, argv); }
