#include "engine/engine_internal.h"

#include <stdio.h>
#include <string.h>
#include "base/error.h"
#include "base/fd.h"

#define PAGE UINT64_C(65536)

static int describe_import(const wasm_importtype_t *import, const char *why,
                           struct brig_error *err) {
  const wasm_name_t *module = wasm_importtype_module(import);
  const wasm_name_t *name = wasm_importtype_name(import);
  return brig__fail(err, BRIG_E_MODULE, "module", "the module imports %.*s.%.*s, %s",
                    (int)(module->size > 64 ? 64 : module->size), module->data,
                    (int)(name->size > 64 ? 64 : name->size), name->data, why);
}

static int check_import(const wasm_importtype_t *import, bool stubs, struct brig_error *err) {
  const wasm_externtype_t *type = wasm_importtype_type(import);
  const struct wasi_call *call = brig__engine_find_call(import);
  if (call == NULL && stubs && wasm_externtype_kind(type) == WASM_EXTERN_FUNC) return 0;
  if (call == NULL)
    return describe_import(import,
                           "which Brig does not provide: only the calls of " WASI_MODULE
                           " exist. Build it for wasm32-wasip1",
                           err);
  if (wasm_externtype_kind(type) != WASM_EXTERN_FUNC ||
      !brig__engine_call_matches(call, wasm_externtype_as_functype_const(type)))
    return describe_import(import, "with a type that is not preview 1's", err);
  return 0;
}

/* A call of two parameters or more takes an address. */
static int check_needs_memory(const wasm_importtype_t *import, const struct module_facts *facts,
                              struct brig_error *err) {
  const struct wasi_call *call = brig__engine_find_call(import);
  if (call == NULL || facts->exports_memory || call->params[0] == '\0' || call->params[1] == '\0')
    return 0;
  return describe_import(import, "which needs the module's memory, exported as \"memory\"", err);
}

static int check_imports(const wasmtime_module_t *module, bool stubs,
                         const struct module_facts *facts, struct brig_error *err) {
  wasm_importtype_vec_t imports;
  wasmtime_module_imports(module, &imports);
  int rc = 0;
  for (size_t i = 0; i < imports.size && rc == 0; i++) {
    rc = check_import(imports.data[i], stubs, err);
    if (rc == 0) rc = check_needs_memory(imports.data[i], facts, err);
  }
  wasm_importtype_vec_delete(&imports);
  return rc;
}

static void note_memory(const wasm_memorytype_t *type, struct module_facts *facts) {
  uint64_t maximum;
  facts->memory_minimum = wasmtime_memorytype_minimum(type) * PAGE;
  bool bounded = wasmtime_memorytype_maximum(type, &maximum);
  facts->memory_maximum = bounded ? maximum * PAGE : ENGINE_NO_MAXIMUM;
}

static void note_export(const wasm_exporttype_t *export, struct module_facts *facts) {
  const wasm_externtype_t *type = wasm_exporttype_type(export);
  const wasm_name_t *name = wasm_exporttype_name(export);
  if (wasm_externtype_kind(type) == WASM_EXTERN_MEMORY) {
    note_memory(wasm_externtype_as_memorytype_const(type), facts);
    if (brig__engine_name_is(name, "memory")) facts->exports_memory = 1;
  }
  if (wasm_externtype_kind(type) == WASM_EXTERN_FUNC && brig__engine_name_is(name, "_start")) {
    const wasm_functype_t *function = wasm_externtype_as_functype_const(type);
    facts->exports_start =
        wasm_functype_params(function)->size == 0 && wasm_functype_results(function)->size == 0;
  }
}

static void note_exports(const wasmtime_module_t *module, struct module_facts *ret_facts) {
  wasm_exporttype_vec_t exports;
  struct module_facts facts = {.memory_maximum = ENGINE_NO_MAXIMUM};
  wasmtime_module_exports(module, &exports);
  for (size_t i = 0; i < exports.size; i++) note_export(exports.data[i], &facts);
  wasm_exporttype_vec_delete(&exports);
  *ret_facts = facts;
}

static int write_code(const wasmtime_module_t *module, int code_fd, struct brig_error *err) {
  wasm_byte_vec_t code;
  wasmtime_error_t *error =
      wasmtime_module_serialize((wasmtime_module_t *)(uintptr_t)module, &code);
  if (error != NULL) {
    char message[256];
    brig__engine_message(error, message, sizeof message);
    return brig__fail(err, BRIG_E_SYSTEM, "compile", "%s", message);
  }
  int rc = brig__write_all(code_fd, code.data, code.size);
  wasm_byte_vec_delete(&code);
  return rc < 0 ? brig__fail_errno(err, -rc, "compile", "writing the code") : 0;
}

int brig__engine_compile(struct engine *engine, const void *wasm, size_t size, int code_fd,
                         struct module_facts *ret_facts, struct brig_error *err) {
  wasmtime_module_t *module = NULL;
  wasmtime_error_t *error = wasmtime_module_new(engine->engine, wasm, size, &module);
  if (error != NULL) {
    char message[512];
    brig__engine_message(error, message, sizeof message);
    return brig__fail(err, BRIG_E_MODULE, "compile", "%s", message);
  }
  struct module_facts facts;
  note_exports(module, &facts);
  int rc = check_imports(module, engine->settings.stubs != 0, &facts, err);
  if (rc == 0) rc = write_code(module, code_fd, err);
  if (rc == 0) *ret_facts = facts;
  wasmtime_module_delete(module);
  return rc;
}
