/* pool/code_cache.h - compiled code on disk: one file a module and setting, in a
 * directory that only its user can write. Runs in the host, any thread; several
 * processes may share the directory. What is in it is trusted like a program. */
#ifndef BRIG_POOL_CODE_CACHE_H
#define BRIG_POOL_CODE_CACHE_H

#include <brig/error.h>
#include "base/digest.h"
#include "engine/facts.h"

struct code_cache;

/* Make the directory if need be. BRIG_E_CONFIG if others may write to it. */
int brig__code_cache_open(const char *directory, uint64_t max_bytes, struct code_cache **ret_cache,
                          struct brig_error *err);
void brig__code_cache_close(struct code_cache *cache);

/* A sealed copy of the code in memory: a descriptor, or -ENOENT or another
 * -errno. Marks the file as used. */
int brig__code_cache_load(struct code_cache *cache, const struct brig_digest *key,
                          struct module_facts *ret_facts);

/* Keep code that is in `code_fd`, at once or not at all, then remove what has
 * not been used for longest, down to the bound. 0 or -errno. */
int brig__code_cache_store(struct code_cache *cache, const struct brig_digest *key, int code_fd,
                           const struct module_facts *facts);

#endif
