/* cli/execution.h - what `brig run`, `brig python` and their kin share: options,
 * signals, output, the exit status. */
#ifndef BRIG_CLI_EXECUTION_H
#define BRIG_CLI_EXECUTION_H

#include "cli/cli.h"

struct execution {
  struct brig_config *config;
  struct brig_request request;
  struct brig_mount *mounts; /* their strings, too, live until the program ends */
  const char **env;
  size_t env_count;
  const char *stdin_path;
  bool json, stats;
};

/* The options of every command that runs a guest; `context` of their rows is a
 * struct execution, which must come first in a bigger context. */
extern const struct option_row brig__cli_execution_rows[];
extern const size_t brig__cli_execution_row_count;

/* 0, or an exit status. */
int brig__cli_execution_open(struct execution *execution);

/* Run the request; the exit status. */
int brig__cli_execution_run(struct execution *execution);

void brig__cli_execution_close(struct execution *execution);

#endif
