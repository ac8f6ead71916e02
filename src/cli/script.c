#include "cli/script.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include "base/fd.h"
#include "cli/cli.h"

/* Scripts are handed over as text, so that a guest needs no directory to be run. */
#define SCRIPT_MAX ((size_t)8 << 20)

static int read_script(const char *path, char **ret_text) {
  size_t size;
  int rc = brig__read_file(AT_FDCWD, path, SCRIPT_MAX, ret_text, &size);
  if (rc == 0 && strlen(*ret_text) == size) return 0;
  brig__cli_say("can't open file '%s': %s", path,
                rc < 0 ? strerror(-rc) : "it has a NUL byte in it");
  return rc < 0 ? 2 : EXIT_BRIG;
}

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

int brig__cli_read_program(const char *path, char **ret_text) {
  bool file = path != NULL && strcmp(path, "-") != 0;
  return file ? read_script(path, ret_text) : read_stdin(ret_text);
}
