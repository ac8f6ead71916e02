#include "cli/execution.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/fd.h"
#include "cli/outcome.h"
#include "cli/result_json.h"
#include "cli/signals.h"
#include "config/config.h"

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
  int fd = stream == BRIG_STDOUT ? STDOUT_FILENO : STDERR_FILENO;
  if (brig__write_all(fd, data, size) < 0) brig_cancel_trigger(context);
}

static int report(const struct execution *execution, const struct brig_result *result) {
  if (execution->json)
    brig__cli_print_json(brig__cli_result_json(result));
  else
    brig__cli_explain(result);
  if (execution->stats) brig__cli_print_stats(result);
  return brig__cli_finish(brig__cli_exit_status(result));
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

static int execute(struct execution *execution, struct brig_sandbox *sandbox,
                   struct brig_cancel *cancel) {
  struct brig_result *result = NULL;
  struct brig_error err;
  execution->request.without_allowed_paths = 1; /* only what the flags say */
  execution->request.cancel = cancel;
  if (!execution->json) {
    execution->request.on_output = pass_output;
    execution->request.on_output_context = cancel;
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
  brig__cli_signals_cancel(cancel);
  if (brig_sandbox_open(execution->config, &sandbox, &err) < 0)
    status = brig__cli_fail(&err);
  else
    status = execute(execution, sandbox, cancel);
  brig_sandbox_close(sandbox);
  brig__cli_signals_cancel(NULL);
  brig_cancel_free(cancel);
  if (execution->request.input_fd != STDIN_FILENO) close(execution->request.input_fd);
  return status;
}
