/* engine/engine.h - compiling and running modules. The only folder that knows
 * Wasmtime; a second engine would stand behind this header. Runs in the
 * compiler, the zygote and its workers.
 *
 *   compiler: brig__engine_create, brig__engine_compile
 *   worker:   brig__engine_create (in the zygote), brig__engine_load,
 *             ...the jail..., brig__engine_run
 *
 * One thread: no call starts another. An engine survives fork(): the child uses
 * its copy.
 */
#ifndef BRIG_ENGINE_ENGINE_H
#define BRIG_ENGINE_ENGINE_H

#include <brig/error.h>
#include <brig/limits.h>
#include "engine/end.h"
#include "engine/facts.h"
#include "wasi/wasi.h"

/* Names the engine, its version and the settings that compiled code depends on
 * besides struct engine_settings. */
const char *brig__engine_id(void);

struct engine;
int brig__engine_create(const struct engine_settings *settings, struct engine **ret_engine,
                        struct brig_error *err);

/* Validate and compile a module; write its code to `code_fd`. BRIG_E_MODULE if
 * it is malformed, or needs what Brig does not give. */
int brig__engine_compile(struct engine *engine, const void *wasm, size_t size, int code_fd,
                         struct module_facts *ret_facts, struct brig_error *err);

/* Load code that this build's compiler made: trusted bytes. Maps the file, whose
 * content must not change, so it takes a path; PROT_EXEC is needed here, and
 * never again. */
struct engine_module;
int brig__engine_load(struct engine *engine, const char *path, struct engine_module **ret_module,
                      struct brig_error *err);

struct engine_end {
  enum engine_end_kind kind;
  uint32_t exit_code;    /* EXITED */
  const char *trap;      /* TRAPPED: its name */
  char message[256];     /* REFUSED, MEMORY: why */
  uint64_t fuel_used;    /* 0 if not metered */
  uint64_t memory_bytes; /* the linear memory; it never shrinks, so its peak */
};

struct engine_run {
  struct wasi *wasi;
  const char *const *entry; /* NULL-terminated exports, called in order */
  const struct brig_limits *limits;
  /* Told how the guest ended; must not return. A guest that calls proc_exit is
   * left where it stands: unwinding it would cost time and show nothing. */
  void (*ended)(void *context, const struct engine_end *end) __attribute__((noreturn));
  void *context;
  /* For a template or a session, or NULL: called when the guest asks for input,
   * inside that host call, with what it has used. It returns in a fork, with what
   * applies from there on: its limits (fuel is counted anew) and its end; `wasi` must
   * be the same. */
  const struct engine_run *(*parked)(void *context, const struct engine_end *so_far);
};

void brig__engine_run(struct engine_module *module, const struct engine_run *run)
    __attribute__((noreturn));

#endif
