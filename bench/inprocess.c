/* Executes what its lines of input name, one after another, in one process, and
 * prints the milliseconds of each: "module" or "python". */
#include <brig/brig.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static double now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

int main(int argc, char **argv) {
  struct brig_error err = {0};
  struct brig_config *config = NULL;
  struct brig_sandbox *sandbox = NULL;
  char line[64];
  if (argc != 3 || brig_config_defaults(&config, &err) < 0 ||
      brig_config_set(config, "wasi.allowed_paths", "", &err) < 0 ||
      brig_config_set(config, "sandbox.helper", argv[2], &err) < 0 ||
      brig_sandbox_open(config, &sandbox, &err) < 0)
    return fprintf(stderr, "%s\n", err.message), 1;
  while (fgets(line, sizeof line, stdin) != NULL) {
    struct brig_request request = BRIG_REQUEST_INIT;
    struct brig_result *result = NULL;
    const char *const code[] = {"-c", "print('hello')", NULL};
    if (line[0] == 'm') request.module_path = argv[1];
    if (line[0] == 'p') request.guest = "python";
    if (line[0] == 'p') request.argv = code;
    double begun = now_ms();
    if (brig_sandbox_execute(sandbox, &request, &result, &err) < 0)
      return fprintf(stderr, "%s\n", err.message), 1;
    double took = now_ms() - begun;
    if (strcmp((char *)result->stdout_data, "hello\n") != 0) return 2;
    brig_result_free(result);
    printf("%.4f\n", took);
    fflush(stdout);
  }
  brig_sandbox_close(sandbox);
  brig_config_free(config);
  return 0;
}
