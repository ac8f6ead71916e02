/* brig/python_executor.h - the tool `python_executor`, as agents call it: a program's
 * text in, and a result that a language model reads.
 *
 *   struct brig_python_call call = BRIG_PYTHON_CALL_INIT;
 *   struct brig_python_result *result = NULL;
 *   call.code = "import math\nmath.sqrt(2)";
 *   call.session_id = "notebook-1";
 *   if (brig_python_execute(executor, &call, &result, &err) == 0) {
 *     puts(result->json);
 *     brig_python_result_free(result);
 *   }
 *
 * With a session_id a call is a turn of that session (brig/session.h): names, imports
 * and files are there in the next one. Without, it is run by a fresh interpreter, in an
 * empty workspace, and nothing is left of either.
 *
 * Threads: all of this may be called from any number of threads at once; opening and
 * closing must not overlap with other calls. Fork: as for a sandbox.
 */
#ifndef BRIG_PYTHON_EXECUTOR_H
#define BRIG_PYTHON_EXECUTOR_H

#include <brig/session.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BRIG_PYTHON_CODE_MAX            1048576 /* bytes */
#define BRIG_PYTHON_TIMEOUT_MAX_SECONDS 60

struct brig_python_executor;

/* `sessions` must outlive it, and was opened with the same `config`. `guest`, which is
 * copied, is the interpreter; NULL: "python". BRIG_E_NOT_FOUND if it is not installed,
 * BRIG_E_INVALID if it is no Python. Close with brig_python_executor_close(). */
BRIG_API int brig_python_executor_open(struct brig_sessions *sessions,
                                       const struct brig_config *config, const char *guest,
                                       struct brig_python_executor **ret_executor,
                                       struct brig_error *err);

/* The sessions stay. Accepts NULL. No call may be in progress. */
BRIG_API void brig_python_executor_close(struct brig_python_executor *executor);

/* One call. Everything is borrowed until it returns. Zero means "default" or "none"
 * everywhere. What is wrong with it is told in the result. */
struct brig_python_call {
  size_t size; /* sizeof(struct brig_python_call): use BRIG_PYTHON_CALL_INIT */
  const char *tenant, *user;
  const char *code;       /* UTF-8, at most BRIG_PYTHON_CODE_MAX */
  size_t code_size;       /* 0: it ends with a 0 byte */
  const char *session_id; /* NULL or "": none. As in brig/session.h */
  double timeout_seconds; /* of wall time; 0: wasi.execution_timeout_secs. More than
                             BRIG_PYTHON_TIMEOUT_MAX_SECONDS, or the operator's ceiling,
                             is as much as that */
  const void *input;      /* standard input */
  size_t input_size;
  brig_output_fn on_output; /* NULL: none. Gets output as it comes */
  void *on_output_context;
  struct brig_cancel *cancel;
  uint64_t memory_bytes; /* of the interpreter; 0: wasi.memory_limit_bytes */
};
#define BRIG_PYTHON_CALL_INIT \
  { .size = sizeof(struct brig_python_call) }

/* What came of a call. Made by the library, freed with brig_python_result_free(); fields
 * may be added at its end. Strings are UTF-8 (what was not is U+FFFD), with a 0 byte
 * after the last.
 *
 * `output` is what a notebook shows below a cell: what was written to standard output,
 * then the value of a last expression that is not None, then a line "[stderr]" and what
 * was written to standard error; each begins on a line of its own, if there is any. So
 * the output of a program that only prints is that, byte by byte. `turn` has each apart.
 *
 * `error` is the traceback, or what stopped the program, and ends with what to do next,
 * for a model to read. Notes (what a session lost while it was saved; where all of an
 * output is that was cut) are lines in brackets at the end of `error` if there is one,
 * and of `output` else. sys.exit() is a success with status 0 or none. */
struct brig_python_result {
  int success;
  const char *output;
  size_t output_size; /* it may have 0 bytes within */
  const char *error;  /* NULL: success */

  uint64_t execution_time_ms; /* from the call to this, waiting included */
  const char *session_id;     /* NULL: none */
  uint64_t execution_count;   /* how many are part of the session's state; 1 without a
                                 session; 0 if it was not run */
  const char *interpreter;    /* "CPython 3.13.5 (WASI)" */

  /* All of the above: {"success", "output", "error", "metadata": {"execution_time_ms",
   * "session_id", "execution_count", "interpreter"}}; NULL is null. */
  const char *json;

  const struct brig_turn_result *turn; /* NULL: it was not run */
  struct brig_error failure;           /* why it was not. BRIG_E_INVALID: the call is wrong;
                                          else for the operator's log, as it may name what is
                                          of no concern to clients. Code 0: it was run */
};

/* 0 and a result whatever came of it, also if Brig is busy or failed: there is one who
 * waits for an answer. BRIG_E_INVALID for a `size` that is not one, BRIG_E_MEMORY. */
BRIG_API int brig_python_execute(struct brig_python_executor *executor,
                                 const struct brig_python_call *call,
                                 struct brig_python_result **ret_result, struct brig_error *err);
BRIG_API void brig_python_result_free(struct brig_python_result *result);

/* End all sessions of a user, and remove what is kept of them. `ret_count`, which may be
 * NULL, is how many there were. An error is the first; the others are gone all the same. */
BRIG_API int brig_python_clear_sessions(struct brig_python_executor *executor, const char *tenant,
                                        const char *user, uint64_t *ret_count,
                                        struct brig_error *err);

/* What a session holds, as JSON in fresh memory, by the word of its guest:
 * {"session_id", "variables": ["x"], "imports": ["import numpy as np"], "functions": ["f"],
 * "classes": ["C"], "execution_count", "last_accessed": 1750000000.25}, the last in
 * seconds since 1970. BRIG_E_NOT_FOUND. */
BRIG_API int brig_python_get_session_info(struct brig_python_executor *executor,
                                          const struct brig_session_name *name, char **ret_json,
                                          struct brig_error *err);

#ifdef __cplusplus
}
#endif
#endif
