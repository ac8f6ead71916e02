/* Runs in a worker, inside the jail: no code is mapped here, and no file opened. */
#include "engine/engine_internal.h"

#include <stdlib.h>
#include <string.h>

struct running {
  const struct engine_run *options;
  struct engine_module *module;
  wasmtime_store_t *store;
  wasmtime_memory_t memory;
  bool memory_known;
  uint64_t fuel;
};

/* What a host function of ours is given: the call, and the run it belongs to. */
struct host_function {
  const struct wasi_call *call;
  struct running *running;
};

static wasmtime_context_t *context_of(const struct running *running) {
  return wasmtime_store_context(running->store);
}

static void account(const struct running *running, struct engine_end *end) {
  if (running->store == NULL) return;
  uint64_t left;
  if (running->module->engine->settings.metered) {
    wasmtime_error_t *error = wasmtime_context_get_fuel(context_of(running), &left);
    if (error == NULL)
      end->fuel_used = running->fuel - left;
    else
      wasmtime_error_delete(error);
  }
  if (running->memory_known)
    end->memory_bytes = wasmtime_memory_data_size(context_of(running), &running->memory);
}

__attribute__((noreturn)) static void finish(struct running *running, struct engine_end *end) {
  account(running, end);
  running->options->ended(running->options->context, end);
}

static bool looks_like_memory(const char *message) {
  return strstr(message, "mmap") != NULL || strstr(message, "llocat") != NULL ||
         strstr(message, "out of memory") != NULL || strstr(message, "mprotect") != NULL;
}

__attribute__((noreturn)) static void finish_error(struct running *running,
                                                   wasmtime_error_t *error) {
  struct engine_end end = {.kind = ENGINE_END_REFUSED};
  brig__engine_message(error, end.message, sizeof end.message);
  if (looks_like_memory(end.message)) end.kind = ENGINE_END_MEMORY;
  finish(running, &end);
}

__attribute__((noreturn)) static void finish_trap(struct running *running, wasm_trap_t *trap) {
  wasmtime_trap_code_t code = WASMTIME_TRAP_CODE_INTERRUPT;
  struct engine_end end = {.kind = ENGINE_END_TRAPPED};
  end.trap = brig__engine_trap_name(trap, &code);
  if (code == WASMTIME_TRAP_CODE_OUT_OF_FUEL) end.kind = ENGINE_END_FUEL;
  wasm_trap_delete(trap);
  finish(running, &end);
}

static void check(struct running *running, wasmtime_error_t *error, wasm_trap_t *trap) {
  if (error != NULL) finish_error(running, error);
  if (trap != NULL) finish_trap(running, trap);
}

/* The memory can be asked for by its handle once the instance stands; while a
 * start function runs, only the caller knows it. */
static struct wasi_view view_memory(struct running *running, wasmtime_caller_t *caller) {
  wasmtime_context_t *context = wasmtime_caller_context(caller);
  if (!running->memory_known) {
    wasmtime_extern_t item;
    if (!wasmtime_caller_export_get(caller, "memory", 6, &item)) return (struct wasi_view){0};
    if (item.kind != WASMTIME_EXTERN_MEMORY) {
      wasmtime_extern_delete(&item);
      return (struct wasi_view){0};
    }
    running->memory = item.of.memory;
    running->memory_known = true;
  }
  return (struct wasi_view){
      .base = wasmtime_memory_data(context, &running->memory),
      .size = wasmtime_memory_data_size(context, &running->memory),
  };
}

static void limit(struct running *running) {
  const struct brig_limits *limits = running->options->limits;
  wasmtime_store_limiter(running->store, (int64_t)limits->memory_bytes,
                         (int64_t)limits->table_elements, (int64_t)limits->instances,
                         (int64_t)limits->tables, (int64_t)limits->memories);
  if (!running->module->engine->settings.metered) return;
  running->fuel = limits->fuel;
  check(running, wasmtime_context_set_fuel(context_of(running), running->fuel), NULL);
}

/* Leaves in a fork of this process, or not at all. */
static void park(struct running *running) {
  struct engine_end so_far = {.kind = ENGINE_END_EXITED};
  account(running, &so_far);
  running->options = running->options->parked(running->options->context, &so_far);
  limit(running);
}

static wasm_trap_t *host_call(void *env, wasmtime_caller_t *caller, wasmtime_val_raw_t *values,
                              size_t count) {
  const struct host_function *function = env;
  struct running *running = function->running;
  uint64_t args[WASI_MAX_PARAMS];
  (void)count;
  const char *params = function->call->params;
  for (size_t i = 0; params[i] != '\0'; i++)
    args[i] = params[i] == 'I' ? (uint64_t)values[i].i64 : (uint32_t)values[i].i32;
  struct wasi_view view = view_memory(running, caller);
  uint32_t result = function->call->invoke(running->options->wasi, &view, args);
  if (result == WASI_PARKED) {
    park(running);
    result = function->call->invoke(running->options->wasi, &view, args);
  }
  if (result == WASI_EXITED) {
    struct engine_end end = {.kind = ENGINE_END_EXITED,
                             .exit_code = brig__wasi_exit_code(running->options->wasi)};
    finish(running, &end);
  }
  if (function->call->returns_errno) values[0].i32 = (int32_t)result;
  return NULL;
}

static wasm_trap_t *stub_call(void *env, wasmtime_caller_t *caller, wasmtime_val_raw_t *values,
                              size_t count) {
  static const char message[] = "called an import that Brig does not provide";
  (void)env, (void)caller, (void)values, (void)count;
  return wasmtime_trap_new(message, sizeof message - 1);
}

static void bind_import(struct running *running, const wasm_importtype_t *import,
                        struct host_function *function, wasmtime_extern_t *ret_item) {
  struct engine_end refused = {.kind = ENGINE_END_REFUSED,
                               .message = "an import is not one of preview 1's"};
  const wasm_functype_t *type = wasm_externtype_as_functype_const(wasm_importtype_type(import));
  const struct wasi_call *call = brig__engine_find_call(import);
  if (call == NULL && type != NULL && running->module->engine->settings.stubs) {
    ret_item->kind = WASMTIME_EXTERN_FUNC;
    wasmtime_func_new_unchecked(context_of(running), type, stub_call, NULL, NULL,
                                &ret_item->of.func);
    return;
  }
  /* The compiler has checked this; code from elsewhere must not get further. */
  if (call == NULL || type == NULL || !brig__engine_call_matches(call, type))
    finish(running, &refused);
  *function = (struct host_function){.call = call, .running = running};
  ret_item->kind = WASMTIME_EXTERN_FUNC;
  wasmtime_func_new_unchecked(context_of(running), type, host_call, function, NULL,
                              &ret_item->of.func);
}

static void instantiate(struct running *running, wasmtime_instance_t *ret_instance) {
  wasm_importtype_vec_t imports;
  wasmtime_module_imports(running->module->module, &imports);
  struct host_function *functions = calloc(imports.size + 1, sizeof *functions);
  wasmtime_extern_t *items = calloc(imports.size + 1, sizeof *items);
  if (functions == NULL || items == NULL) {
    struct engine_end end = {.kind = ENGINE_END_MEMORY, .message = "out of memory"};
    finish(running, &end);
  }
  for (size_t i = 0; i < imports.size; i++)
    bind_import(running, imports.data[i], &functions[i], &items[i]);
  wasm_trap_t *trap = NULL;
  wasmtime_error_t *error = wasmtime_instance_new(context_of(running), running->module->module,
                                                  items, imports.size, ret_instance, &trap);
  check(running, error, trap);
}

static void open_store(struct running *running) {
  running->store = wasmtime_store_new(running->module->engine->engine, NULL, NULL);
  limit(running);
}

static void find_memory(struct running *running, const wasmtime_instance_t *instance) {
  wasmtime_extern_t item;
  if (running->memory_known ||
      !wasmtime_instance_export_get(context_of(running), instance, "memory", 6, &item))
    return;
  if (item.kind == WASMTIME_EXTERN_MEMORY) {
    running->memory = item.of.memory;
    running->memory_known = true;
  }
}

/* Its one result, if it has one, is an exit status: a reactor's `run` returns it
 * where a command's `_start` would call proc_exit. */
static uint32_t call_export(struct running *running, const wasmtime_instance_t *instance,
                            const char *name) {
  wasmtime_extern_t item;
  struct engine_end refused = {.kind = ENGINE_END_REFUSED};
  if (!wasmtime_instance_export_get(context_of(running), instance, name, strlen(name), &item) ||
      item.kind != WASMTIME_EXTERN_FUNC) {
    strcpy(refused.message, "the module does not export its entry as a function");
    finish(running, &refused);
  }
  wasm_functype_t *type = wasmtime_func_type(context_of(running), &item.of.func);
  size_t results = wasm_functype_results(type)->size;
  wasm_functype_delete(type);
  wasmtime_val_t result = {.kind = WASMTIME_I32};
  wasm_trap_t *trap = NULL;
  wasmtime_error_t *error = wasmtime_func_call(context_of(running), &item.of.func, NULL, 0, &result,
                                               results == 1 ? 1 : 0, &trap);
  check(running, error, trap);
  return results == 1 && result.kind == WASMTIME_I32 ? (uint32_t)result.of.i32 : 0;
}

void brig__engine_run(struct engine_module *module, const struct engine_run *run) {
  struct running running = {.options = run, .module = module};
  wasmtime_instance_t instance;
  open_store(&running);
  instantiate(&running, &instance);
  find_memory(&running, &instance);
  struct engine_end end = {.kind = ENGINE_END_EXITED};
  for (const char *const *name = run->entry; *name != NULL; name++)
    end.exit_code = call_export(&running, &instance, *name);
  finish(&running, &end);
}
