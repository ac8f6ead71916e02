#include "engine/engine_internal.h"

#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/proposal.h"

/* Raise the revision whenever configure() changes what code it makes, or
 * compile.c what it accepts: both are kept in caches. */
const char *brig__engine_id(void) { return "wasmtime " WASMTIME_VERSION " cranelift r3"; }

/* What no module gets. Some are off in this version's defaults too; the next
 * version's defaults are not ours to trust. Threads, components, asynchronous
 * calls and pooling are not even compiled in. */
static void disable_proposals(wasm_config_t *config, unsigned proposals) {
  bool exceptions = (proposals & BRIG_PROPOSAL(EXCEPTIONS)) != 0;
  wasmtime_config_shared_memory_set(config, false);
  wasmtime_config_wasm_memory64_set(config, false);
  wasmtime_config_wasm_multi_memory_set(config, false);
  wasmtime_config_wasm_relaxed_simd_set(config, false);
  wasmtime_config_wasm_function_references_set(config, false);
  wasmtime_config_wasm_gc_set(config, false);
  wasmtime_config_wasm_wide_arithmetic_set(config, false);
  wasmtime_config_wasm_custom_page_sizes_set(config, false);
  wasmtime_config_wasm_stack_switching_set(config, false);
  wasmtime_config_wasm_branch_hinting_set(config, true); /* our CPython has them */
  wasmtime_config_wasm_tail_call_set(config, (proposals & BRIG_PROPOSAL(TAIL_CALL)) != 0);
  wasmtime_config_wasm_exceptions_set(config, exceptions);
  /* An exception's payload lives in the collector's heap. */
  wasmtime_config_gc_support_set(config, exceptions);
}

static wasm_config_t *configure(const struct engine_settings *settings) {
  wasm_config_t *config = wasm_config_new();
  disable_proposals(config, settings->proposals);
  wasmtime_config_consume_fuel_set(config, settings->metered != 0);
  wasmtime_config_strategy_set(config, WASMTIME_STRATEGY_CRANELIFT);
  wasmtime_config_cranelift_opt_level_set(config, WASMTIME_OPT_LEVEL_SPEED);
  /* Bounds by guard pages: 4 GiB of address space and a guard of 32 MiB on each
   * side, so that no 32-bit index can leave the reservation. */
  wasmtime_config_signals_based_traps_set(config, true);
  wasmtime_config_memory_reservation_set(config, UINT64_C(4) << 30);
  wasmtime_config_memory_guard_size_set(config, UINT64_C(32) << 20);
  wasmtime_config_memory_may_move_set(config, false);
  wasmtime_config_memory_init_cow_set(config, true);
  wasmtime_config_native_unwind_info_set(config, false);
  /* At once, in the zygote, rather than by each of its forks. */
  brig_config_table_lazy_init_set(config, false);
  brig_config_address_map_set(config, false); /* half of the code's size; nobody asks */
  return config;
}

int brig__engine_create(const struct engine_settings *settings, struct engine **ret_engine,
                        struct brig_error *err) {
  struct engine *engine = calloc(1, sizeof *engine);
  if (engine == NULL) return brig__fail(err, BRIG_E_MEMORY, "engine", "out of memory");
  engine->settings = *settings;
  engine->engine = wasm_engine_new_with_config(configure(settings));
  if (engine->engine == NULL) {
    free(engine);
    return brig__fail(err, BRIG_E_SYSTEM, "engine", "the engine refuses its settings");
  }
  *ret_engine = engine;
  return 0;
}

int brig__engine_load(struct engine *engine, const char *path, struct engine_module **ret_module,
                      struct brig_error *err) {
  struct engine_module *module = calloc(1, sizeof *module);
  if (module == NULL) return brig__fail(err, BRIG_E_MEMORY, "load", "out of memory");
  module->engine = engine;
  struct alignment alignment = brig__engine_align_next(path);
  wasmtime_error_t *error = wasmtime_module_deserialize_file(engine->engine, path, &module->module);
  brig__engine_aligned(&alignment, error == NULL ? module->module : NULL);
  if (error != NULL) {
    char message[256];
    brig__engine_message(error, message, sizeof message);
    free(module);
    return brig__fail(err, BRIG_E_SYSTEM, "load", "compiled code does not load: %s", message);
  }
  *ret_module = module;
  return 0;
}

bool brig__engine_name_is(const wasm_name_t *name, const char *text) {
  return name->size == strlen(text) && memcmp(name->data, text, name->size) == 0;
}

void brig__engine_message(wasmtime_error_t *error, char *buffer, size_t size) {
  wasm_byte_vec_t text;
  wasmtime_error_message(error, &text);
  size_t length = text.size < size ? text.size : size - 1;
  memcpy(buffer, text.data, length);
  buffer[length] = '\0';
  /* Causes follow on lines of their own, numbered and indented. */
  for (char *at = buffer; *at != '\0'; at++)
    if (*at == '\n') *at = ' ';
  wasm_byte_vec_delete(&text);
  wasmtime_error_delete(error);
}

const struct wasi_call *brig__engine_find_call(const wasm_importtype_t *import) {
  if (!brig__engine_name_is(wasm_importtype_module(import), WASI_MODULE)) return NULL;
  for (size_t i = 0; i < brig__wasi_call_count; i++)
    if (brig__engine_name_is(wasm_importtype_name(import), brig__wasi_calls[i].name))
      return &brig__wasi_calls[i];
  return NULL;
}

bool brig__engine_call_matches(const struct wasi_call *call, const wasm_functype_t *type) {
  const wasm_valtype_vec_t *params = wasm_functype_params(type);
  const wasm_valtype_vec_t *results = wasm_functype_results(type);
  if (params->size != strlen(call->params)) return false;
  if (results->size != (call->returns_errno ? 1u : 0u)) return false;
  for (size_t i = 0; i < params->size; i++) {
    wasm_valkind_t kind = call->params[i] == 'I' ? WASM_I64 : WASM_I32;
    if (wasm_valtype_kind(params->data[i]) != kind) return false;
  }
  return results->size == 0 || wasm_valtype_kind(results->data[0]) == WASM_I32;
}
