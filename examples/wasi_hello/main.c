/* Runs a module through libbrig: main MODULE.wasm [INPUT] */
#include <brig/brig.h>
#include <stdio.h>
#include <string.h>

static int fail(const struct brig_error *err) {
  fprintf(stderr, "%s: %s\n", err->stage, err->message);
  return 1;
}

int main(int argc, char **argv) {
  struct brig_error err = {0};
  struct brig_config *config = NULL;
  struct brig_sandbox *sandbox = NULL;
  struct brig_result *result = NULL;
  struct brig_request request = BRIG_REQUEST_INIT;
  if (argc < 2) return fprintf(stderr, "usage: %s MODULE.wasm [INPUT]\n", argv[0]), 2;
  request.module_path = argv[1];
  request.input = argc > 2 ? argv[2] : "world\n";
  request.input_size = strlen(request.input);
  request.without_allowed_paths = 1;
  request.limits.timeout_ms = 5000;
  request.limits.memory_bytes = 16 << 20;

  if (brig_config_load(NULL, &config, &err) < 0) return fail(&err);
  if (brig_sandbox_open(config, &sandbox, &err) < 0) return fail(&err);
  if (brig_sandbox_execute(sandbox, &request, &result, &err) < 0) return fail(&err);
  fwrite(result->stdout_data, 1, result->stdout_size, stdout);
  fprintf(stderr, "%s with %u, fuel %llu, %llu us\n", brig_outcome_name(result->outcome),
          result->exit_code, (unsigned long long)result->fuel_used,
          (unsigned long long)result->wall_us);
  int status = result->outcome == BRIG_OUTCOME_EXITED ? (int)result->exit_code : 1;
  brig_result_free(result);
  brig_sandbox_close(sandbox);
  brig_config_free(config);
  return status;
}
