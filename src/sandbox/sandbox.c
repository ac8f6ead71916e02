#include "sandbox/sandbox_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include "base/error.h"
#include "base/fd.h"
#include "sandbox/turn.h"

int brig__strings_take(struct strings *strings, char *text) {
  char **items =
      text == NULL ? NULL : realloc(strings->items, (strings->count + 2) * sizeof *items);
  if (items == NULL) {
    free(text);
    return -ENOMEM;
  }
  items[strings->count++] = text;
  items[strings->count] = NULL;
  strings->items = items;
  return 0;
}

void brig__strings_free(struct strings *strings) {
  for (size_t i = 0; i < strings->count; i++) free(strings->items[i]);
  free(strings->items);
  *strings = (struct strings){0};
}

static uint64_t fuel(uint64_t configured) { return configured == 0 ? BRIG_UNLIMITED : configured; }

static struct limit_policy make_policy(const struct brig_settings *settings) {
  struct limit_policy policy = {.defaults = BRIG_LIMITS_INIT, .ceilings = BRIG_LIMITS_INIT};
  policy.interpreter_fuel = fuel(settings->wasi_interpreter_max_fuel);
  policy.defaults.timeout_ms = settings->wasi_execution_timeout_ms;
  policy.defaults.memory_bytes = settings->wasi_memory_limit_bytes;
  policy.defaults.fuel = fuel(settings->wasi_max_fuel);
  policy.defaults.stdout_bytes = settings->wasi_stdout_limit_bytes;
  policy.defaults.stderr_bytes = settings->wasi_stderr_limit_bytes;
  policy.defaults.quota_bytes = settings->wasi_quota_bytes;
  policy.defaults.quota_files = settings->wasi_quota_files;
  policy.defaults.table_elements = settings->wasi_table_elements;
  policy.defaults.instances = settings->wasi_instances;
  policy.defaults.tables = settings->wasi_tables;
  policy.defaults.memories = settings->wasi_memories;
  policy.defaults.open_files = settings->wasi_open_files;
  policy.ceilings.timeout_ms = settings->ceiling_execution_timeout_ms;
  policy.ceilings.memory_bytes = settings->ceiling_memory_limit_bytes;
  policy.ceilings.fuel = fuel(settings->ceiling_max_fuel);
  policy.ceilings.stdout_bytes = settings->ceiling_output_limit_bytes;
  policy.ceilings.stderr_bytes = settings->ceiling_output_limit_bytes;
  policy.ceilings.quota_bytes = settings->ceiling_quota_bytes;
  policy.ceilings.quota_files = settings->ceiling_quota_files;
  policy.ceilings.table_elements = settings->ceiling_table_elements;
  return policy;
}

static int find_walls(const struct config_list *names, walls_t *ret_walls, struct brig_error *err) {
  walls_t walls = 0;
  for (size_t i = 0; i < names->count; i++) {
    int wall = 0;
    while (wall < JAIL_WALL_COUNT &&
           strcmp(names->items[i], brig__jail_wall_name((enum jail_wall)wall)) != 0)
      wall++;
    if (wall == JAIL_WALL_COUNT)
      return brig__fail(err, BRIG_E_CONFIG, "config",
                        "jail.require: there is no wall \"%s\"; `brig doctor` lists them",
                        names->items[i]);
    walls |= (walls_t)1 << wall;
  }
  *ret_walls = walls;
  return 0;
}

int brig__sandbox_pool_options(const struct brig_settings *settings,
                               struct pool_options *ret_options, char **ret_helper,
                               struct brig_error *err) {
  walls_t required = 0;
  int rc = find_walls(&settings->jail_require, &required, err);
  if (rc == 0) rc = brig__sandbox_helper(settings, ret_helper, err);
  if (rc == 0)
    *ret_options = (struct pool_options){
        .helper = *ret_helper, .uid = (uid_t)settings->jail_uid, .required = required};
  return rc;
}

static int open_templates(struct brig_sandbox *sandbox, const struct pool_options *options,
                          struct brig_error *err) {
  const struct brig_settings *settings = sandbox->settings;
  struct template_policy policy = {.seen = settings->templates_seen,
                                   .ready = (uint32_t)settings->templates_ready_workers,
                                   .memory_bytes = settings->templates_memory_bytes,
                                   .forks_per_zygote = settings->templates_forks_per_zygote,
                                   .timeout_us = settings->templates_start_timeout_ms * 1000};
  return brig__templates_open(options, &policy, &sandbox->templates, err);
}

static int open_queue(struct brig_sandbox *sandbox, struct brig_error *err) {
  const struct brig_settings *settings = sandbox->settings;
  struct queue_policy policy = {.working = settings->pool_max_workers,
                                .waiting = settings->pool_queue_length,
                                .timeout_ms = settings->pool_queue_timeout_ms,
                                .at_work = "requests are at work (pool.max_workers)",
                                .waiting_key = "pool.queue_length"};
  return brig__queue_open(&policy, &sandbox->queue, err);
}

static int start(struct brig_sandbox *sandbox, struct brig_error *err) {
  struct pool_options options;
  CLEANUP_FREE char *helper = NULL;
  CLEANUP_FREE char *cache = NULL;
  int rc = brig__config_check(sandbox->config, err);
  if (rc == 0) rc = brig__config_guests_directory(sandbox->config, &sandbox->guests_directory, err);
  if (rc == 0) rc = brig__config_cache_directory(sandbox->config, &cache, err);
  if (rc == 0) rc = brig__mounts_find_reserved(sandbox, err);
  if (rc == 0) rc = brig__mounts_check_configured(sandbox, err);
  if (rc == 0) rc = brig__sandbox_pool_options(sandbox->settings, &options, &helper, err);
  if (rc == 0 && (sandbox->digests = brig__file_digests_new()) == NULL)
    rc = brig__fail(err, BRIG_E_MEMORY, "start", "out of memory");
  if (rc == 0 && (sandbox->null = open("/dev/null", O_RDONLY | O_CLOEXEC)) < 0)
    rc = brig__fail_errno(err, errno, "start", "/dev/null");
  if (rc == 0) rc = open_queue(sandbox, err);
  if (rc == 0) rc = brig__pool_create(&options, &sandbox->pool, err);
  if (rc == 0 && (sandbox->mapped = brig__mapped_new(brig__pool_id_map(sandbox->pool))) == NULL)
    rc = brig__fail(err, BRIG_E_MEMORY, "start", "out of memory");
  if (rc == 0) rc = open_templates(sandbox, &options, err);
  if (rc == 0)
    rc = brig__module_store_open(sandbox->pool, cache, sandbox->settings->cache_max_bytes,
                                 &sandbox->modules, err);
  if (rc == 0) rc = brig__warm_named(sandbox, err);
  return rc;
}

int brig_sandbox_open(const struct brig_config *config, struct brig_sandbox **ret_sandbox,
                      struct brig_error *err) {
  if (config == NULL) return brig__fail(err, BRIG_E_INVALID, "config", "no configuration given");
  struct brig_sandbox *sandbox = calloc(1, sizeof *sandbox);
  if (sandbox == NULL) return brig__fail(err, BRIG_E_MEMORY, "config", "out of memory");
  sandbox->null = -1;
  int rc = brig__config_copy(config, &sandbox->config, err);
  if (rc == 0) {
    sandbox->settings = brig__config_settings(sandbox->config);
    sandbox->limits = make_policy(sandbox->settings);
    rc = start(sandbox, err);
  }
  if (rc < 0)
    brig_sandbox_close(sandbox);
  else
    *ret_sandbox = sandbox;
  return rc;
}

void brig_sandbox_close(struct brig_sandbox *sandbox) {
  if (sandbox == NULL) return;
  brig__templates_close(sandbox->templates);
  brig__module_store_close(sandbox->modules);
  brig__mapped_free(sandbox->mapped);
  brig__pool_destroy(sandbox->pool);
  if (sandbox->null >= 0) close(sandbox->null);
  brig__queue_close(sandbox->queue);
  brig__file_digests_free(sandbox->digests);
  brig__strings_free(&sandbox->notices);
  brig__strings_free(&sandbox->reserved);
  free(sandbox->guests_directory);
  brig_config_free(sandbox->config);
  free(sandbox);
}

const char *brig_sandbox_notice(const struct brig_sandbox *sandbox, unsigned index) {
  return index < sandbox->notices.count ? sandbox->notices.items[index] : NULL;
}

void brig_sandbox_counts(struct brig_sandbox *sandbox, struct brig_counts *counts) {
  uint64_t templates = brig__templates_warm_count(sandbox->templates);
  struct brig_counts known = {.size = counts->size,
                              .working = brig__queue_working(sandbox->queue),
                              .waiting = brig__queue_waiting(sandbox->queue),
                              .zygotes = templates + brig__pool_is_up(sandbox->pool),
                              .templates = templates,
                              .zygotes_died = brig__pool_died(sandbox->pool) +
                                              brig__templates_died(sandbox->templates)};
  memcpy(counts, &known, counts->size < sizeof known ? counts->size : sizeof known);
}

int brig_cancel_new(struct brig_cancel **ret_cancel, struct brig_error *err) {
  struct brig_cancel *cancel = malloc(sizeof *cancel);
  if (cancel == NULL) return brig__fail(err, BRIG_E_MEMORY, "cancel", "out of memory");
  cancel->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (cancel->fd < 0) {
    free(cancel);
    return brig__fail_errno(err, errno, "cancel", "an event descriptor");
  }
  *ret_cancel = cancel;
  return 0;
}

void brig_cancel_trigger(struct brig_cancel *cancel) {
  int saved = errno; /* may run in a signal handler */
  eventfd_write(cancel->fd, 1);
  errno = saved;
}

int brig__cancel_fd(const struct brig_cancel *cancel) { return cancel == NULL ? -1 : cancel->fd; }

void brig_cancel_free(struct brig_cancel *cancel) {
  if (cancel == NULL) return;
  close(cancel->fd);
  free(cancel);
}
