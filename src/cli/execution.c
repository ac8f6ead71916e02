#include "cli/execution.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/fd.h"
#include "cli/result_json.h"
#include "config/config.h"

/* Where a signal handler finds what to cancel. */
static struct brig_cancel *volatile current;
static volatile sig_atomic_t caught;

static void on_signal(int number) {
  if (caught == 0) caught = number;
  if (current != NULL) brig_cancel_trigger(current);
}

static void catch_signals(void) {
  struct sigaction action = {.sa_handler = on_signal};
  static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
  sigemptyset(&action.sa_mask);
  for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
    sigaction(signals[i], &action, NULL);
}

static int add_mount(struct execution *execution, const char *value, unsigned flags) {
  CLEANUP_FREE char *host = strdup(value);
  char *guest = host == NULL ? NULL : strstr(host, "::");
  size_t count = execution->request.mount_count;
  struct brig_mount *mounts = realloc(execution->mounts, (count + 1) * sizeof *mounts);
  if (host == NULL || mounts == NULL) return -1;
  if (guest != NULL) {
    *guest = '\0';
    guest += 2;
  }
  execution->mounts = mounts;
  execution->request.mounts = mounts;
  /* What is named on the command line is meant, links and all; the library takes
   * canonical names only. */
  char *canonical = realpath(host, NULL);
  if (canonical == NULL) {
    brig__cli_say("directory %s: %s", host, strerror(errno));
    return -1;
  }
  mounts[count] = (struct brig_mount){canonical, strdup(guest != NULL ? guest : host), flags};
  execution->request.mount_count++;
  return 0;
}

static int take_dir(void *context, const char *value) {
  return add_mount(context, value, BRIG_MOUNT_READ_ONLY);
}

static int take_dir_rw(void *context, const char *value) {
  return add_mount(context, value, BRIG_MOUNT_READ_WRITE);
}

static int take_env(void *context, const char *value) {
  struct execution *execution = context;
  const char **env = realloc(execution->env, (execution->env_count + 2) * sizeof *env);
  if (env == NULL) return -1;
  if (value[0] == '\0' || value[0] == '=') {
    brig__cli_say("--env takes NAME=VALUE, or NAME for the value it has here");
    free(env);
    execution->env = NULL;
    execution->env_count = 0;
    return -1;
  }
  env[execution->env_count++] = value;
  env[execution->env_count] = NULL;
  execution->env = env;
  execution->request.env = env;
  return 0;
}

static int take_stdin(void *context, const char *value) {
  ((struct execution *)context)->stdin_path = value;
  return 0;
}

static int take_json(void *context, const char *value) {
  (void)value;
  ((struct execution *)context)->json = true;
  return 0;
}

static int take_stats(void *context, const char *value) {
  (void)value;
  ((struct execution *)context)->stats = true;
  return 0;
}

const struct option_row brig__cli_execution_rows[] = {
    {"--dir", 0, "HOST[::GUEST]", "a directory the guest may read", take_dir, false},
    {"--dir-rw", 0, "HOST[::GUEST]", "a directory the guest may read and write", take_dir_rw,
     false},
    {"--env", 0, "NAME[=VALUE]", "a variable of the guest's environment", take_env, false},
    {"--stdin", 0, "FILE", "standard input; else Brig's own", take_stdin, false},
    {"--json", 0, NULL, "print the whole result, output included, as JSON", take_json, false},
    {"--stats", 0, NULL, "print a line of accounting to stderr at the end", take_stats, false},
};
const size_t brig__cli_execution_row_count =
    sizeof brig__cli_execution_rows / sizeof *brig__cli_execution_rows;

int brig__cli_execution_open(struct execution *execution) {
  static const struct brig_request fresh = BRIG_REQUEST_INIT;
  *execution = (struct execution){.request = fresh};
  int status = brig__cli_load_config(&execution->config);
  /* They are for those that stay: one execution is over before they are up. */
  if (status == 0) brig_config_set(execution->config, "templates.named", "", NULL);
  return status;
}

void brig__cli_execution_close(struct execution *execution) {
  for (size_t i = 0; i < execution->request.mount_count; i++) {
    free((char *)(uintptr_t)execution->mounts[i].host);
    free((char *)(uintptr_t)execution->mounts[i].guest);
  }
  free(execution->mounts);
  free(execution->env);
  brig_config_free(execution->config);
}

static void pass_output(void *context, enum brig_stream stream, const void *data, size_t size) {
  (void)context;
  int fd = stream == BRIG_STDOUT ? STDOUT_FILENO : STDERR_FILENO;
  if (brig__write_all(fd, data, size) < 0 && current != NULL) brig_cancel_trigger(current);
}

static void print_stats(const struct brig_result *result) {
  fprintf(stderr, "brig: %s", brig_outcome_name(result->outcome));
  if (result->outcome == BRIG_OUTCOME_EXITED) fprintf(stderr, " %u", result->exit_code);
  fprintf(stderr, ", %.1f ms (start %.1f, run %.1f), cpu %.1f ms, guest memory %.1f MiB",
          (double)result->wall_us / 1e3, (double)result->start_us / 1e3,
          (double)result->run_us / 1e3, (double)result->cpu_us / 1e3,
          (double)result->memory_bytes / 1048576);
  if (result->metered)
    fprintf(stderr, ", fuel %llu", (unsigned long long)result->fuel_used);
  else
    fputs(", not metered", stderr);
  fprintf(stderr, ", %s\n", result->code_cached ? "code cached" : "code compiled");
}

/* One line, unless the guest simply ended. */
static void explain(const struct brig_result *result) {
  if (result->outcome != BRIG_OUTCOME_EXITED) brig__cli_say("%s", result->reason);
  if (result->stdout_dropped > 0)
    brig__cli_say("%llu bytes of stdout were dropped (--stdout-limit)",
                  (unsigned long long)result->stdout_dropped);
  if (result->stderr_dropped > 0)
    brig__cli_say("%llu bytes of stderr were dropped (--stderr-limit)",
                  (unsigned long long)result->stderr_dropped);
  if (result->quota_exceeded) brig__cli_say("writes were refused beyond the quota (--quota)");
}

static int exit_status(const struct brig_result *result) {
  switch (result->outcome) {
    case BRIG_OUTCOME_EXITED:
      return result->exit_code > 255 ? 255 : (int)result->exit_code;
    case BRIG_OUTCOME_TIMEOUT:
      return EXIT_TIMEOUT;
    case BRIG_OUTCOME_CANCELLED:
      return caught != 0 ? 128 + caught : EXIT_BRIG;
    case BRIG_OUTCOME_TRAPPED:
      return 128 + SIGABRT;
    case BRIG_OUTCOME_FUEL:
    case BRIG_OUTCOME_MEMORY:
    case BRIG_OUTCOME_KILLED:
      return EXIT_KILLED;
  }
  return EXIT_BRIG;
}

static int report(const struct execution *execution, const struct brig_result *result) {
  if (execution->json)
    brig__cli_print_result(stdout, result);
  else
    explain(result);
  if (execution->stats) print_stats(result);
  return brig__cli_finish(exit_status(result));
}

static int open_stdin(struct execution *execution) {
  execution->request.input_from_fd = 1;
  execution->request.input_fd = STDIN_FILENO;
  if (execution->stdin_path == NULL || strcmp(execution->stdin_path, "-") == 0) return 0;
  int fd = open(execution->stdin_path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    brig__cli_say("--stdin %s: %s", execution->stdin_path, strerror(errno));
    return EXIT_BRIG;
  }
  execution->request.input_fd = fd;
  return 0;
}

static int execute(struct execution *execution, struct brig_sandbox *sandbox) {
  struct brig_result *result = NULL;
  struct brig_error err;
  execution->request.without_allowed_paths = 1; /* only what the flags say */
  execution->request.cancel = current;
  if (!execution->json) {
    execution->request.on_output = pass_output;
    execution->request.discard_output = 1;
  }
  if (brig_sandbox_execute(sandbox, &execution->request, &result, &err) < 0)
    return brig__cli_fail(&err);
  int status = report(execution, result);
  brig_result_free(result);
  return status;
}

int brig__cli_execution_run(struct execution *execution) {
  struct brig_sandbox *sandbox = NULL;
  struct brig_cancel *cancel = NULL;
  struct brig_error err;
  int status = open_stdin(execution);
  if (status != 0) return status;
  /* No path of the configuration is mounted, so none of them is a concern. */
  if (brig_config_set(execution->config, "wasi.allowed_paths", "", &err) < 0 ||
      brig_cancel_new(&cancel, &err) < 0)
    return brig__cli_fail(&err);
  current = cancel;
  catch_signals();
  if (brig_sandbox_open(execution->config, &sandbox, &err) < 0)
    status = brig__cli_fail(&err);
  else
    status = execute(execution, sandbox);
  brig_sandbox_close(sandbox);
  current = NULL;
  brig_cancel_free(cancel);
  if (execution->request.input_fd != STDIN_FILENO) close(execution->request.input_fd);
  return status;
}
