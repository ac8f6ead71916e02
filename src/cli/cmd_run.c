#include "cli/execution.h"

int brig__cli_run(int argc, char **argv) {
  struct execution execution;
  const struct option_set set = {brig__cli_execution_rows, brig__cli_execution_row_count, true};
  int status = brig__cli_execution_open(&execution);
  if (status != 0) return status;
  int at = brig__cli_options(brig__cli_find("run"), &set, execution.config, &execution, argc, argv);
  if (at < 0) {
    status = -1 - at;
  } else if (at >= argc) {
    brig__cli_say("run: which module? `brig help run` says how");
    status = EXIT_BRIG;
  } else {
    execution.request.module_path = argv[at];
    execution.request.argv = (const char *const *)(argv + at);
    status = brig__cli_execution_run(&execution);
  }
  brig__cli_execution_close(&execution);
  return status;
}
