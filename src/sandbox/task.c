#include "sandbox/sandbox_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/fd.h"

/* More than execve() takes; a bound on what a worker copies for itself. */
#define BLOCK_MAX (UINT64_C(16) << 20)

struct block {
  char *data;
  size_t size, capacity;
  int error;
};

static void append_bytes(struct block *block, const char *data, size_t size) {
  if (block->error < 0) return;
  if (block->size + size > BLOCK_MAX) {
    block->error = -E2BIG;
    return;
  }
  if (block->size + size > block->capacity) {
    size_t capacity = 2 * (block->size + size) + 1024;
    char *more = realloc(block->data, capacity);
    if (more == NULL) {
      block->error = -ENOMEM;
      return;
    }
    block->data = more;
    block->capacity = capacity;
  }
  memcpy(block->data + block->size, data, size);
  block->size += size;
}

static uint32_t append(struct block *block, const char *text) {
  append_bytes(block, text, strlen(text) + 1);
  return 1;
}

static uint32_t append_list(struct block *block, const char *const *list) {
  uint32_t count = 0;
  for (; list != NULL && list[count] != NULL; count++) append(block, list[count]);
  return count;
}

/* "NAME=value" as it is; "NAME" with the host's value, or not at all. */
static uint32_t append_variable(struct block *block, const char *variable) {
  if (strchr(variable, '=') != NULL) return append(block, variable);
  const char *value = getenv(variable);
  if (value == NULL) return 0;
  append_bytes(block, variable, strlen(variable));
  append_bytes(block, "=", 1);
  return append(block, value);
}

static const char *base_name(const struct module *module) {
  if (module->path == NULL) return "module";
  const char *slash = strrchr(module->path, '/');
  return slash == NULL ? module->path : slash + 1;
}

static void append_arguments(struct block *block, const struct brig_request *request,
                             const struct module *module, struct wire_task *task) {
  const struct guest *guest = module->guest;
  if (guest != NULL) task->arguments += append_list(block, guest->arguments);
  task->arguments += append_list(block, request->argv);
  if (task->arguments == 0) task->arguments += append(block, base_name(module));
}

static void append_environment(struct block *block, const struct brig_request *request,
                               const struct module *module, struct wire_task *task) {
  if (module->guest != NULL) task->variables += append_list(block, module->guest->environment);
  for (const char *const *at = request->env; at != NULL && *at != NULL; at++)
    task->variables += append_variable(block, *at);
}

int brig__task_block(const struct brig_request *request, const struct module *module,
                     const struct mounts *mounts, struct wire_task *task, struct brig_error *err) {
  static const char *const start[] = {"_start", NULL};
  struct block block = {0};
  append_arguments(&block, request, module, task);
  append_environment(&block, request, module, task);
  task->entries = append_list(&block, module->guest != NULL ? module->guest->entry : start);
  for (size_t i = 0; i < mounts->count; i++) {
    task->mounts += append(&block, mounts->items[i].name);
    if (mounts->items[i].read_write) task->writable |= 1u << i;
  }
  CLEANUP_FREE char *data = block.data;
  if (block.error == -E2BIG)
    return brig__fail(err, BRIG_E_INVALID, "request",
                      "arguments and environment have more than %llu MiB; give large input on "
                      "standard input",
                      (unsigned long long)(BLOCK_MAX >> 20));
  int fd = block.error < 0 ? block.error : brig__sealed_memfd("brig-task", data, block.size);
  return fd < 0 ? brig__fail_errno(err, -fd, "request", "the worker's arguments") : fd;
}
