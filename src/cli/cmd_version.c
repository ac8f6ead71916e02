#include <string.h>
#include "cli/cli.h"

int brig__cli_version(int argc, char **argv) {
  static const struct option_set none = {NULL, 0, false};
  int at = brig__cli_options(brig__cli_find("version"), &none, NULL, NULL, argc, argv);
  if (at < 0) return -1 - at;
  printf("brig %s\n", brig_version());
  return brig__cli_finish(0);
}

int brig__cli_help(int argc, char **argv) {
  if (argc < 2) {
    brig__cli_say("help: which command? `brig help` alone lists them");
    return EXIT_BRIG;
  }
  const struct command *command = brig__cli_find(argv[1]);
  if (command == NULL || strcmp(argv[1], "help") == 0) {
    brig__cli_say("there is no help for \"%s\"; `brig help` lists the commands", argv[1]);
    return EXIT_BRIG;
  }
  /* `brig help session run` is `brig session run --help`. */
  char option[] = "--help";
  argv[argc] = option;
  return command->run(argc, argv + 1);
}
