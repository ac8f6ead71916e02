/* The configuration: precedence, strictness, and files that attack. */
#include <brig/config.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/fd.h"
#include "config/config.h"

static char path[] = "/tmp/brig-config-XXXXXX";

static int make_file(void **state) {
  (void)state;
  strcpy(path, "/tmp/brig-config-XXXXXX");
  unsetenv("AGENT_CONFIG_PATH");
  unsetenv("WASI_MEMORY_LIMIT_MB");
  unsetenv("WASI_TIMEOUT_SECONDS");
  int fd = mkstemp(path);
  return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state) {
  (void)state;
  return unlink(path);
}

static void write_bytes(const char *data, size_t size) {
  FILE *file = fopen(path, "we");
  assert_int_equal(fwrite(data, 1, size, file), size);
  fclose(file);
}

static struct brig_config *load(const char *text) {
  struct brig_config *config = NULL;
  struct brig_error err = {0};
  write_bytes(text, strlen(text));
  if (brig_config_load(path, &config, &err) < 0) fail_msg("%s", err.message);
  return config;
}

static void refuse_bytes(const char *data, size_t size, const char *says) {
  struct brig_config *config = NULL;
  struct brig_error err = {0};
  write_bytes(data, size);
  assert_int_equal(brig_config_load(path, &config, &err), BRIG_E_CONFIG);
  assert_null(config);
  if (strstr(err.message, says) == NULL) fail_msg("\"%s\" does not say \"%s\"", err.message, says);
}

static void refuse(const char *text, const char *says) { refuse_bytes(text, strlen(text), says); }

static void defaults_are_those_of_the_replaced_system(void **state) {
  (void)state;
  struct brig_config *config = load("");
  const struct brig_settings *settings = brig__config_settings(config);
  assert_int_equal(settings->wasi_memory_limit_bytes, 268435456);
  assert_int_equal(settings->wasi_execution_timeout_ms, 30000);
  assert_int_equal(settings->wasi_max_fuel, 1000000000);
  assert_int_equal(settings->wasi_interpreter_max_fuel, 0);
  assert_true(settings->wasi_enable_filesystem);
  assert_int_equal(settings->wasi_allowed_paths.count, 1);
  assert_string_equal(settings->wasi_allowed_paths.items[0], "/tmp");
  brig_config_free(config);
}

static void the_file_the_environment_and_flags_override_in_that_order(void **state) {
  struct brig_config *config = load(
      "wasi:\n  memory_limit_bytes: 512M\n  max_fuel: 7\n"
      "  execution_timeout_secs: 1.5\n  allowed_paths: []\n");
  const struct brig_settings *settings = brig__config_settings(config);
  (void)state;
  assert_int_equal(settings->wasi_memory_limit_bytes, 512 << 20);
  assert_int_equal(settings->wasi_execution_timeout_ms, 1500);
  assert_int_equal(settings->wasi_allowed_paths.count, 0);
  brig_config_free(config);
  setenv("WASI_MEMORY_LIMIT_MB", "64", 1);
  setenv("WASI_TIMEOUT_SECONDS", "2", 1);
  config = load("wasi: {memory_limit_bytes: 512M}");
  settings = brig__config_settings(config);
  assert_int_equal(settings->wasi_memory_limit_bytes, 64 << 20);
  assert_int_equal(settings->wasi_execution_timeout_ms, 2000);
  assert_int_equal(brig_config_set(config, "wasi.memory_limit_bytes", "1g", NULL), 0);
  assert_int_equal(settings->wasi_memory_limit_bytes, 1 << 30);
  brig_config_free(config);
}

static void sections_of_others_are_one_notice(void **state) {
  struct brig_config *config =
      load("llm: {a: [1, {b: c}]}\nfsm: 3\nmemory: ~\nwasi: {max_fuel: 5}\n");
  (void)state;
  const char *notice = brig_config_notice(config, 0);
  assert_non_null(strstr(notice, "llm"));
  assert_non_null(strstr(notice, "memory"));
  assert_null(brig_config_notice(config, 1));
  brig_config_free(config);
}

static void what_is_wrong_is_named_with_its_line(void **state) {
  char expected[64];
  (void)state;
  snprintf(expected, sizeof expected, "%s:3", path);
  refuse("wasi:\n  max_fuel: 1\n  max_feul: 2\n", expected);
  refuse("wasi:\n  max_feul: 2\n", "max_fuel");
  refuse("wasi: {max_fuel: abc}", "abc");
  refuse("wasi: {max_fuel: -1}", "max_fuel");
  refuse("wasi: {max_fuel: 1e20}", "max_fuel");
  refuse("wasi: {max_fuel: [1]}", "max_fuel");
  refuse("wasi: {enable_filesystem: perhaps}", "enable_filesystem");
  refuse("wasi: {allowed_paths: /tmp}", "allowed_paths");
  refuse("wasi: {memory_limit_bytes: 5G}", "memory_limit_bytes");
  refuse("wasi: {execution_timeout_secs: 0}", "execution_timeout_secs");
  refuse("wasi: {max_fuel: 1, max_fuel: 2}", "max_fuel");
  refuse("wasi: {}\nwasi: {}\n", "wasi");
  refuse("wasi: [1]\n", "wasi");
  refuse("- 1\n", "");
  refuse("wasi: {max_fuel: 1}\n---\nwasi: {}\n", "");
  refuse("wasi:\n\tmax_fuel: 1\n", "");
  refuse("wasi: {memory_limit_bytes: 2G}\nceiling: {memory_limit_bytes: 1G}\n", "ceiling");
}

static void files_that_attack_are_refused(void **state) {
  (void)state;
  refuse_bytes("wasi: {max_fuel: \"1\0\"}", 22, "");
  refuse("wasi: {max_fuel: \xff}", "");
  char *deep = malloc(20001);
  memset(deep, '[', 20000);
  deep[20000] = '\0';
  refuse(deep, "");
  free(deep);
  size_t size = (size_t)10 << 20;
  char *large = malloc(size);
  memset(large, '#', size);
  refuse_bytes(large, size, "");
  free(large);
  struct brig_config *config = NULL;
  assert_int_equal(brig_config_load("/tmp", &config, NULL), BRIG_E_CONFIG);
  assert_int_equal(brig_config_load("/no/such/file", &config, NULL), BRIG_E_CONFIG);
}

static void aliases_do_not_multiply(void **state) {
  char text[4096];
  (void)state;
  int used = snprintf(text, sizeof text, "x0: &x0 [a, a, a, a, a, a, a, a, a]\n");
  for (int i = 1; i < 30; i++)
    used += snprintf(text + used, sizeof text - (size_t)used,
                     "x%d: &x%d [*x%d, *x%d, *x%d, *x%d, *x%d, *x%d]\n", i, i, i - 1, i - 1, i - 1,
                     i - 1, i - 1, i - 1);
  struct brig_config *config = NULL;
  write_bytes(text, (size_t)used);
  brig_config_load(path, &config, NULL); /* either way, at once */
  brig_config_free(config);
}

static void the_environment_is_read_strictly(void **state) {
  static const char *const wrong[] = {"12abc", "", "-1", "1e20", " 5", "99999999999999999999"};
  (void)state;
  write_bytes("", 0);
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    struct brig_config *config = NULL;
    struct brig_error err;
    setenv("WASI_MEMORY_LIMIT_MB", wrong[i], 1);
    assert_int_equal(brig_config_load(path, &config, &err), BRIG_E_CONFIG);
    assert_non_null(strstr(err.message, "WASI_MEMORY_LIMIT_MB"));
  }
}

static int see(void *context, const struct brig_config_entry *entry) {
  if (strcmp(entry->key, "wasi.max_fuel") == 0)
    snprintf(context, 128, "%s|%s", entry->value, entry->origin);
  return 0;
}

static void each_value_tells_where_it_is_from(void **state) {
  char seen[128] = "", expected[128];
  (void)state;
  struct brig_config *config = load("wasi:\n  max_fuel: 42\n");
  brig_config_each(config, see, seen);
  snprintf(expected, sizeof expected, "42|%s:2", path);
  assert_string_equal(seen, expected);
  brig_config_set(config, "wasi.max_fuel", "43", NULL);
  brig_config_each(config, see, seen);
  assert_string_equal(seen, "43|flag");
  struct brig_error err;
  assert_int_equal(brig_config_set(config, "wasi.max_feul", "1", &err), BRIG_E_CONFIG);
  brig_config_free(config);
}

static void agent_config_path_names_the_file(void **state) {
  struct brig_config *config = NULL;
  (void)state;
  write_bytes("wasi: {max_fuel: 9}", 19);
  setenv("AGENT_CONFIG_PATH", path, 1);
  assert_int_equal(brig_config_load(NULL, &config, NULL), 0);
  assert_int_equal(brig__config_settings(config)->wasi_max_fuel, 9);
  brig_config_free(config);
  setenv("AGENT_CONFIG_PATH", "/no/such/file", 1);
  assert_int_equal(brig_config_load(NULL, &config, NULL), BRIG_E_CONFIG);
}

static void templates_are_read_by_name(void **state) {
  (void)state;
  struct brig_config *config = load(
      "templates:\n"
      "  named:\n"
      "    pandas:\n"
      "      guest: python-science\n"
      "      preload: |\n"
      "        import numpy\n"
      "        import pandas\n"
      "      environment: [A=b, C=d]\n"
      "      workspace: true\n"
      "    tool: {module: /srv/tool.wasm, arguments: [tool, -x], ready_workers: 4}\n"
      "  seen: 3\n");
  const struct config_templates *named = &brig__config_settings(config)->templates_named;
  assert_int_equal(named->count, 2);
  assert_string_equal(named->items[0].name, "pandas");
  assert_string_equal(named->items[0].preload, "import numpy\nimport pandas\n");
  assert_int_equal(named->items[0].environment.count, 2);
  assert_true(named->items[0].workspace && !named->items[0].memory);
  assert_string_equal(named->items[1].module, "/srv/tool.wasm");
  assert_string_equal(named->items[1].arguments.items[1], "-x");
  assert_int_equal(named->items[1].ready_workers, 4);
  struct brig_config *copy = NULL;
  assert_int_equal(brig__config_copy(config, &copy, NULL), 0);
  brig_config_free(config);
  assert_string_equal(brig__config_settings(copy)->templates_named.items[1].name, "tool");
  assert_int_equal(brig_config_set(copy, "templates.named", "", NULL), 0);
  assert_int_equal(brig__config_settings(copy)->templates_named.count, 0);
  brig_config_free(copy);
}

static void what_is_wrong_with_a_template_is_named(void **state) {
  (void)state;
#define NAMED(text) "templates:\n  named: " text "\n"
  refuse(NAMED("[]"), ":2: templates.named: expected in a file, a mapping");
  refuse(NAMED("{a: {}}"), "template \"a\": it needs one of `guest` and `module`");
  refuse(NAMED("{a: {guest: x, module: /x}}"), "it needs one of");
  refuse(NAMED("{a: {guest: x, guest: y}}"), "guest is given twice");
  refuse(NAMED("{a: {guest: x}, a: {guest: y}}"), "\"a\" is given twice");
  refuse(NAMED("{a: {guest: x, speed: 1}}"), "no key \"speed\"");
  refuse(NAMED("{a: {guest: x, ready_workers: 65}}"), "from 0 to 64");
  refuse(NAMED("{a: {module: x}}"), "an absolute path");
  refuse(NAMED("{a: {module: /x, preload: y}}"), "`preload` is for a `guest`");
  refuse(NAMED("{a: {guest: x, environment: [HOME]}}"), "a list of NAME=value");
  refuse(NAMED("{a: [b]}"), "expected a template's keys, got a list");
  refuse(NAMED("{a b: {guest: x}}"), "a template's name");
  refuse(NAMED("{a: {guest: x, preload: \"a\\0b\"}}"), "0 byte");
#undef NAMED
}

static void a_key_whose_name_others_begin_with_is_a_key(void **state) {
  (void)state;
  struct brig_config *config = load("session: {store: /a/b, store_bytes: 5M}\n");
  const struct brig_settings *settings = brig__config_settings(config);
  assert_string_equal(settings->session_store, "/a/b");
  assert_int_equal(settings->session_store_bytes, 5 << 20);
  brig_config_free(config);
}

static void socket_is(const char *configured, const char *where) {
  struct brig_config *config = load("wasi: {}\n");
  CLEANUP_FREE char *found = NULL;
  assert_int_equal(brig_config_set(config, "server.socket", configured, NULL), 0);
  assert_int_equal(brig__config_socket(config, &found, NULL), 0);
  if (where == NULL)
    assert_null(found);
  else
    assert_string_equal(found, where);
  brig_config_free(config);
}

static void a_socket_is_where_both_sides_find_it(void **state) {
  struct brig_error err;
  char *untouched = NULL;
  (void)state;
  unsetenv("STATE_DIRECTORY");
  setenv("XDG_STATE_HOME", "/state", 1);
  socket_is("", "/state/brig/brig.sock");
  socket_is("/x/y", "/x/y");
  socket_is("none", NULL);
  setenv("STATE_DIRECTORY", "/var/lib/brig:/other", 1);
  socket_is("", "/var/lib/brig/brig.sock");
  unsetenv("STATE_DIRECTORY");
  unsetenv("XDG_STATE_HOME");
  struct brig_config *config = load("server: {socket: relative}\n");
  assert_int_equal(brig__config_socket(config, &untouched, &err), BRIG_E_CONFIG);
  assert_non_null(strstr(err.message, "server.socket"));
  assert_null(untouched);
  brig_config_free(config);
}

static void files_of_the_replaced_system_load(void **state) {
  (void)state;
  struct brig_config *config = load(
      "tools: {default_timeout_secs: 60, max_concurrent_executions: 5, enable_caching: true,\n"
      "        cache_ttl_secs: 300}\n"
      "python_executor:\n"
      "  mode: firecracker\n"
      "  firecracker: {kernel: {path: /x}}\n"
      "  wasi: {memory_limit_mb: 512, timeout_seconds: 60}\n"
      "  workspace: {base: [a, {b: c}]}\n"
      "  guest: python@3.12.0\n");
  const struct brig_settings *settings = brig__config_settings(config);
  assert_int_equal(settings->tools_max_concurrent_executions, 5);
  assert_int_equal(settings->python_executor_wasi_memory_limit_mb, 512);
  assert_int_equal(settings->python_executor_wasi_timeout_seconds, 60);
  assert_string_equal(settings->python_executor_guest, "python@3.12.0");
  assert_non_null(strstr(brig_config_notice(config, 0), ":1: tools.default_timeout_secs"));
  assert_non_null(strstr(brig_config_notice(config, 3), ":4: python_executor.mode says nothing"));
  assert_non_null(brig_config_notice(config, 5));
  assert_null(brig_config_notice(config, 6));
  brig_config_free(config);
  config = load("session: {store: /a, store_bytes: 1G}\n"); /* which begin alike by chance */
  assert_string_equal(brig__config_settings(config)->session_store, "/a");
  brig_config_free(config);
  refuse("session: {store: {bytes: 1G}}", "session.store");
  refuse("python_executor: {wasi: 5}", "python_executor.wasi: expected keys with values");
  refuse("python_executor: {wasi: {memory: 5}}", "unknown key \"python_executor.wasi_memory\"");
  refuse("python_executor: {wasi: {timeout_seconds: 5}, wasi_timeout_seconds: 6}", "given twice");
  refuse("tools: {enable_caching: [}", "");
}

static int see_threshold(void *context, const struct brig_config_entry *entry) {
  if (strcmp(entry->key, "enforcement.circuit_breaker_error_threshold") == 0)
    snprintf(context, 16, "%s", entry->value);
  return 0;
}

static void enforcement_of_the_replaced_system_loads(void **state) {
  (void)state;
  const char *text =
      "enforcement: {per_request_timeout_secs: 90, per_request_max_tokens: 100,\n"
      "  rate_limit_per_key_rps: 3, circuit_breaker_error_threshold: 0.25,\n"
      "  circuit_breaker_rolling_window_secs: 60, circuit_breaker_min_requests: 7,\n"
      "  rate_redis_url: \"redis://u:p@r\", rate_redis_prefix: x, rate_redis_ttl_secs: 60}\n"
      "metrics: {port: 9000, enable_detailed: true, collection_interval_secs: 60}\n";
  struct brig_config *config = load(text);
  const struct brig_settings *settings = brig__config_settings(config);
  assert_int_equal(settings->enforcement_per_request_timeout_ms, 90000);
  assert_int_equal(settings->enforcement_circuit_breaker_error_threshold_permille, 250);
  assert_int_equal(settings->enforcement_circuit_breaker_rolling_window_ms, 60000);
  assert_int_equal(settings->metrics_port, 9000);
  assert_non_null(strstr(brig_config_notice(config, 0), "enforcement.rate_redis_url"));
  for (unsigned i = 0; brig_config_notice(config, i) != NULL; i++)
    assert_null(strstr(brig_config_notice(config, i), "u:p")); /* may be a password */
  brig_config_free(config);
  setenv("ENFORCE_CB_ERROR_THRESHOLD", "0.125", 1);
  setenv("ENFORCE_RATE_RPS", "9", 1);
  setenv("ENFORCE_RATE_REDIS_URL", "", 1);
  setenv("WORKSPACE_MAX_SIZE_MB", "2", 1);
  config = load(text);
  settings = brig__config_settings(config);
  assert_int_equal(settings->enforcement_circuit_breaker_error_threshold_permille, 125);
  char seen[16] = "";
  brig_config_each(config, see_threshold, seen);
  assert_string_equal(seen, "0.125");
  assert_int_equal(settings->enforcement_rate_limit_per_key_rps, 9);
  assert_int_equal(settings->session_workspace_bytes, 2 << 20);
  assert_non_null(strstr(brig_config_notice(config, 5), "ENFORCE_RATE_REDIS_URL says nothing"));
  brig_config_free(config);
  unsetenv("ENFORCE_CB_ERROR_THRESHOLD");
  unsetenv("ENFORCE_RATE_RPS");
  unsetenv("ENFORCE_RATE_REDIS_URL");
  unsetenv("WORKSPACE_MAX_SIZE_MB");
  refuse("enforcement: {circuit_breaker_error_threshold: 1.5}", "a number from 0.001 to 1,");
  refuse("enforcement: {circuit_breaker_error_threshold: 0}", "a number from 0.001 to 1,");
  refuse("enforcement: {circuit_breaker_error_threshold: \"0.5\"}", "in quotes");
}

static void the_documentation_is_what_the_table_says(void **state) {
  const char *program = getenv("BRIG_CONFIGURATION_DOC");
  char command[512];
  (void)state;
  if (program == NULL) skip();
  snprintf(command, sizeof command, "%s | cmp - docs/configuration.md", program);
  assert_int_equal(system(command), 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, make_file, remove_file)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(defaults_are_those_of_the_replaced_system),
      TEST(the_file_the_environment_and_flags_override_in_that_order),
      TEST(sections_of_others_are_one_notice),
      TEST(what_is_wrong_is_named_with_its_line),
      TEST(files_that_attack_are_refused),
      TEST(aliases_do_not_multiply),
      TEST(the_environment_is_read_strictly),
      TEST(each_value_tells_where_it_is_from),
      TEST(agent_config_path_names_the_file),
      TEST(templates_are_read_by_name),
      TEST(what_is_wrong_with_a_template_is_named),
      TEST(a_key_whose_name_others_begin_with_is_a_key),
      TEST(a_socket_is_where_both_sides_find_it),
      TEST(files_of_the_replaced_system_load),
      TEST(enforcement_of_the_replaced_system_loads),
      TEST(the_documentation_is_what_the_table_says),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
