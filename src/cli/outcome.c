#include "cli/outcome.h"

#include <signal.h>
#include "cli/cli.h"
#include "cli/signals.h"

void brig__cli_print_stats(const struct brig_result *result) {
  fprintf(stderr, "brig: %s", brig_outcome_name(result->outcome));
  if (result->outcome == BRIG_OUTCOME_EXITED) fprintf(stderr, " %u", result->exit_code);
  fprintf(stderr, ", %.1f ms (start %.1f, run %.1f), cpu %.1f ms, guest memory %.1f MiB",
          (double)result->wall_us / 1e3, (double)result->start_us / 1e3,
          (double)result->run_us / 1e3, (double)result->cpu_us / 1e3,
          (double)result->memory_bytes / 1048576);
  if (result->metered)
    fprintf(stderr, ", fuel %llu", (unsigned long long)result->fuel_used);
  else
    fputs(", not metered", stderr);
  fprintf(stderr, ", %s\n", result->code_cached ? "code cached" : "code compiled");
}

void brig__cli_explain(const struct brig_result *result) {
  if (result->outcome != BRIG_OUTCOME_EXITED) brig__cli_say("%s", result->reason);
  if (result->stdout_dropped > 0)
    brig__cli_say("%llu bytes of stdout were dropped (--stdout-limit)",
                  (unsigned long long)result->stdout_dropped);
  if (result->stderr_dropped > 0)
    brig__cli_say("%llu bytes of stderr were dropped (--stderr-limit)",
                  (unsigned long long)result->stderr_dropped);
  if (result->quota_exceeded) brig__cli_say("writes were refused beyond the quota (--quota)");
}

int brig__cli_exit_status(const struct brig_result *result) {
  switch (result->outcome) {
    case BRIG_OUTCOME_EXITED:
      return result->exit_code > 255 ? 255 : (int)result->exit_code;
    case BRIG_OUTCOME_TIMEOUT:
      return EXIT_TIMEOUT;
    case BRIG_OUTCOME_CANCELLED:
      return brig__cli_signal() != 0 ? 128 + brig__cli_signal() : EXIT_BRIG;
    case BRIG_OUTCOME_TRAPPED:
      return 128 + SIGABRT;
    case BRIG_OUTCOME_FUEL:
    case BRIG_OUTCOME_MEMORY:
    case BRIG_OUTCOME_KILLED:
      return EXIT_KILLED;
  }
  return EXIT_BRIG;
}
