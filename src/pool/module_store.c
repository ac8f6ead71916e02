#include "pool/module_store.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/thread.h"
#include "pool/processor.h"

/* How many modules' code is held in memory when nobody uses it. */
#define KEPT 16

enum state { MAKING, READY, FAILED };

struct entry {
  struct entry *next; /* the most recently used comes first */
  struct brig_digest key;
  enum state state;
  unsigned users;
  int fd;
  struct module_facts facts;
  struct brig_error error; /* FAILED: for those who waited */
};

struct module_store {
  struct pool *pool;
  struct code_cache *cache;
  struct brig_digest processor;
  pthread_mutex_t lock; /* of all entries */
  pthread_cond_t changed;
  struct entry *entries;
};

int brig__module_store_open(struct pool *pool, const char *directory, uint64_t max_bytes,
                            struct module_store **ret_store, struct brig_error *err) {
  struct module_store *store = calloc(1, sizeof *store);
  if (store == NULL) return brig__fail(err, BRIG_E_MEMORY, "config", "out of memory");
  store->pool = pool;
  int rc = brig__processor_digest(&store->processor);
  if (rc < 0) brig__fail_errno(err, -rc, "config", "/proc/cpuinfo");
  if (rc == 0) rc = brig__code_cache_open(directory, max_bytes, &store->cache, err);
  if (rc < 0) {
    free(store);
    return rc;
  }
  pthread_mutex_init(&store->lock, NULL);
  brig__condition_init(&store->changed);
  *ret_store = store;
  return 0;
}

static void free_entry(struct entry *entry) {
  if (entry->fd >= 0) close(entry->fd);
  free(entry);
}

void brig__module_store_close(struct module_store *store) {
  if (store == NULL) return;
  while (store->entries != NULL) {
    struct entry *entry = store->entries;
    store->entries = entry->next;
    free_entry(entry);
  }
  brig__code_cache_close(store->cache);
  pthread_cond_destroy(&store->changed);
  pthread_mutex_destroy(&store->lock);
  free(store);
}

/* Code depends on the module, the settings, the engine and the processor. */
static int make_key(const struct module_store *store, const struct module_request *request,
                    struct brig_digest *ret_key) {
  struct {
    struct brig_digest module, processor;
    struct engine_settings settings;
    char engine[sizeof((struct wire_hello *)NULL)->engine];
  } material;
  memset(&material, 0, sizeof material);
  material.module = request->digest;
  material.processor = store->processor;
  material.settings = request->settings;
  memcpy(material.engine, brig__pool_hello(store->pool)->engine, sizeof material.engine);
  return brig__digest_repeated(&material, sizeof material, ret_key);
}

static bool cancelled(int cancel_fd) {
  struct pollfd cancel = {.fd = cancel_fd, .events = POLLIN};
  return cancel_fd >= 0 && poll(&cancel, 1, 0) > 0;
}

/* A worker that was killed says nothing: its end tells which limit it met. */
static int explain(const struct module_request *request, const struct pool_end *end,
                   struct brig_error *err) {
  if (end->exit.cause == WIRE_CAUSE_CANCELLED) return BRIG__CANCELLED;
  double seconds = (double)request->timeout_us / 1e6;
  if (end->exit.cause == WIRE_CAUSE_DEADLINE ||
      (WIFSIGNALED(end->exit.wait_status) && WTERMSIG(end->exit.wait_status) == SIGXCPU))
    return brig__fail(err, BRIG_E_COMPILE, "compile",
                      "the module did not compile in %.3g s (compile.timeout_secs)", seconds);
  if (end->reported && end->report.kind == WIRE_FAILED) {
    if (err != NULL) *err = end->report.error;
    if (err != NULL) err->message[sizeof err->message - 1] = '\0';
    return end->report.error.code < 0 ? end->report.error.code : BRIG_E_COMPILE;
  }
  return brig__fail(err, BRIG_E_COMPILE, "compile",
                    "the compiler was ended by signal %d, most likely for want of memory: it has "
                    "%llu MiB (compile.memory_limit_bytes)",
                    WTERMSIG(end->exit.wait_status),
                    (unsigned long long)(request->memory_bytes >> 20));
}

static int compile(struct module_store *store, const struct module_request *request,
                   struct entry *entry, struct brig_error *err) {
  CLEANUP_FD int bytes = request->bytes(request->context, err);
  if (bytes < 0) return bytes;
  CLEANUP_FD int code = brig__memfd(WIRE_CODE_NAME);
  CLEANUP_FD int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (code < 0 || null < 0) return brig__fail_errno(err, errno, "compile", "a file for the code");
  struct pool_call call = {
      .task = {.magic = WIRE_MAGIC,
               .operation = WIRE_COMPILE,
               .settings = request->settings,
               .timeout_us = request->timeout_us,
               .memory_bytes = request->memory_bytes},
      .fds = {-1, -1, bytes, code, null},
      .fd_count = WIRE_FD_COMMON,
      .cancel_fd = request->cancel_fd,
  };
  struct pool_end end;
  int rc = brig__pool_call(store->pool, &call, &end, err);
  if (rc < 0) return rc;
  if (!end.reported || end.report.kind != WIRE_COMPILED) return explain(request, &end, err);
  rc = brig__seal(code);
  if (rc < 0) return brig__fail_errno(err, -rc, "compile", "sealing the code");
  entry->facts = end.report.facts;
  /* A full disk costs the next process time, not this one its code. */
  brig__code_cache_store(store->cache, &entry->key, code, &entry->facts);
  entry->fd = STEAL_FD(code);
  return 0;
}

static int make(struct module_store *store, const struct module_request *request,
                struct entry *entry, bool *ret_cached, struct brig_error *err) {
  entry->fd = brig__code_cache_load(store->cache, &entry->key, &entry->facts);
  *ret_cached = entry->fd >= 0;
  return entry->fd >= 0 ? 0 : compile(store, request, entry, err);
}

static struct entry *find(struct module_store *store, const struct brig_digest *key) {
  for (struct entry **at = &store->entries; *at != NULL; at = &(*at)->next) {
    struct entry *entry = *at;
    if (entry->state == FAILED || memcmp(&entry->key, key, sizeof *key) != 0) continue;
    *at = entry->next;
    entry->next = store->entries;
    return store->entries = entry;
  }
  return NULL;
}

/* Forget what nobody uses: failures at once, code when there is enough of it. */
static void trim(struct module_store *store) {
  unsigned idle = 0;
  for (struct entry **at = &store->entries; *at != NULL;) {
    struct entry *entry = *at;
    bool leaves = entry->users == 0 && (entry->state == FAILED || ++idle > KEPT);
    if (!leaves) {
      at = &entry->next;
      continue;
    }
    *at = entry->next;
    free_entry(entry);
  }
}

static void wait_for_change(struct module_store *store) {
  uint64_t until_us = brig__now_us() + 50 * 1000; /* a cancelled caller looks up this often */
  brig__condition_wait(&store->changed, &store->lock, until_us);
}

/* With the lock: wait until another's compilation is over. */
static int wait_until_made(struct module_store *store, const struct module_request *request,
                           struct entry *entry, struct brig_error *err) {
  while (entry->state == MAKING) {
    if (cancelled(request->cancel_fd)) return BRIG__CANCELLED;
    wait_for_change(store);
  }
  if (entry->state == READY) return 0;
  if (err != NULL) *err = entry->error;
  return entry->error.code;
}

/* With the lock, which is let go of meanwhile. */
static int make_unlocked(struct module_store *store, const struct module_request *request,
                         struct entry *entry, bool *ret_cached, struct brig_error *err) {
  struct brig_error error = {0};
  pthread_mutex_unlock(&store->lock);
  int rc = make(store, request, entry, ret_cached, &error);
  pthread_mutex_lock(&store->lock);
  entry->state = rc == 0 ? READY : FAILED;
  if (rc == BRIG__CANCELLED) /* this caller's wish, not the others' */
    brig__fail(&error, BRIG_E_BUSY, "compile", "another request's compilation was cancelled");
  entry->error = error;
  if (rc < 0 && err != NULL) *err = error;
  pthread_cond_broadcast(&store->changed);
  return rc;
}

static struct entry *add(struct module_store *store, const struct brig_digest *key) {
  struct entry *entry = calloc(1, sizeof *entry);
  if (entry == NULL) return NULL;
  *entry = (struct entry){.next = store->entries, .key = *key, .state = MAKING, .fd = -1};
  return store->entries = entry;
}

int brig__module_store_get(struct module_store *store, const struct module_request *request,
                           struct code *ret_code, struct brig_error *err) {
  struct brig_digest key;
  bool cached = true;
  int rc = make_key(store, request, &key);
  if (rc < 0) return brig__fail_errno(err, -rc, "compile", "the module's key");
  pthread_mutex_lock(&store->lock);
  struct entry *entry = find(store, &key);
  bool first = entry == NULL;
  if (first) entry = add(store, &key);
  if (entry == NULL) {
    pthread_mutex_unlock(&store->lock);
    return brig__fail(err, BRIG_E_MEMORY, "compile", "out of memory");
  }
  entry->users++;
  rc = first ? make_unlocked(store, request, entry, &cached, err)
             : wait_until_made(store, request, entry, err);
  if (rc == 0)
    *ret_code = (struct code){entry->fd, entry->facts, cached, entry};
  else
    entry->users--;
  trim(store);
  pthread_mutex_unlock(&store->lock);
  return rc;
}

void brig__code_release(struct module_store *store, struct code *code) {
  if (code->entry == NULL) return;
  pthread_mutex_lock(&store->lock);
  ((struct entry *)code->entry)->users--;
  trim(store);
  pthread_mutex_unlock(&store->lock);
  *code = (struct code){.fd = -1};
}
