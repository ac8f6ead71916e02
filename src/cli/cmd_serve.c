/* `brig serve` is a program of its own, so that the other commands do not load what only a
 * server needs. */
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include "base/fd.h"
#include "base/own_file.h"
#include "cli/cli.h"

int brig__cli_serve(int argc, char **argv) {
  CLEANUP_FREE char *program = brig__own_file("brig-server");
  (void)argc;
  if (program == NULL) {
    brig__cli_say("the program brig-server is not installed beside brig, nor in libexec");
    return EXIT_BRIG;
  }
  execv(program, argv);
  brig__cli_say("%s: %s", program, strerror(errno));
  return EXIT_BRIG;
}
