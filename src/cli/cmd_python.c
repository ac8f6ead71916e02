#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include "base/fd.h"
#include "cli/execution.h"
#include "guest/guest.h"

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

/* A file's program must see what python3 FILE shows it: __file__, sys.argv, and in
 * a traceback its own lines alone. Its text and name follow as arguments. What a
 * traceback needs is loaded when there is one. */
static const char run_file[] =
    "import sys\n"
    "def _brig_run():\n"
    "    source, name = sys.argv[1], sys.argv[2]\n"
    "    sys.argv[:] = sys.argv[2:]\n"
    "    def hook(kind, value, trace):\n"
    "        import linecache, traceback\n"
    "        lines = source.splitlines(True)\n"
    "        linecache.cache[name] = (len(source), None, lines, name)\n"
    "        traceback.print_exception(kind, value, trace and trace.tb_next)\n"
    "    sys.excepthook = hook\n"
    "    scope = sys.modules['__main__'].__dict__\n"
    "    scope['__file__'] = name\n"
    "    del scope['_brig_run'], scope['sys']\n"
    "    return compile(source, name, 'exec'), scope\n"
    "exec(*_brig_run())\n";

struct words {
  const char **items;
  size_t count;
};

static void add(struct words *words, const char *word) { words->items[words->count++] = word; }

static int read_script(const char *path, char **ret_text) {
  size_t size;
  int rc = brig__read_file(AT_FDCWD, path, SCRIPT_MAX, ret_text, &size);
  if (rc == 0 && strlen(*ret_text) == size) return 0;
  brig__cli_say("can't open file '%s': %s", path,
                rc < 0 ? strerror(-rc) : "it has a NUL byte in it");
  return rc < 0 ? 2 : EXIT_BRIG;
}

static int run(struct python *python, int count, char **rest) {
  struct execution *execution = &python->execution;
  const struct guest *guest;
  struct brig_error err;
  CLEANUP_FREE char *script = NULL;
  if (brig__guest_find(python->guest, &guest, &err) < 0) return brig__cli_fail(&err);
  struct words words = {calloc((size_t)count + 8, sizeof(char *)), 0};
  if (words.items == NULL) return EXIT_BRIG;
  int status = 0;
  for (const char *const *flag = guest->code_flag; *flag != NULL; flag++)
    if (python->code != NULL || (count > 0 && strcmp(rest[0], "-") != 0)) add(&words, *flag);
  if (python->code != NULL) {
    add(&words, python->code);
  } else if (count > 0 && strcmp(rest[0], "-") != 0) {
    status = read_script(rest[0], &script);
    add(&words, run_file);
    if (script != NULL) add(&words, script);
  }
  for (int i = 0; i < count; i++) add(&words, rest[i]);
  execution->request.guest = python->guest;
  execution->request.argv = words.items;
  if (status == 0) status = brig__cli_execution_run(execution);
  free(words.items);
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
