#include <inttypes.h>
#include <string.h>
#include "tool/tool.h"

static const struct row {
  const char *exception, *message, *advice;
} rows[] = {
    {NULL, NULL, NULL},
#define HINT(name, exception, message, advice) {exception, message, advice},
#include "tool/hints.def"
};

/* --- Which row it is -------------------------------------------------------------- */

static enum hint of_failure(int code) {
  switch (code) {
    case BRIG_E_INVALID:
      return HINT_BAD_SESSION;
    case BRIG_E_BUSY:
      return HINT_BUSY;
    case BRIG_E_LOST:
      return HINT_LOST;
    case BRIG_E_LIMIT:
    case BRIG_E_TOO_LARGE:
      return HINT_LIMIT;
    case BRIG_E_INTEGRITY:
      return HINT_DAMAGED;
    default:
      return HINT_FAILURE;
  }
}

static enum hint of_outcome(enum brig_outcome outcome) {
  switch (outcome) {
    case BRIG_OUTCOME_TIMEOUT:
      return HINT_TIMEOUT;
    case BRIG_OUTCOME_FUEL:
      return HINT_FUEL;
    case BRIG_OUTCOME_MEMORY:
      return HINT_MEMORY;
    case BRIG_OUTCOME_KILLED:
      return HINT_KILLED;
    case BRIG_OUTCOME_TRAPPED:
      return HINT_TRAPPED;
    case BRIG_OUTCOME_CANCELLED:
      return HINT_CANCELLED;
    case BRIG_OUTCOME_EXITED:
      break;
  }
  return HINT_ENDED;
}

static const char *or_empty(const char *text) { return text == NULL ? "" : text; }

static enum hint of_exception(const char *type, const char *message) {
  char line[128];
  size_t i = 0;
  if (strcmp(type, "SystemExit") == 0 && (message[0] == '\0' || strcmp(message, "0") == 0))
    return HINT_NONE;
  snprintf(line, sizeof line, "%s: %s", type, message);
  while (rows[i].exception == NULL || strncmp(line, rows[i].exception, strlen(rows[i].exception)))
    i++;
  return (enum hint)i;
}

enum hint brig__tool_choose(const struct execution *execution) {
  const struct brig_turn_result *turn = execution->turn;
  if (execution->hint != HINT_NONE) return execution->hint;
  if (turn == NULL) return of_failure(execution->failure.code);
  if (!turn->ended_well) return of_outcome(turn->run->outcome);
  if (turn->error_type == NULL) return HINT_NONE;
  return of_exception(turn->error_type, or_empty(turn->error_message));
}

/* --- Facts ------------------------------------------------------------------------ */

static void put_seconds(FILE *out, uint64_t ms) { fprintf(out, "%.10g", (double)ms / 1000); }

static void put_bytes(FILE *out, uint64_t bytes) {
  fprintf(out, "%.4g MiB", (double)bytes / (1 << 20));
}

static void put_code_bytes(FILE *out, const struct execution *execution) {
  fprintf(out, "%zu", execution->call.code_size);
}

static void put_code_max(FILE *out, const struct execution *execution) {
  (void)execution;
  fprintf(out, "%d", BRIG_PYTHON_CODE_MAX);
}

static void put_code_offset(FILE *out, const struct execution *execution) {
  fprintf(out, "%zu", execution->code_offset);
}

static void put_failure(FILE *out, const struct execution *execution) {
  fputs(execution->failure.message, out);
}

static void put_failure_kind(FILE *out, const struct execution *execution) {
  fputs(brig_error_text(execution->failure.code), out);
}

static void put_timeout(FILE *out, const struct execution *execution) {
  put_seconds(out, execution->timeout_ms);
}

static void put_timeout_max(FILE *out, const struct execution *execution) {
  put_seconds(out, brig__tool_timeout_max_ms(execution->executor));
}

static void put_timeout_source(FILE *out, const struct execution *execution) {
  double asked = execution->call.timeout_seconds;
  if (asked == 0)
    fputs("what a call gets that does not say timeout_seconds", out);
  else if (asked * 1000 > (double)execution->timeout_ms)
    fprintf(out, "less than the timeout_seconds of this call, %.10g", asked);
  else
    fputs("the timeout_seconds of this call", out);
}

static void put_fuel(FILE *out, const struct execution *execution) {
  fprintf(out, "%" PRIu64, execution->turn->run->fuel_used);
}

static void put_memory(FILE *out, const struct execution *execution) {
  put_bytes(out, execution->executor->settings->wasi_memory_limit_bytes);
}

/* A process that was killed told nothing: what the kernel saw of it is left. */
static void put_peak(FILE *out, const struct execution *execution) {
  const struct brig_result *run = execution->turn->run;
  put_bytes(out, run->accounted ? run->memory_bytes : run->rss_bytes);
}

static void put_reason(FILE *out, const struct execution *execution) {
  fputs(execution->turn->run->reason, out);
}

static void put_status(FILE *out, const struct execution *execution) {
  fprintf(out, "%" PRIu32, execution->turn->run->exit_code);
}

static void put_message(FILE *out, const struct execution *execution) {
  fputs(or_empty(execution->turn->error_message), out);
}

static void put_traceback(FILE *out, const struct execution *execution) {
  const struct brig_turn_result *turn = execution->turn;
  const char *text = turn->traceback;
  if (text == NULL || text[0] == '\0')
    fprintf(out, "%s: %s", turn->error_type, or_empty(turn->error_message));
  else
    fprintf(out, "%.*s", (int)(strlen(text) - (text[strlen(text) - 1] == '\n')), text);
}

static void put_packages(FILE *out, const struct execution *execution) {
  const char *names = brig__tool_packages(execution->executor, execution->call.cancel);
  if (names == NULL)
    fputs("Use the standard library.", out);
  else if (names[0] == '\0')
    fputs("There is the standard library alone: do without this module.", out);
  else
    fprintf(out, "Beside the standard library there are: %s.", names);
}

static void put_files(FILE *out, const struct execution *execution) {
  fputs("Files can be made in the working directory, which is /workspace, and in /memory; ", out);
  fputs(execution->session_id != NULL
            ? "the first has those of earlier calls of this session, the second those of its user."
            : "the first is empty at the beginning of a call without session_id.",
        out);
}

static void put_state(FILE *out, const struct execution *execution) {
  if (execution->session_id == NULL)
    fputs("Nothing is kept of a call without session_id: calls that belong together need the "
          "same one.",
          out);
  else if (execution->turn->ended_well)
    fputs("What ran before this has stayed in the session.", out);
  else
    fputs("The session is as it was before this call.", out);
}

static const struct {
  const char *name;
  void (*put)(FILE *out, const struct execution *execution);
} facts[] = {
    {"code_bytes", put_code_bytes}, {"code_max", put_code_max},
    {"code_offset", put_code_offset}, {"failure", put_failure},
    {"failure_kind", put_failure_kind}, {"timeout", put_timeout},
    {"timeout_max", put_timeout_max}, {"timeout_source", put_timeout_source},
    {"fuel", put_fuel}, {"memory", put_memory},
    {"peak", put_peak}, {"reason", put_reason},
    {"status", put_status}, {"message", put_message},
    {"traceback", put_traceback}, {"packages", put_packages},
    {"files", put_files}, {"state", put_state},
};

static void put_fact(FILE *out, const char *name, size_t length,
                     const struct execution *execution) {
  for (size_t i = 0; i < sizeof facts / sizeof *facts; i++)
    if (strncmp(facts[i].name, name, length) == 0 && facts[i].name[length] == '\0')
      facts[i].put(out, execution);
}

static void expand(FILE *out, const char *text, const struct execution *execution) {
  for (const char *open; (open = strchr(text, '{')) != NULL;) {
    size_t length = strcspn(open, "}") - 1;
    fprintf(out, "%.*s", (int)(open - text), text);
    put_fact(out, open + 1, length, execution);
    text = open + length + 2;
  }
  fputs(text, out);
}

void brig__tool_explain(FILE *out, const struct execution *execution) {
  const struct row *row = &rows[execution->hint];
  expand(out, row->message, execution);
  fputs("\n\nWhat to do: ", out);
  expand(out, row->advice, execution);
}
