#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include "base/fd.h"
#include "cli/execution.h"

/* Scripts are handed over as text, so that a guest needs no directory to be run. */
#define SCRIPT_MAX ((size_t)8 << 20)

struct python {
  struct execution execution; /* first: the shared options' context */
  const char *guest, *code;
};

static int take_code(void *context, const char *value) {
  ((struct python *)context)->code = value;
  return 0;
}

static int take_guest(void *context, const char *value) {
  ((struct python *)context)->guest = value;
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

/* -c CODE, FILE, or "-" and nothing: the program is standard input. */
static int run(struct python *python, int count, char **rest) {
  struct execution *execution = &python->execution;
  struct brig_request *request = &execution->request;
  CLEANUP_FREE char *script = NULL;
  int status = 0;
  const char **words = calloc((size_t)count + 2, sizeof *words);
  if (words == NULL) return EXIT_BRIG;
  request->guest = python->guest;
  request->code = python->code;
  if (python->code != NULL) {
    words[0] = "-c";
    memcpy(words + 1, rest, (size_t)count * sizeof *words);
  } else {
    memcpy(words, rest, (size_t)count * sizeof *words);
    if (count > 0 && strcmp(rest[0], "-") != 0) {
      status = read_script(rest[0], &script);
      request->code = script;
      request->code_name = rest[0];
    }
  }
  request->argv = words;
  if (status == 0) status = brig__cli_execution_run(execution);
  free(words);
  return status;
}

int brig__cli_python(int argc, char **argv) {
  struct option_row rows[16];
  size_t count = brig__cli_execution_row_count;
  memcpy(rows, brig__cli_execution_rows, count * sizeof *rows);
  rows[count++] = (struct option_row){"", 'c', "CODE", "a program as text", take_code, true};
  rows[count++] = (struct option_row){"--guest",  0,    "NAME", "the interpreter (default python)",
                                      take_guest, false};
  const struct option_set set = {rows, count, true};
  struct python python = {.guest = "python"};
  int status = brig__cli_execution_open(&python.execution);
  if (status != 0) return status;
  int at = brig__cli_options(brig__cli_find("python"), &set, python.execution.config, &python, argc,
                             argv);
  status = at < 0 ? -1 - at : run(&python, argc - at, argv + at);
  brig__cli_execution_close(&python.execution);
  return status;
}
