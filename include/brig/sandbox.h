/* brig/sandbox.h - run untrusted WebAssembly, fenced and limited.
 *
 * A sandbox owns the processes that runs happen in. Each execution gets a fresh
 * worker process, jailed by the kernel before the first guest instruction, and
 * gone afterwards; the calling program never runs guest code.
 *
 *   struct brig_request request = BRIG_REQUEST_INIT;
 *   struct brig_result *result = NULL;
 *   request.module_path = "hello.wasm";
 *   if (brig_sandbox_execute(sandbox, &request, &result, &err) == 0) {
 *     fwrite(result->stdout_data, 1, result->stdout_size, stdout);
 *     brig_result_free(result);
 *   }
 *
 * Threads: a sandbox may be used from any number of threads at once; each call
 * blocks its own thread until its guest has ended, and can be cancelled from
 * another. Opening and closing must not overlap with other calls on it. It has one
 * thread of its own, which starts templates and takes no signals.
 * Fork: a child made by fork() must not use the parent's sandbox; it may open
 * its own. No call changes signal handlers, the working directory, or any other
 * state of the calling process, and none aborts it.
 */
#ifndef BRIG_SANDBOX_H
#define BRIG_SANDBOX_H

#include <brig/config.h>
#include <brig/error.h>
#include <brig/limits.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct brig_sandbox;

/* Start a sandbox. Checks the configured directories, starts the zygote and
 * checks that the walls `jail.require` names are up (BRIG_E_JAIL if not).
 * Returns once the templates that `templates.named` names are up; one that cannot
 * be made is a notice, and its program runs unwarmed. `config` is copied. Close
 * with brig_sandbox_close(). */
BRIG_API int brig_sandbox_open(const struct brig_config *config, struct brig_sandbox **ret_sandbox,
                               struct brig_error *err);

/* End all processes of the sandbox and free it. Accepts NULL. No execution may
 * be in progress. */
BRIG_API void brig_sandbox_close(struct brig_sandbox *sandbox);

/* Warnings found when opening (an allowed path that does not exist...), one a
 * call, NULL after the last. The string lives as long as the sandbox. */
BRIG_API const char *brig_sandbox_notice(const struct brig_sandbox *sandbox, unsigned index);

/* Cancelling: make one, put it into a request, trigger it from any thread (also
 * before the request starts; also from a signal handler). One token may serve
 * many requests; it stays triggered. Free it when no request uses it. */
struct brig_cancel;
BRIG_API int brig_cancel_new(struct brig_cancel **ret_cancel, struct brig_error *err);
BRIG_API void brig_cancel_trigger(struct brig_cancel *cancel);
BRIG_API void brig_cancel_free(struct brig_cancel *cancel);

enum brig_mount_flags {
  BRIG_MOUNT_READ_ONLY = 0,
  BRIG_MOUNT_READ_WRITE = 1,
};

/* A host directory that the guest may use. */
struct brig_mount {
  const char *host;  /* a directory; its canonical form must be what is given */
  const char *guest; /* its name in the guest; NULL: the same as on the host */
  unsigned flags;    /* enum brig_mount_flags */
};

enum brig_stream { BRIG_STDOUT = 1, BRIG_STDERR = 2 };

/* Receives output as it comes, on the thread that called execute, within the
 * limits on output. The bytes are the guest's: anything at all. */
typedef void (*brig_output_fn)(void *context, enum brig_stream stream, const void *data,
                               size_t size);

/* One execution. Everything is borrowed until execute returns. Zero means
 * "default" or "none" everywhere. */
struct brig_request {
  size_t size; /* sizeof(struct brig_request): use BRIG_REQUEST_INIT */

  /* What to run: exactly one of these. */
  const void *module; /* the bytes of a WebAssembly module, */
  size_t module_size;
  const char *module_path; /* or the path of one, */
  const char *guest;       /* or an installed interpreter's name ("python") */

  const char *const *argv; /* NULL-terminated, argv[0] included; NULL: just the
                              module's name. With `guest`, what follows the
                              interpreter's own arguments */
  const char *const *env;  /* NULL-terminated "NAME=value", or "NAME" to hand on
                              the host's value. The guest sees nothing else */

  const void *input; /* standard input, as bytes, */
  size_t input_size;
  int input_fd; /* or as a descriptor, if input_from_fd is 1 */
  int input_from_fd;

  const struct brig_mount *mounts; /* besides the configured allowed_paths */
  size_t mount_count;
  const char *workspace;     /* a directory, read-write at /workspace and as "." */
  const char *memory;        /* a directory, read-write at /memory */
  int without_allowed_paths; /* 1: the configured allowed_paths are left out */

  struct brig_limits limits;

  brig_output_fn on_output; /* NULL: none */
  void *on_output_context;
  int discard_output; /* 1: on_output alone gets it, the result holds no copy */

  struct brig_cancel *cancel; /* NULL: cannot be cancelled */

  /* With `guest`: a program's text, apart from standard input, which is its own.
   * It is run by the interpreter's driver, from a warm template if there is one;
   * `argv` is then what the program sees as its arguments (NULL: "-c"). A request
   * that gives an installed interpreter as its module, a program as `input`, and the
   * arguments that guests/manifest.yaml calls `client`, is run the same way. */
  const char *code;
  const char *code_name; /* in its tracebacks; NULL: "<string>" */
  const char *tenant;    /* on whose behalf: tenants wait by turns, and share no
                            template of a module; NULL: nobody's in particular */
};

#define BRIG_REQUEST_INIT \
  { .size = sizeof(struct brig_request), .limits = BRIG_LIMITS_INIT }

/* How a guest ended. X(NAME, name, text) */
#define BRIG_OUTCOME_LIST(X)                                           \
  X(EXITED, "exited", "the guest ended by itself")                     \
  X(TRAPPED, "trapped", "the guest did what WebAssembly forbids")      \
  X(TIMEOUT, "timeout", "the wall-clock limit was reached")            \
  X(FUEL, "fuel", "the fuel was used up")                              \
  X(MEMORY, "memory", "the worker could not get the memory it needed") \
  X(KILLED, "killed", "the kernel ended the worker")                   \
  X(CANCELLED, "cancelled", "the caller cancelled the execution")

enum brig_outcome {
#define BRIG_OUTCOME_ENUM(name, text, meaning) BRIG_OUTCOME_##name,
  BRIG_OUTCOME_LIST(BRIG_OUTCOME_ENUM)
#undef BRIG_OUTCOME_ENUM
};

/* What an execution did. Made by the library, freed with brig_result_free();
 * fields may be added at its end. */
struct brig_result {
  enum brig_outcome outcome;
  uint32_t exit_code; /* with EXITED: all 32 bits of it */
  int signal;         /* with KILLED: the signal, such as SIGSYS */
  char trap[48];      /* with TRAPPED: its name, such as "unreachable" */
  char reason[256];   /* one line for a person; empty for EXITED with 0 */

  uint8_t *stdout_data; /* never NULL; a 0 byte follows the last */
  size_t stdout_size;
  uint64_t stdout_dropped; /* bytes beyond the limit: counted, not kept */
  uint8_t *stderr_data;
  size_t stderr_size;
  uint64_t stderr_dropped;

  int metered;   /* 1: fuel_used was counted */
  int accounted; /* 1: the worker itself reported fuel_used, memory_bytes
                    and written_...; 0: it was killed before it could */
  uint64_t fuel_used;
  uint64_t memory_bytes;  /* the guest's linear memory, at its peak */
  uint64_t rss_bytes;     /* the worker's resident memory, at its peak */
  uint64_t cpu_us;        /* user and system time of the worker */
  uint64_t queue_us;      /* from the request until it was handed to a process */
  uint64_t start_us;      /* from there to the request's first instruction */
  uint64_t run_us;        /* from there to the end */
  uint64_t wall_us;       /* from the request to the result */
  uint64_t written_bytes; /* growth of files, as charged to the quota */
  uint64_t written_files;
  int quota_exceeded; /* 1: a write was refused for the quota */
  int warm;           /* 1: the worker came from a warm template */
  int code_cached;    /* 1: the module's compiled code was already there */
};

/* Run a guest to its end. 0 and a result whatever the guest did; a negative
 * code if Brig could not run it. Checks before anything runs, in this order:
 * directories, size, magic, component, declared memory, `_start`. Blocks; waits
 * for its turn where pool.max_workers are at work, and is BRIG_E_BUSY if that is
 * too long or too many wait. */
BRIG_API int brig_sandbox_execute(struct brig_sandbox *sandbox, const struct brig_request *request,
                                  struct brig_result **ret_result, struct brig_error *err);

/* What a sandbox is doing now, for those who watch over it. */
struct brig_counts {
  size_t size;        /* sizeof(struct brig_counts): use BRIG_COUNTS_INIT */
  uint64_t working;   /* executions and turns of sessions that have a worker, or are to get one */
  uint64_t waiting;   /* those that wait for their turn */
  uint64_t zygotes;   /* that executions may go on from, those of templates included */
  uint64_t templates; /* that are warm */
  uint64_t zygotes_died; /* since the start, unasked: another took the place of each */
};
#define BRIG_COUNTS_INIT \
  { .size = sizeof(struct brig_counts) }

/* Each is true by itself; together they are of no one moment. Does not block. Fields
 * that this version of the library does not know are left alone. */
BRIG_API void brig_sandbox_counts(struct brig_sandbox *sandbox, struct brig_counts *counts);

/* Check the request's directories alone, as execute does first. */
BRIG_API int brig_sandbox_validate_permissions(struct brig_sandbox *sandbox,
                                               const struct brig_request *request,
                                               struct brig_error *err);

/* Compile what the request names into the code cache, and check it, but run
 * nothing. */
BRIG_API int brig_sandbox_prepare(struct brig_sandbox *sandbox, const struct brig_request *request,
                                  struct brig_error *err);

BRIG_API void brig_result_free(struct brig_result *result);

/* "exited", "timeout"... A static string. */
BRIG_API const char *brig_outcome_name(enum brig_outcome outcome);

/* The walls around a worker, as found on this machine: see brig doctor. */
struct brig_wall {
  const char *name;    /* "seccomp" */
  const char *meaning; /* what it keeps a guest from */
  int required;        /* by jail.require */
  int up;
  const char *detail; /* the version found, or why it is not up */
  int proved;         /* 1: the forbidden thing was tried from inside a worker
                         and denied; 0: it went through; -1: not tried */
  const char *proof;  /* what was tried, and what came of it */
};

/* Look at each wall: its state, and with `prove` also a trial from inside a
 * worker. Opens no sandbox, so it works where one would refuse to start; calls
 * `each` once a wall, whose strings are valid during the call. */
BRIG_API int brig_doctor(const struct brig_config *config, int prove,
                         void (*each)(void *context, const struct brig_wall *wall), void *context,
                         struct brig_error *err);

#ifdef __cplusplus
}
#endif
#endif
