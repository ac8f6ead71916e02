/* engine/engine_internal.h - shared by the files of engine/ alone. */
#ifndef BRIG_ENGINE_INTERNAL_H
#define BRIG_ENGINE_INTERNAL_H

#include <wasmtime.h>
#include "engine/engine.h"

struct engine {
  wasm_engine_t *engine;
  struct engine_settings settings;
};

struct engine_module {
  struct engine *engine;
  wasmtime_module_t *module;
};

/* Settings that the C API leaves out: deps/wasmtime/lib.rs. */
void brig_config_table_lazy_init_set(wasm_config_t *config, bool lazy);
void brig_config_address_map_set(wasm_config_t *config, bool kept);

/* Around the loading of a file of code: have it mapped where its pages can be huge.
 * `module` is NULL if it was not loaded. */
struct alignment {
  void *filler;
  size_t size;
};
struct alignment brig__engine_align_next(const char *path);
void brig__engine_aligned(const struct alignment *alignment, const wasmtime_module_t *module);

/* Does the host call's type match the import's? */
bool brig__engine_call_matches(const struct wasi_call *call, const wasm_functype_t *type);

/* The call that an import names, or NULL. */
const struct wasi_call *brig__engine_find_call(const wasm_importtype_t *import);

bool brig__engine_name_is(const wasm_name_t *name, const char *text);

/* Copy an error's message, its first line, and delete the error. */
void brig__engine_message(wasmtime_error_t *error, char *buffer, size_t size);

/* "unreachable", "stack overflow"... A static string. */
const char *brig__engine_trap_name(const wasm_trap_t *trap, wasmtime_trap_code_t *ret_code);

#endif
