#include "engine/engine_internal.h"

static const char *const names[] = {
    [WASMTIME_TRAP_CODE_STACK_OVERFLOW] = "stack overflow",
    [WASMTIME_TRAP_CODE_MEMORY_OUT_OF_BOUNDS] = "memory access out of bounds",
    [WASMTIME_TRAP_CODE_HEAP_MISALIGNED] = "misaligned memory access",
    [WASMTIME_TRAP_CODE_TABLE_OUT_OF_BOUNDS] = "table access out of bounds",
    [WASMTIME_TRAP_CODE_INDIRECT_CALL_TO_NULL] = "indirect call to null",
    [WASMTIME_TRAP_CODE_BAD_SIGNATURE] = "indirect call of another type",
    [WASMTIME_TRAP_CODE_INTEGER_OVERFLOW] = "integer overflow",
    [WASMTIME_TRAP_CODE_INTEGER_DIVISION_BY_ZERO] = "integer division by zero",
    [WASMTIME_TRAP_CODE_BAD_CONVERSION_TO_INTEGER] = "invalid conversion to integer",
    [WASMTIME_TRAP_CODE_UNREACHABLE_CODE_REACHED] = "unreachable",
    [WASMTIME_TRAP_CODE_OUT_OF_FUEL] = "out of fuel",
    [WASMTIME_TRAP_CODE_NULL_REFERENCE] = "null reference",
    [WASMTIME_TRAP_CODE_ALLOCATION_TOO_LARGE] = "allocation too large",
    [WASMTIME_TRAP_CODE_UNHANDLED_TAG] = "unhandled tag",
};

const char *brig__engine_trap_name(const wasm_trap_t *trap, wasmtime_trap_code_t *ret_code) {
  wasmtime_trap_code_t code;
  if (!wasmtime_trap_code(trap, &code)) return "trap";
  *ret_code = code;
  const char *name = code < sizeof names / sizeof *names ? names[code] : NULL;
  return name != NULL ? name : "trap";
}
