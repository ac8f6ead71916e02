/* cli/outcome.h - what a result means on stderr, and as an exit status. */
#ifndef BRIG_CLI_OUTCOME_H
#define BRIG_CLI_OUTCOME_H

#include <brig/sandbox.h>

/* A line for each thing that is not as it should be. */
void brig__cli_explain(const struct brig_result *result);

/* A line of accounting. */
void brig__cli_print_stats(const struct brig_result *result);

/* The guest's own, or one of cli.h's. */
int brig__cli_exit_status(const struct brig_result *result);

#endif
