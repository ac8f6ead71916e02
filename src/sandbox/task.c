#include "sandbox/sandbox_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/fd.h"

/* More than execve() takes; a bound on what a worker copies for itself. */
#define BLOCK_MAX (UINT64_C(16) << 20)

static void append_bytes(struct task_block *block, const char *data, size_t size) {
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

static uint32_t append(struct task_block *block, const char *text) {
  append_bytes(block, text, strlen(text) + 1);
  return 1;
}

static uint32_t append_list(struct task_block *block, const char *const *list) {
  uint32_t count = 0;
  for (; list != NULL && list[count] != NULL; count++) append(block, list[count]);
  return count;
}

/* "NAME=value" as it is; "NAME" with the host's value, or not at all. */
static uint32_t append_variable(struct task_block *block, const char *variable) {
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

/* The driver of turns is given as that of programs is, and told which descriptor its
 * turns come over: the one behind the directories. */
static void append_session(struct task_block *block, const struct task_source *source,
                           struct wire_task *task) {
  const struct guest *guest = source->module->guest;
  char control[16];
  snprintf(control, sizeof control, "%zu", 3 + source->mounts->count);
  task->arguments += append(block, guest->driver[0]);
  task->arguments += append(block, guest->session);
  task->arguments += append(block, control);
}

static void append_arguments(struct task_block *block, const struct task_source *source,
                             struct wire_task *task) {
  const struct guest *guest = source->module->guest;
  if (guest != NULL) task->arguments += append_list(block, guest->arguments);
  if (source->session)
    append_session(block, source, task);
  else if (source->driven)
    task->arguments += append_list(block, guest->driver);
  else
    task->arguments += append_list(block, source->request->argv);
  if (source->preload != NULL) task->arguments += append(block, source->preload);
  if (task->arguments == 0) task->arguments += append(block, base_name(source->module));
}

static void append_environment(struct task_block *block, const struct task_source *source,
                               struct wire_task *task) {
  const struct guest *guest = source->module->guest;
  if (guest != NULL) task->variables += append_list(block, guest->environment);
  for (const char *const *at = source->request->env; at != NULL && *at != NULL; at++)
    task->variables += append_variable(block, *at);
}

static int check(struct task_block *block, const char *what, struct brig_error *err) {
  int error = block->error;
  if (error == 0) return 0;
  brig__task_block_free(block);
  if (error == -E2BIG)
    return brig__fail(err, BRIG_E_INVALID, "request",
                      "%s more than %llu MiB; give large input on standard input", what,
                      (unsigned long long)(BLOCK_MAX >> 20));
  return brig__fail(err, BRIG_E_MEMORY, "request", "out of memory");
}

int brig__task_block(const struct task_source *source, struct wire_task *task,
                     struct task_block *ret_block, struct brig_error *err) {
  static const char *const start[] = {"_start", NULL};
  const struct guest *guest = source->module->guest;
  const struct mounts *mounts = source->mounts;
  struct task_block block = {0};
  task->arguments = task->variables = task->mounts = task->writable = task->placeholders = 0;
  append_arguments(&block, source, task);
  append_environment(&block, source, task);
  task->entries = append_list(&block, guest != NULL ? guest->entry : start);
  for (size_t i = 0; i < mounts->count; i++) {
    task->mounts += append(&block, mounts->items[i].name);
    if (mounts->items[i].read_write) task->writable |= 1u << i;
    if (!mounts->items[i].of_guest) task->placeholders |= 1u << i;
  }
  task->program = source->driven || source->session;
  task->session = source->session;
  int rc = check(&block, "arguments and environment have", err);
  if (rc == 0) *ret_block = block;
  return rc;
}

int brig__task_program(const struct program *program, struct task_block *ret_block,
                       struct brig_error *err) {
  static const char *const by_text[] = {"-c", NULL};
  struct task_block block = {0};
  append(&block, program->name != NULL ? program->name : "<string>");
  append_list(&block, program->argv != NULL ? program->argv : by_text);
  append_bytes(&block, program->text, program->size);
  int rc = check(&block, "the code has", err);
  if (rc == 0) *ret_block = block;
  return rc;
}

int brig__task_memfd(struct task_block *block, struct brig_error *err) {
  int fd = brig__sealed_memfd("brig-task", block->data, block->size);
  brig__task_block_free(block);
  return fd < 0 ? brig__fail_errno(err, -fd, "request", "what the worker is given") : fd;
}

void brig__task_block_free(struct task_block *block) {
  free(block->data);
  *block = (struct task_block){0};
}
