/* A call, looked at before anything is run. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/utf8.h"
#include "session/session.h"
#include "tool/tool.h"

#define TIMEOUT_MAX_MS (UINT64_C(1000) * BRIG_PYTHON_TIMEOUT_MAX_SECONDS)

static uint64_t least(uint64_t a, uint64_t b) { return a < b ? a : b; }

uint64_t brig__tool_timeout_max_ms(const struct brig_python_executor *executor) {
  return least(TIMEOUT_MAX_MS, executor->settings->ceiling_execution_timeout_ms);
}

static enum hint check_code(struct execution *execution) {
  struct brig_python_call *call = &execution->call;
  if (call->code == NULL) return HINT_NO_CODE;
  if (call->code_size == 0) call->code_size = strlen(call->code);
  if (call->code_size > BRIG_PYTHON_CODE_MAX) return HINT_LONG_CODE;
  execution->code_offset = strnlen(call->code, call->code_size);
  if (execution->code_offset < call->code_size) return HINT_ZERO_BYTE;
  execution->code_offset = brig__utf8_valid(call->code, call->code_size);
  if (execution->code_offset < call->code_size) return HINT_NOT_UTF8;
  execution->code = strndup(call->code, call->code_size);
  return execution->code == NULL || execution->code[strspn(execution->code, " \t\r\n\f")] != '\0'
             ? HINT_NONE
             : HINT_NO_CODE;
}

static enum hint check_timeout(struct execution *execution) {
  const struct brig_python_executor *executor = execution->executor;
  uint64_t most = brig__tool_timeout_max_ms(executor);
  double seconds = execution->call.timeout_seconds;
  if (!isfinite(seconds) || seconds < 0) return HINT_BAD_TIMEOUT;
  if (seconds == 0)
    execution->timeout_ms = least(most, executor->settings->wasi_execution_timeout_ms);
  else
    execution->timeout_ms = seconds * 1000 < (double)most ? (uint64_t)(seconds * 1000) : most;
  if (execution->timeout_ms == 0) execution->timeout_ms = 1;
  return HINT_NONE;
}

static enum hint check_session(struct execution *execution) {
  const char *id = execution->call.session_id;
  if (id == NULL || id[0] == '\0') return HINT_NONE;
  if (brig__session_id_check(id, &execution->failure) < 0) return HINT_BAD_SESSION;
  execution->session_id = id;
  return HINT_NONE;
}

int brig__tool_check(struct execution *execution, struct brig_error *err) {
  execution->hint = check_code(execution);
  if (execution->hint == HINT_NONE && execution->code == NULL)
    return brig__fail(err, BRIG_E_MEMORY, "python_executor", "out of memory");
  if (execution->hint == HINT_NONE) execution->hint = check_timeout(execution);
  if (execution->hint == HINT_NONE) execution->hint = check_session(execution);
  return 0;
}
