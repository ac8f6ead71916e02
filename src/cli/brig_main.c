#include <string.h>
#include "cli/cli.h"

static void print_usage(FILE *stream) {
  fputs("Usage: brig COMMAND [OPTIONS]\n\nRuns programs that nobody trusts.\n\nCommands:\n",
        stream);
  for (size_t i = 0; i < brig__cli_command_count; i++)
    fprintf(stream, "  %-10s %s\n", brig__cli_commands[i].name, brig__cli_commands[i].summary);
  fputs("\n`brig help COMMAND` says more of one.\n", stream);
}

int main(int argc, char **argv) {
  if (argc < 2) {
    print_usage(stderr);
    return EXIT_BRIG;
  }
  const char *name = argv[1];
  if (strcmp(name, "--version") == 0) name = "version";
  if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 ||
      (strcmp(name, "help") == 0 && argc == 2)) {
    print_usage(stdout);
    return brig__cli_finish(0);
  }
  const struct command *command = brig__cli_find(name);
  if (command == NULL) {
    brig__cli_say("there is no command \"%s\"; `brig help` lists them", name);
    return EXIT_BRIG;
  }
  return command->run(argc - 1, argv + 1);
}
