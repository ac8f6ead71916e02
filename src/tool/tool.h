/* tool/tool.h - what the files of tool/ share: an executor, and one execution on its way
 * from the call to the result. Runs in the host.
 *
 *   1. brig__tool_check()    what is wrong with the call
 *   2. brig_session_run()
 *   3. brig__tool_choose()   what went wrong, as a row of hints.def
 *   4. brig__tool_result()   the texts
 */
#ifndef BRIG_TOOL_TOOL_H
#define BRIG_TOOL_TOOL_H

#include <brig/python_executor.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include "config/config.h"

enum hint {
  HINT_NONE, /* it is a success */
#define HINT(name, exception, message, advice) HINT_##name,
#include "tool/hints.def"
};

struct brig_python_executor {
  struct brig_sessions *sessions;
  struct brig_config *config;
  const struct brig_settings *settings;
  char *guest, *interpreter;
  pthread_mutex_t lock;
  char *packages; /* with the lock: NULL until it was asked for */
};

struct execution {
  struct brig_python_executor *executor;
  struct brig_python_call call; /* as this version knows it */
  uint64_t began_us;
  char *code;             /* with a 0 byte after it */
  const char *session_id; /* NULL: none, or one that is refused */
  uint64_t timeout_ms;
  size_t code_offset; /* of what is wrong with it */
  enum hint hint;
  struct brig_error failure;
  struct brig_turn_result *turn;
};

/* call.c: `hint` says what is wrong, if anything is. */
int brig__tool_check(struct execution *execution, struct brig_error *err);
uint64_t brig__tool_timeout_max_ms(const struct brig_python_executor *executor);

/* packages.c: names of the modules that can be imported beside the standard library, with
 * commas, asked of the interpreter once; "" if there are none, NULL if it does not tell.
 * They live as long as the executor. */
const char *brig__tool_packages(struct brig_python_executor *executor, struct brig_cancel *cancel);

/* hints.c */
enum hint brig__tool_choose(const struct execution *execution);
/* The message and the advice of its hint. */
void brig__tool_explain(FILE *out, const struct execution *execution);

/* result.c: takes the turn. */
int brig__tool_result(struct execution *execution, struct brig_python_result **ret_result,
                      struct brig_error *err);

#endif
