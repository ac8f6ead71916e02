/* pool/module_store.h - compiled modules: in memory, else from the disk, else
 * compiled by a worker, once however many ask. Runs in the host, any thread. */
#ifndef BRIG_POOL_MODULE_STORE_H
#define BRIG_POOL_MODULE_STORE_H

#include "pool/code_cache.h"
#include "pool/pool.h"

struct module_store;

int brig__module_store_open(struct pool *pool, const char *directory, uint64_t max_bytes,
                            struct module_store **ret_store, struct brig_error *err);
void brig__module_store_close(struct module_store *store);

struct module_request {
  struct brig_digest digest; /* of the module's bytes */
  struct engine_settings settings;
  /* Called if it must be compiled: the bytes, in a sealed memfd that is then the
   * store's. A descriptor, or an error. */
  int (*bytes)(void *context, struct brig_error *err);
  void *context;
  uint64_t memory_bytes, timeout_us; /* for the compiler */
  int cancel_fd;                     /* or -1 */
};

/* Compiled code. Let go of it with brig__code_release(). */
struct code {
  int fd; /* sealed */
  struct module_facts facts;
  bool cached; /* it did not have to be compiled for this caller */
  void *entry;
};

/* 0; BRIG_E_MODULE, BRIG_E_COMPILE...; BRIG__CANCELLED. */
int brig__module_store_get(struct module_store *store, const struct module_request *request,
                           struct code *ret_code, struct brig_error *err);
void brig__code_release(struct module_store *store, struct code *code);

#endif
