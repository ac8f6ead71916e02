/* brig/error.h - how a host failure is reported.
 *
 * A call that can fail returns 0, or one of the negative BRIG_E codes below,
 * and fills the caller's `struct brig_error` (which may be NULL) when it
 * fails. Success leaves it alone. Result parameters (`ret_...`) are untouched
 * on failure.
 *
 * Only the host's own failures are errors. A guest that traps, times out or
 * exits with 1 is a successful call: see struct brig_result in sandbox.h.
 *
 * Everything here is safe to call from any thread and after fork.
 */
#ifndef BRIG_ERROR_H
#define BRIG_ERROR_H

#include <brig/version.h>

#ifdef __cplusplus
extern "C" {
#endif

/* X(NAME, value, refused, text). `refused` is 1 where Brig declined what it was
 * asked to run (the command line exits with 126), 0 where Brig itself failed
 * (125). */
#define BRIG_ERROR_LIST(X)                                      \
  X(INVALID, -1, 0, "invalid argument")                         \
  X(CONFIG, -2, 0, "invalid configuration")                     \
  X(PERMISSION, -3, 1, "directory refused")                     \
  X(NOT_FOUND, -4, 0, "not found")                              \
  X(TOO_LARGE, -5, 1, "module too large")                       \
  X(MODULE, -6, 1, "not a module that can run")                 \
  X(LIMIT, -7, 1, "beyond a limit")                             \
  X(COMPILE, -8, 1, "module did not compile within its limits") \
  X(JAIL, -9, 0, "a required wall is not up")                   \
  X(BUSY, -10, 0, "no capacity now")                            \
  X(MEMORY, -11, 0, "out of memory")                            \
  X(SYSTEM, -12, 0, "system call failed")                       \
  X(LOST, -13, 0, "the sandbox process died")                   \
  X(INTEGRITY, -14, 0, "content does not match its digest")

enum brig_error_code {
  BRIG_OK = 0,
#define BRIG_ERROR_ENUM(name, value, refused, text) BRIG_E_##name = value,
  BRIG_ERROR_LIST(BRIG_ERROR_ENUM)
#undef BRIG_ERROR_ENUM
};

/* Fixed size and free of pointers, so it can be copied and sent. */
struct brig_error {
  int code;           /* enum brig_error_code */
  int sys_errno;      /* errno behind it, or 0 */
  char stage[16];     /* what was being done: "config", "module", "compile"... */
  char message[1000]; /* one line for a person, with what to do next */
};

/* The name of a code, such as "NOT_FOUND", or "UNKNOWN". A static string. */
BRIG_API const char *brig_error_name(int code);

/* A short text for a code, such as "not found". A static string. */
BRIG_API const char *brig_error_text(int code);

/* 1 if the code means that Brig refused what it was asked to run. */
BRIG_API int brig_error_refused(int code);

#ifdef __cplusplus
}
#endif
#endif
