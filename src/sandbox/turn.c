#include "sandbox/turn.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "sandbox/execution.h"

/* Of a state's process: stacks, page tables, and what it wrote to of the memory that it
 * was forked with. */
#define STATE_BYTES (UINT64_C(1) << 20)

#define BRANCH_TIMEOUT_US 5000000

uint8_t *brig__turn_frame_bytes(const struct turn_frame *frame, size_t *ret_size) {
  uint32_t length = (uint32_t)strlen(frame->header);
  size_t size = sizeof length + length + frame->size;
  uint8_t *all = malloc(size);
  if (all == NULL) return NULL;
  for (size_t i = 0; i < sizeof length; i++) all[i] = (uint8_t)(length >> 8 * i);
  memcpy(all + sizeof length, frame->header, length);
  if (frame->size > 0) memcpy(all + sizeof length + length, frame->data, frame->size);
  *ret_size = size;
  return all;
}

int brig__turn_frame_block(const struct turn_frame *frame, struct task_block *ret_block,
                           struct brig_error *err) {
  struct task_block block = {0};
  block.data = (char *)brig__turn_frame_bytes(frame, &block.size);
  if (block.data == NULL) return brig__fail(err, BRIG_E_MEMORY, "session", "out of memory");
  *ret_block = block;
  return 0;
}

void brig__state_expect(struct zygote_process *state) { brig__call_expect(state); }

/* The zygote of fresh interpreters: started if it is not up. */
static int find_fresh(const struct execution *execution, const struct pool_call *call,
                      const struct brig_digest *key, struct zygote_process **ret_process,
                      struct brig_error *err) {
  struct templates *templates = execution->sandbox->templates;
  *ret_process = brig__templates_find(templates, key);
  if (*ret_process != NULL) return 0;
  int rc = brig__execution_warm_up(execution, call, false, 0, err);
  if (rc < 0) return rc;
  *ret_process = brig__templates_find(templates, key);
  return *ret_process != NULL ? 0 : brig__fail(err, BRIG_E_LOST, "session", "its zygote has left");
}

static int go_on_from(const struct execution *execution, struct zygote_process *process,
                      const struct pool_call *call, enum call_state *ret_state, struct turn *turn,
                      struct pool_end *ret_end, struct brig_error *err) {
  unsigned long long has = process->memory_bytes, may = execution->limits.memory_bytes;
  *ret_state = CALL_ANSWERED;
  if (has > may)
    return brig__fail(err, BRIG_E_LIMIT, "session",
                      "the interpreter begins with %llu bytes of memory, above the limit of %llu "
                      "(wasi.memory_limit_bytes, --memory)",
                      has, may);
  if (execution->limits.fuel != BRIG_UNLIMITED && !process->metered)
    return brig__fail(err, BRIG_E_INVALID, "session",
                      "this session's fuel is not counted, as its first turn had no limit on it: "
                      "begin another one");
  int rc = brig__call_run(process, call, ret_state, ret_end, err);
  if (rc < 0 || ret_end->state < 0) return rc;
  turn->state = brig__zygote_process_state(process, ret_end->state);
  return turn->state != NULL ? 0 : brig__fail(err, BRIG_E_MEMORY, "session", "out of memory");
}

static int state_is_lost(struct brig_error *err) {
  return brig__fail(err, BRIG_E_LOST, "session",
                    "the session's process has died: its next turn begins with what was saved");
}

static int call_state(const struct execution *execution, struct turn *turn,
                      const struct pool_call *call, struct pool_end *ret_end,
                      struct brig_error *err) {
  enum call_state state;
  int rc = go_on_from(execution, turn->from, call, &state, turn, ret_end, err);
  return state == CALL_ANSWERED ? rc : state_is_lost(err);
}

static int call_fresh(const struct execution *execution, struct turn *turn,
                      const struct pool_call *call, struct pool_end *ret_end,
                      struct brig_error *err) {
  struct template_kind kind = brig__execution_kind(execution, call);
  struct zygote_process *process;
  struct brig_digest key;
  if (brig__warm_key(&kind, &key) < 0)
    return brig__fail(err, BRIG_E_MEMORY, "session", "out of memory");
  enum call_state state = CALL_NOT_SENT;
  int rc = 0;
  /* A zygote that had died unseen is replaced. */
  for (int tries = 0; tries < 2 && state == CALL_NOT_SENT; tries++) {
    rc = find_fresh(execution, call, &key, &process, err);
    if (rc < 0) return rc;
    rc = go_on_from(execution, process, call, &state, turn, ret_end, err);
    brig__templates_done(execution->sandbox->templates, &key, process, state);
  }
  return rc;
}

static void confine(const struct turn_room *room, struct wire_task *task) {
  struct brig_limits *limits = &task->limits;
  if (limits->quota_bytes > room->left_bytes) limits->quota_bytes = room->left_bytes;
  if (limits->quota_files > room->left_files) limits->quota_files = room->left_files;
  task->held_bytes = room->held_bytes;
  task->held_files = room->held_files;
}

static int take_turn(struct execution *execution, struct turn *turn, uint64_t asked_us,
                     struct brig_error *err) {
  struct sink sink = {.request = &execution->request,
                      .result = turn->result,
                      .limits = {execution->limits.stdout_bytes, execution->limits.stderr_bytes},
                      .turn = turn};
  struct pool_call call = {.output = brig__sink_output, .context = &sink};
  struct pool_end end = {.state = -1};
  int rc = brig__execution_describe(execution, &call, err);
  if (rc == 0) rc = brig__execution_open(execution, &call, err);
  if (rc == 0 && turn->room != NULL) confine(turn->room, &call.task);
  if (rc == 0)
    rc = turn->from != NULL ? call_state(execution, turn, &call, &end, err)
                            : call_fresh(execution, turn, &call, &end, err);
  if (rc == 0 && sink.out_of_memory)
    rc = brig__fail(err, BRIG_E_MEMORY, "run", "out of memory for the guest's output");
  if (rc == 0) rc = brig__result_fill(turn->result, &call, &end, asked_us, err);
  turn->result->warm = 1;
  turn->result->code_cached = execution->code.cached;
  return rc;
}

int brig__turn_run(struct brig_sandbox *sandbox, struct turn *turn, struct brig_error *err) {
  uint64_t asked_us = brig__now_us();
  struct execution execution;
  turn->state = NULL;
  turn->reply = NULL;
  turn->reply_size = 0;
  turn->result = brig__result_new();
  if (turn->result == NULL) return brig__fail(err, BRIG_E_MEMORY, "run", "out of memory");
  int rc = brig__execution_prepare(sandbox, turn->request, &turn->frame, &execution, err);
  if (rc == 0) rc = take_turn(&execution, turn, asked_us, err);
  brig__execution_close(&execution);
  if (rc == BRIG__CANCELLED) {
    brig__result_cancelled(turn->result);
    return 0;
  }
  if (rc < 0) brig__turn_free(turn);
  return rc;
}

int brig__turn_cancelled(struct turn *turn, struct brig_error *err) {
  turn->result = brig__result_new();
  if (turn->result == NULL) return brig__fail(err, BRIG_E_MEMORY, "run", "out of memory");
  brig__result_cancelled(turn->result);
  return 0;
}

void brig__turn_free(struct turn *turn) {
  brig_result_free(turn->result);
  brig__state_end(turn->state);
  free(turn->reply);
  turn->result = NULL;
  turn->state = NULL;
  turn->reply = NULL;
}

static void no_output(void *context, int stream, const void *data, size_t size) {
  (void)context, (void)stream, (void)data, (void)size;
}

int brig__state_branch(struct zygote_process *state, struct zygote_process **ret_state,
                       struct brig_error *err) {
  CLEANUP_FD int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  struct pool_call call = {.task = {.magic = WIRE_MAGIC,
                                    .operation = WIRE_BRANCH,
                                    .timeout_us = BRANCH_TIMEOUT_US,
                                    .session = 1},
                           .cancel_fd = -1,
                           .output = no_output};
  struct pool_end end;
  enum call_state answered;
  if (null < 0) return brig__fail_errno(err, errno, "session", "/dev/null");
  for (size_t i = WIRE_FD_STDIN; i < WIRE_FD_MOUNTS; i++) call.fds[i] = null;
  call.fd_count = brig__wire_fd_count(&call.task);
  call.fds[WIRE_FD_REPLY(&call.task)] = call.fds[WIRE_FD_STATE(&call.task)] = -1;
  int rc = brig__call_run(state, &call, &answered, &end, err);
  if (answered != CALL_ANSWERED) return state_is_lost(err);
  if (rc < 0) return rc;
  if (end.state < 0)
    return brig__fail(err, BRIG_E_BUSY, "session", "the session's process could not be forked");
  *ret_state = brig__zygote_process_state(state, end.state);
  return *ret_state != NULL ? 0 : brig__fail(err, BRIG_E_MEMORY, "session", "out of memory");
}

void brig__state_end(struct zygote_process *state) { brig__zygote_process_unref(state); }

uint64_t brig__state_bytes(const struct zygote_process *state, const struct brig_result *result) {
  uint64_t has = result->memory_bytes, had = state->memory_bytes;
  return (has > had ? has - had : 0) + STATE_BYTES;
}
