/* The program brig-server: what `brig serve` becomes. */
#include <string.h>
#include <sys/resource.h>
#include "base/fd.h"
#include "cli/cli.h"
#include "config/config.h"
#include "server/server.h"

struct options {
  int argc;
  char **argv;
  const char *file;           /* NULL: the usual one */
  struct brig_config *config; /* that the options are laid over */
};

static int set(struct options *options, const char *key, const char *value) {
  struct brig_error err;
  if (brig_config_set(options->config, key, value, &err) == 0) return 0;
  brig__cli_say("%s", err.message);
  return -1;
}

static int take_config(void *context, const char *value) {
  ((struct options *)context)->file = value;
  return 0;
}

static int take_listen(void *context, const char *value) {
  return set(context, "server.listen", value);
}

static int take_socket(void *context, const char *value) {
  return set(context, "server.socket", value);
}

static int take_set(void *context, const char *value) {
  const char *equals = strchr(value, '=');
  CLEANUP_FREE char *key = equals == NULL ? NULL : strndup(value, (size_t)(equals - value));
  if (key != NULL) return set(context, key, equals + 1);
  brig__cli_say("--set takes KEY=VALUE, such as --set metrics.port=0");
  return -1;
}

static const struct option_row rows[] = {
    {"--config", 0, "FILE", "the configuration; else AGENT_CONFIG_PATH's, else the usual one",
     take_config, false},
    {"--listen", 0, "HOST:PORT", "where to listen for gRPC: server.listen", take_listen, false},
    {"--socket", 0, "PATH", "a Unix socket to listen on: server.socket", take_socket, false},
    {"--set", 0, "KEY=VALUE", "a key of the configuration", take_set, false},
};

/* 0, or as brig__cli_options() returns. */
static int read_options(struct options *options) {
  const struct option_set set_of = {rows, sizeof rows / sizeof *rows, true};
  int at = brig__cli_options(brig__cli_find("serve"), &set_of, options->config, options,
                             options->argc, options->argv);
  if (at < 0 || at == options->argc) return at < 0 ? at : 0;
  brig__cli_say("serve: there is nothing to be done with \"%s\"", options->argv[at]);
  return -1 - EXIT_BRIG;
}

static int load(void *context, struct brig_config **ret_config, struct brig_error *err) {
  struct options *options = context;
  int rc = brig_config_load(options->file, &options->config, err);
  if (rc < 0) return rc;
  if (read_options(options) < 0) { /* they were right when it started, as they are now */
    brig_config_free(options->config);
    *err = (struct brig_error){.code = BRIG_E_CONFIG, .message = "wrong options"};
    return BRIG_E_CONFIG;
  }
  *ret_config = STEAL_PTR(options->config);
  return 0;
}

static const char *file(void *context) {
  return brig__config_file(((struct options *)context)->file);
}

/* For each connection a descriptor, and for each execution some. */
static void raise_descriptors(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) < 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

static int serve(struct options *options) {
  const struct server_source source = {load, file, options};
  struct server *server = NULL;
  struct brig_error err;
  raise_descriptors();
  int rc = brig__server_open(&source, &server, &err);
  if (rc == 0) rc = brig__server_run(server, &err);
  brig__server_close(server);
  return rc < 0 ? brig__cli_fail(&err) : 0;
}

/* The options are read once by themselves: one of them says where the configuration is. */
int main(int argc, char **argv) {
  struct options options = {.argc = argc, .argv = argv};
  struct brig_error err;
  if (brig_config_defaults(&options.config, &err) < 0) return brig__cli_fail(&err);
  int at = read_options(&options);
  brig_config_free(STEAL_PTR(options.config));
  return at < 0 ? -1 - at : serve(&options);
}
