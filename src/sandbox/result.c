#include "sandbox/sandbox_internal.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include "base/clock.h"
#include "base/error.h"
#include "engine/end.h"
#include "sandbox/turn.h"

const char *brig_outcome_name(enum brig_outcome outcome) {
  static const char *const names[] = {
#define NAME(id, name, text) [BRIG_OUTCOME_##id] = name,
      BRIG_OUTCOME_LIST(NAME)
#undef NAME
  };
  return outcome < sizeof names / sizeof *names ? names[outcome] : "unknown";
}

struct brig_result *brig__result_new(void) {
  struct brig_result *result = calloc(1, sizeof *result);
  if (result == NULL) return NULL;
  result->stdout_data = calloc(1, 1);
  result->stderr_data = calloc(1, 1);
  if (result->stdout_data != NULL && result->stderr_data != NULL) return result;
  brig_result_free(result);
  return NULL;
}

void brig_result_free(struct brig_result *result) {
  if (result == NULL) return;
  free(result->stdout_data);
  free(result->stderr_data);
  free(result);
}

/* In steps of powers of two; one byte more than the content, for the 0 at its end. */
static bool keep(uint8_t **data, size_t *size, const void *more, size_t more_size) {
  size_t had = 4096, wanted = 4096;
  while (had < *size + 1) had *= 2;
  while (wanted < *size + more_size + 1) wanted *= 2;
  if (wanted != had || *size == 0) {
    uint8_t *grown = realloc(*data, wanted);
    if (grown == NULL) return false;
    *data = grown;
  }
  memcpy(*data + *size, more, more_size);
  *size += more_size;
  (*data)[*size] = 0;
  return true;
}

static void take_reply(struct sink *sink, const void *data, size_t size) {
  struct turn *turn = sink->turn;
  size_t left = turn->reply_max - turn->reply_size;
  if (!keep((uint8_t **)&turn->reply, &turn->reply_size, data, size < left ? size : left))
    sink->out_of_memory = true;
}

void brig__sink_output(void *context, int stream, const void *data, size_t size) {
  struct sink *sink = context;
  if (stream == POOL_REPLY) {
    take_reply(sink, data, size);
    return;
  }
  struct brig_result *result = sink->result;
  bool out = stream == BRIG_STDOUT;
  uint64_t *left = &sink->limits[out ? 0 : 1];
  uint64_t *dropped = out ? &result->stdout_dropped : &result->stderr_dropped;
  size_t kept = size < *left ? size : (size_t)*left;
  *left -= kept;
  *dropped += size - kept;
  if (kept == 0) return;
  if (sink->request->on_output != NULL)
    sink->request->on_output(sink->request->on_output_context, (enum brig_stream)stream, data,
                             kept);
  if (sink->request->discard_output) return;
  if (!keep(out ? &result->stdout_data : &result->stderr_data,
            out ? &result->stdout_size : &result->stderr_size, data, kept))
    sink->out_of_memory = true;
}

static void set(struct brig_result *result, enum brig_outcome outcome, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void set(struct brig_result *result, enum brig_outcome outcome, const char *format, ...) {
  va_list args;
  result->outcome = outcome;
  va_start(args, format);
  vsnprintf(result->reason, sizeof result->reason, format, args);
  va_end(args);
}

void brig__result_cancelled(struct brig_result *result) {
  set(result, BRIG_OUTCOME_CANCELLED, "cancelled by the caller, before it started");
}

static void set_timeout(struct brig_result *result, const struct brig_limits *limits) {
  set(result, BRIG_OUTCOME_TIMEOUT, "timeout: still running after %.6g s",
      (double)limits->timeout_ms / 1000);
}

static void set_signal(struct brig_result *result, int signal, const struct brig_limits *limits) {
  result->signal = signal;
  if (signal == SIGXCPU)
    set_timeout(result, limits);
  else if (signal == SIGKILL)
    set(result, BRIG_OUTCOME_KILLED, "killed by the system, most likely for want of memory");
  else if (signal == SIGSYS)
    set(result, BRIG_OUTCOME_KILLED, "killed for a system call that the jail forbids (SIGSYS)");
  else
    set(result, BRIG_OUTCOME_KILLED, "the worker died of signal %d (%s)", signal,
        strsignal(signal));
}

static int set_ended(struct brig_result *result, const struct wire_report *report,
                     const struct brig_limits *limits, struct brig_error *err) {
  result->accounted = 1;
  result->metered = limits->fuel != BRIG_UNLIMITED;
  result->fuel_used = report->ended.fuel_used;
  result->memory_bytes = report->ended.memory_bytes;
  result->written_bytes = report->ended.written_bytes;
  result->written_files = report->ended.written_files;
  result->quota_exceeded = report->ended.quota_exceeded != 0;
  switch ((enum engine_end_kind)report->ended.kind) {
    case ENGINE_END_EXITED:
      result->outcome = BRIG_OUTCOME_EXITED;
      result->exit_code = report->ended.exit_code;
      if (result->exit_code != 0)
        set(result, BRIG_OUTCOME_EXITED, "exit status %u", result->exit_code);
      return 0;
    case ENGINE_END_TRAPPED:
      snprintf(result->trap, sizeof result->trap, "%.*s", (int)sizeof report->ended.trap - 1,
               report->ended.trap);
      set(result, BRIG_OUTCOME_TRAPPED, "trap: %s", result->trap);
      return 0;
    case ENGINE_END_FUEL:
      set(result, BRIG_OUTCOME_FUEL, "out of fuel: used all %llu",
          (unsigned long long)limits->fuel);
      return 0;
    case ENGINE_END_MEMORY:
      set(result, BRIG_OUTCOME_MEMORY, "out of memory: %.*s", (int)sizeof report->ended.message - 1,
          report->ended.message);
      return 0;
    case ENGINE_END_REFUSED:
    default:
      return brig__fail(err, BRIG_E_MODULE, "start", "the module cannot be started: %.*s",
                        (int)sizeof report->ended.message - 1, report->ended.message);
  }
}

static int copy_error(const struct brig_error *from, struct brig_error *err) {
  int code = brig_error_name(from->code)[0] == 'U' ? BRIG_E_SYSTEM : from->code;
  if (err == NULL) return code;
  *err = *from;
  err->code = code;
  err->stage[sizeof err->stage - 1] = '\0';
  err->message[sizeof err->message - 1] = '\0';
  return code;
}

static uint64_t between(uint64_t low, uint64_t value, uint64_t high) {
  return value < low ? low : value > high ? high : value;
}

static uint64_t since(uint64_t from, uint64_t to) { return to > from ? to - from : 0; }

/* The worker's own times are its word only: they are kept within ours. */
static void set_times(struct brig_result *result, const struct pool_end *end, uint64_t asked_us) {
  uint64_t started = end->sent_us, ended = end->ended_us;
  if (end->reported) {
    started = between(end->sent_us, end->report.started_us, end->ended_us);
    ended = between(started, end->report.ended_us, end->ended_us);
  }
  result->queue_us = since(asked_us, end->sent_us);
  result->start_us = since(end->sent_us, started);
  result->run_us = since(started, ended);
  result->wall_us = since(asked_us, end->ended_us);
  result->cpu_us = end->exited ? end->exit.cpu_us : end->report.cpu_us;
  result->rss_bytes = end->exited ? end->exit.rss_bytes : end->report.rss_bytes;
}

int brig__result_fill(struct brig_result *result, const struct pool_call *call,
                      const struct pool_end *end, uint64_t asked_us, struct brig_error *err) {
  const struct brig_limits *limits = &call->task.limits;
  int status = end->exit.wait_status;
  bool killed = end->exited && !end->reported && WIFSIGNALED(status);
  set_times(result, end, asked_us);
  if (killed && end->exit.cause == WIRE_CAUSE_CANCELLED)
    set(result, BRIG_OUTCOME_CANCELLED, "cancelled by the caller");
  else if (killed && end->exit.cause == WIRE_CAUSE_DEADLINE)
    set_timeout(result, limits);
  else if (killed)
    set_signal(result, WTERMSIG(status), limits);
  else if (end->reported && (end->report.kind == WIRE_ENDED || end->report.kind == WIRE_PARKED))
    return set_ended(result, &end->report, limits, err);
  else if (end->reported && end->report.kind == WIRE_FAILED)
    return copy_error(&end->report.error, err);
  else
    set(result, BRIG_OUTCOME_KILLED, "the worker ended without saying how");
  return 0;
}
