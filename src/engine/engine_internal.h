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
