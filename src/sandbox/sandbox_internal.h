/* sandbox/sandbox_internal.h - shared by the files of sandbox/ alone. */
#ifndef BRIG_SANDBOX_INTERNAL_H
#define BRIG_SANDBOX_INTERNAL_H

#include <brig/sandbox.h>
#include <stdbool.h>
#include "config/config.h"
#include "guest/guest.h"
#include "limits/limits.h"
#include "pool/module_store.h"
#include "pool/pool.h"
#include "pool/templates.h"
#include "sandbox/file_digests.h"
#include "sandbox/mapped.h"
#include "sandbox/queue.h"

/* A list of strings of its own. */
struct strings {
  char **items; /* NULL-terminated, or NULL */
  size_t count;
};
/* `text` is fresh memory, or NULL for want of it; it is the list's from now on.
 * 0 or -ENOMEM. */
int brig__strings_take(struct strings *strings, char *text);
void brig__strings_free(struct strings *strings);

struct brig_sandbox {
  struct brig_config *config;
  const struct brig_settings *settings;
  struct limit_policy limits;
  char *guests_directory;
  struct strings reserved;  /* directories of Brig's own, canonical */
  size_t reserved_writable; /* the first so many may hold no mount at all */
  struct strings notices;
  struct queue *queue;
  int null; /* /dev/null, for those without input */
  struct pool *pool;
  struct module_store *modules;
  struct file_digests *digests;
  struct mapped *mapped;
  struct templates *templates;
};

struct brig_cancel {
  int fd; /* an eventfd: readable once triggered */
};

/* What brig-helper to start: fresh memory. */
int brig__sandbox_helper(const struct brig_settings *settings, char **ret_path,
                         struct brig_error *err);

/* pool_options from the configuration; `ret_helper` keeps the path alive. */
int brig__sandbox_pool_options(const struct brig_settings *settings,
                               struct pool_options *ret_options, char **ret_helper,
                               struct brig_error *err);

/* mounts.c: the directories of one execution, opened. */
/* Stands for a directory that requests will have: what is prepared has its name only. */
extern const char brig__any_directory[];
struct mounts {
  struct {
    int fd; /* -1: any */
    char *name;
    bool read_write;
    bool of_guest; /* the interpreter's own: the same for all its executions */
  } items[WIRE_MAX_MOUNTS];
  size_t count;
};
/* Opens nothing that it does not also close: brig__mounts_close() after either end. */
int brig__mounts_open(struct brig_sandbox *sandbox, const struct brig_request *request,
                      const struct guest *guest, struct mounts *ret_mounts, struct brig_error *err);
void brig__mounts_close(struct mounts *mounts);

/* At start: the configured paths, warnings into the sandbox's notices. */
int brig__mounts_check_configured(struct brig_sandbox *sandbox, struct brig_error *err);
int brig__mounts_find_reserved(struct brig_sandbox *sandbox, struct brig_error *err);

/* module.c: what a request names, looked at and known by its digest. */
struct module {
  const struct guest *guest; /* NULL: a module of the request's */
  char *path;                /* NULL: bytes */
  const void *bytes;
  size_t size;
  int fd; /* the file, once it is open, or -1 */
  struct brig_digest digest;
};
/* `module` has nothing yet, or its guest and path. */
int brig__module_open(const struct brig_sandbox *sandbox, const struct brig_request *request,
                      struct module *module, struct brig_error *err);
/* Sealed bytes of it, for module_request.bytes. */
int brig__module_bytes(void *module, struct brig_error *err);
void brig__module_close(struct module *module);

/* task.c: what a worker gets beside its descriptors. */
struct task_block { /* strings, each with its 0 byte */
  char *data;
  size_t size, capacity;
  int error;
};
struct task_source {
  const struct brig_request *request;
  bool driven;  /* the guest's driver is to run a program, */
  bool session; /* or its session's driver turns */
  const struct module *module;
  const struct mounts *mounts;
  const char *preload; /* for a template: code that its driver runs first, or NULL */
};
/* Arguments, environment, entries and mounts; their counts go into the task. */
int brig__task_block(const struct task_source *source, struct wire_task *task,
                     struct task_block *ret_block, struct brig_error *err);
/* What a guest's driver is to run. */
struct program {
  const char *text; /* NULL: nothing; no 0 byte in it */
  size_t size;
  const char *name;        /* NULL: it has none */
  const char *const *argv; /* NULL: "-c" */
};
/* All of it, as the driver reads it. */
int brig__task_program(const struct program *program, struct task_block *ret_block,
                       struct brig_error *err);
/* The block as a sealed memfd; it is freed. */
int brig__task_memfd(struct task_block *block, struct brig_error *err);
void brig__task_block_free(struct task_block *block);

/* warm.c: which executions may go on from a template, and from which. */
struct template_kind {
  const struct module *module;
  const struct wire_task *task;
  const struct task_block *strings;
  const char *tenant;
};
bool brig__warm_possible(const struct brig_sandbox *sandbox, const struct template_kind *kind);
int brig__warm_key(const struct template_kind *kind, struct brig_digest *ret_key);
struct brig_limits brig__warm_limits(const struct brig_sandbox *sandbox,
                                     const struct brig_limits *request);
/* Code for the driver of such a template, the manifest's and the operator's: fresh
 * memory, or NULL for want of it. */
char *brig__warm_preload(const struct brig_sandbox *sandbox, const struct guest *guest,
                         const char *const *environment);
/* Start the templates that the configuration names. One that cannot be made is a
 * notice: its program runs without. */
int brig__warm_named(struct brig_sandbox *sandbox, struct brig_error *err);

/* execute.c: start the template that such requests go on from, and wait for it.
 * `ready` workers, or as many as is usual. */
int brig__execution_warm(struct brig_sandbox *sandbox, const struct brig_request *request,
                         uint32_t ready, struct brig_error *err);

/* result.c */
struct sink {
  const struct brig_request *request;
  struct brig_result *result;
  uint64_t limits[2];
  struct turn *turn; /* whose reply it is, or NULL */
  bool out_of_memory;
};
struct brig_result *brig__result_new(void);
/* Before it started. */
void brig__result_cancelled(struct brig_result *result);
void brig__sink_output(void *sink, int stream, const void *data, size_t size);
/* How it ended, from what the worker said and the zygote saw. A negative code if
 * it was not the guest that failed. */
int brig__result_fill(struct brig_result *result, const struct pool_call *call,
                      const struct pool_end *end, uint64_t asked_us, struct brig_error *err);

#endif
