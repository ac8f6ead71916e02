/* session/store.h - where sessions are kept: those that are not live, and checkpoints of
 * those that are. One interface; in memory, or in a file that outlives the host.
 *
 * A store may be used by any threads at once. The file may be used by several processes at
 * once, on one machine (no network file system): brig's command line beside a server. Who
 * waits for another process longer than `busy_ms` gets BRIG_E_BUSY, and may try again.
 *
 * After fork() a store is its parent's: until exec() or _exit() the child does not use it, nor
 * close it, nor open the same file (SQLite takes the parent's locks for the child's).
 *
 * Every call is atomic. In the file it is durable when it returns: whatever ends the process or
 * the machine, a put is there whole or not at all. What is in memory ends with its process.
 */
#ifndef BRIG_SESSION_STORE_H
#define BRIG_SESSION_STORE_H

#include <brig/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { STORE_OWNER_MAX = 512, STORE_ID_MAX = 128, STORE_GUEST_MAX = 128 };

/* Owner and id together are the key: who asks with another owner finds nothing. */
struct session_record {
  const char *owner;            /* opaque, may be empty, any bytes but 0 */
  const char *id;               /* not empty */
  const char *guest;            /* the interpreter: "python@3.13.5" */
  uint64_t created_us, used_us; /* CLOCK_REALTIME */
  uint64_t turns;
  bool has_state; /* false: it is only known to exist, and what follows says nothing */
  size_t state_size;
  const void *state; /* the guest's bytes: hostile, and not for the host to read */
};

struct store_limits {
  uint64_t max_state_bytes; /* of one record */
  uint64_t max_bytes;       /* of all states together, whoever owns them; 0: no limit */
};

struct store;

int brig__store_memory_open(const struct store_limits *limits, struct store **ret_store,
                            struct brig_error *err);
/* The file is made (0600) with its directories; both must belong to this user and be writable
 * by nobody else. An empty file is a new store. BRIG_E_CONFIG for a file that is not ours to
 * use: a link, another program's, a newer Brig's; BRIG_E_INTEGRITY for one that is damaged,
 * which every call may find. */
int brig__store_sqlite_open(const char *path, const struct store_limits *limits, int busy_ms,
                            struct store **ret_store, struct brig_error *err);
/* Nobody may be in it. Accepts NULL. */
void brig__store_close(struct store *store);

/* Insert the record, or replace all of the one with its key. BRIG_E_TOO_LARGE beyond
 * max_state_bytes, or if max_bytes are less than this state alone; BRIG_E_LIMIT if they are
 * less with the others: nothing leaves by itself, the caller chooses what does. A put that
 * fails changes nothing. */
int brig__store_put(struct store *store, const struct session_record *record,
                    struct brig_error *err);
/* The whole record, in fresh memory: free() ends all of it. BRIG_E_NOT_FOUND. It may be
 * beyond max_state_bytes, if that was more when it was put. */
int brig__store_get(struct store *store, const char *owner, const char *id,
                    struct session_record **ret_record, struct brig_error *err);
/* 0 also if it was not there: several may remove what expired. In the
 * file its bytes are overwritten. */
int brig__store_remove(struct store *store, const char *owner, const char *id,
                       struct brig_error *err);
/* The same, unless it was used since it was `listed`, by whatever process: whether it was there
 * and is gone. */
int brig__store_remove_unused(struct store *store, const struct session_record *listed,
                              bool *ret_removed, struct brig_error *err);

/* A record without its state (`state` is NULL, `state_size` is true). Not 0 ends the list, and
 * is what brig__store_list() returns. */
typedef int store_visit(const struct session_record *record, void *context);

/* The records of `owner` (NULL: of all) last used before `used_before_us` (0: whenever), the one
 * used least recently first, as they were at one moment: `visit` may use the store. */
int brig__store_list(struct store *store, const char *owner, uint64_t used_before_us,
                     store_visit *visit, void *context, struct brig_error *err);
/* How many records `owner` has (NULL: all have). */
int brig__store_count(struct store *store, const char *owner, uint64_t *ret_count,
                      struct brig_error *err);

/* For those who implement a store; what is common to all is in store.c. */

struct record_list {
  struct session_record **records;
  size_t count, capacity;
};

/* As the calls of the same names, which check what they are given before. */
struct store_ops {
  int (*put)(struct store *, const struct session_record *, struct brig_error *);
  /* 0 and NULL: there is none. */
  int (*get)(struct store *, const char *owner, const char *id, struct session_record **ret_record,
             struct brig_error *);
  /* If it was last used then or before. */
  int (*remove)(struct store *, const char *owner, const char *id, uint64_t used_by_us,
                bool *ret_removed, struct brig_error *);
  /* In any order; `used_before_us` is never 0. */
  int (*list)(struct store *, const char *owner, uint64_t used_before_us, struct record_list *,
              struct brig_error *);
  int (*count)(struct store *, const char *owner, uint64_t *ret_count, struct brig_error *);
  void (*close)(struct store *);
};

struct store { /* the first member of each implementation */
  const struct store_ops *ops;
  struct store_limits limits;
};

/* A copy in one block; NULL if there is no memory. */
struct session_record *brig__record_copy(const struct session_record *record);
/* Add a copy without state; false if there is no memory. */
bool brig__record_list_add(struct record_list *list, const struct session_record *record);

int brig__store_no_memory(struct brig_error *err);
int brig__store_is_full(const struct store *store, struct brig_error *err);

#endif
