#include "session/store.h"

#include <errno.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"

#define APPLICATION    "1114794343" /* "Brig" */
#define SCHEMA_VERSION "1"

/* What SQLite may not believe of a file, and how sure it makes of one. */
static const char caution[] =
    "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA synchronous = FULL;"
    "PRAGMA temp_store = MEMORY; PRAGMA secure_delete = ON;";

/* Twice does no harm: two processes may find the same empty file. A size of NULL is no state;
 * the index adds up sizes without a look at the rows. */
static const char schema[] =
    "BEGIN IMMEDIATE;"
    "CREATE TABLE IF NOT EXISTS session ("
    " owner BLOB NOT NULL, id TEXT NOT NULL, guest TEXT NOT NULL, created_us INTEGER NOT NULL,"
    " used_us INTEGER NOT NULL, turns INTEGER NOT NULL, size INTEGER, state BLOB,"
    " PRIMARY KEY (owner, id)) STRICT;"
    "CREATE INDEX IF NOT EXISTS session_used ON session (used_us, size);"
    "PRAGMA application_id = " APPLICATION "; PRAGMA user_version = " SCHEMA_VERSION "; COMMIT;";

/* A rollback journal: before SQLite 3.51.3 processes that share a WAL could lose what was
 * committed. It stays there: to make or truncate one can take longer than the rest of a put. */
static const char journal[] = "PRAGMA journal_mode = PERSIST; PRAGMA journal_size_limit = 1048576;";

enum statement { PUT, GET, REMOVE, LIST, LIST_OF, COUNT, COUNT_OF, STATEMENTS };

/* Parameter n of PUT is column n - 1 of a row. */
enum column { OWNER, ID, GUEST, CREATED, USED, TURNS, SIZE, STATE };
#define COLUMNS "owner, id, guest, created_us, used_us, turns, size"

static const char *const sql[STATEMENTS] = {
    [PUT] = "REPLACE INTO session (" COLUMNS ", state) SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8"
            " WHERE ?9 = 0 OR ifnull(?7, 0) + (SELECT total(size) FROM session)"
            " - (SELECT total(size) FROM session WHERE owner = ?1 AND id = ?2) <= ?9",
    [GET] = "SELECT " COLUMNS ", state FROM session WHERE owner = ?1 AND id = ?2",
    [REMOVE] = "DELETE FROM session WHERE owner = ?1 AND id = ?2 AND used_us <= ?3",
    [LIST] = "SELECT " COLUMNS " FROM session WHERE ?1 IS NULL AND used_us < ?2",
    [LIST_OF] = "SELECT " COLUMNS " FROM session WHERE owner = ?1 AND used_us < ?2",
    [COUNT] = "SELECT count(*) FROM session WHERE ?1 IS NULL",
    [COUNT_OF] = "SELECT count(*) FROM session WHERE owner = ?1",
};

struct sqlite_store {
  struct store base;
  char *path;
  int busy_ms;
  pthread_mutex_t lock; /* of all below */
  sqlite3 *db;
  sqlite3_stmt *statements[STATEMENTS];
  uint64_t busy_until_us;
};

/* SQLite's own waits grow, and whoever puts without a pause keeps out all who wait so. */
static int wait_more(void *context, int waits) {
  struct sqlite_store *store = context;
  if (waits == 0) store->busy_until_us = brig__now_us() + (uint64_t)store->busy_ms * 1000;
  if (brig__now_us() >= store->busy_until_us) return 0;
  usleep(250);
  return 1;
}

static int fail(const struct sqlite_store *store, int code, struct brig_error *err) {
  switch (code) {
    case SQLITE_BUSY:
      return brig__fail(err, BRIG_E_BUSY, "session",
                        "busy: another process has held the session store %s (session.store) for "
                        "%d ms; try again",
                        store->path, store->busy_ms);
    case SQLITE_NOMEM: return brig__store_no_memory(err);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_ERROR: /* as the statements are right, the tables are not */
      return brig__fail(err, BRIG_E_INTEGRITY, "session",
                        "the session store %s (session.store) is damaged (%s): restore it, or move "
                        "it away together with its -journal, and the sessions in it are lost",
                        store->path, sqlite3_errstr(code));
    default:
      return brig__fail_errno(err, sqlite3_system_errno(store->db), "session",
                              "the session store %s (session.store): %s; see to its disk and "
                              "permissions",
                              store->path, sqlite3_errstr(code));
  }
}

/* With the lock, until finish(). */
static sqlite3_stmt *begin(struct sqlite_store *store, enum statement which) {
  pthread_mutex_lock(&store->lock);
  return store->statements[which];
}

static int finish(struct sqlite_store *store, sqlite3_stmt *statement, int code,
                  struct brig_error *err) {
  bool done = code == SQLITE_OK || code == SQLITE_ROW || code == SQLITE_DONE;
  int rc = done ? 0 : fail(store, code, err);
  sqlite3_reset(statement);
  sqlite3_clear_bindings(statement);
  pthread_mutex_unlock(&store->lock);
  return rc;
}

/* NULL is nobody's. */
static int bind_owner(sqlite3_stmt *statement, const char *owner) {
  int length = owner == NULL ? 0 : (int)strlen(owner);
  return sqlite3_bind_blob(statement, OWNER + 1, owner, length, SQLITE_STATIC);
}

static int bind_key(sqlite3_stmt *statement, const char *owner, const char *id) {
  int code = bind_owner(statement, owner);
  return code == SQLITE_OK ? sqlite3_bind_text(statement, ID + 1, id, -1, SQLITE_STATIC) : code;
}

static int bind_state(sqlite3_stmt *statement, const struct session_record *record) {
  if (!record->has_state) return SQLITE_OK;
  sqlite3_bind_int64(statement, SIZE + 1, (sqlite3_int64)record->state_size);
  return sqlite3_bind_blob64(statement, STATE + 1, record->state, record->state_size,
                             SQLITE_STATIC);
}

static int bind_record(sqlite3_stmt *statement, const struct session_record *record) {
  sqlite3_bind_int64(statement, CREATED + 1, (sqlite3_int64)record->created_us);
  sqlite3_bind_int64(statement, USED + 1, (sqlite3_int64)record->used_us);
  sqlite3_bind_int64(statement, TURNS + 1, (sqlite3_int64)record->turns);
  int code = bind_key(statement, record->owner, record->id);
  if (code == SQLITE_OK)
    code = sqlite3_bind_text(statement, GUEST + 1, record->guest, -1, SQLITE_STATIC);
  return code == SQLITE_OK ? bind_state(statement, record) : code;
}

static int sqlite_put(struct store *base, const struct session_record *record,
                      struct brig_error *err) {
  struct sqlite_store *store = (struct sqlite_store *)base;
  uint64_t max = base->limits.max_bytes;
  sqlite3_stmt *statement = begin(store, PUT);
  sqlite3_bind_int64(statement, STATE + 2, max > INT64_MAX ? INT64_MAX : (sqlite3_int64)max);
  int code = bind_record(statement, record);
  if (code == SQLITE_OK) code = sqlite3_step(statement);
  bool is_full = code == SQLITE_DONE && sqlite3_changes(store->db) == 0;
  int rc = finish(store, statement, code, err);
  return is_full ? brig__store_is_full(base, err) : rc;
}

static bool read_text(sqlite3_stmt *row, enum column column, const char **ret_text) {
  *ret_text = (const char *)sqlite3_column_text(row, column);
  return *ret_text != NULL && strlen(*ret_text) == (size_t)sqlite3_column_bytes(row, column);
}

static bool read_number(sqlite3_stmt *row, enum column column, uint64_t *ret_number) {
  sqlite3_int64 number = sqlite3_column_int64(row, column);
  *ret_number = (uint64_t)number;
  return number >= 0;
}

/* Until the next row. Takes nothing for granted: the file may be damaged. */
static int read_row(sqlite3_stmt *row, struct session_record *ret_record) {
  struct session_record record = {.has_state = sqlite3_column_type(row, SIZE) != SQLITE_NULL};
  uint64_t size;
  if (!read_text(row, OWNER, &record.owner) || !read_text(row, ID, &record.id) ||
      !read_text(row, GUEST, &record.guest) || !read_number(row, CREATED, &record.created_us) ||
      !read_number(row, USED, &record.used_us) || !read_number(row, TURNS, &record.turns) ||
      !read_number(row, SIZE, &size))
    return SQLITE_CORRUPT;
  record.state_size = size;
  if (sqlite3_column_count(row) > STATE) {
    record.state = sqlite3_column_blob(row, STATE);
    if ((uint64_t)sqlite3_column_bytes(row, STATE) != size) return SQLITE_CORRUPT;
  }
  *ret_record = record;
  return SQLITE_OK;
}

static int sqlite_get(struct store *base, const char *owner, const char *id,
                      struct session_record **ret_record, struct brig_error *err) {
  struct sqlite_store *store = (struct sqlite_store *)base;
  struct session_record record;
  sqlite3_stmt *statement = begin(store, GET);
  int code = bind_key(statement, owner, id);
  if (code == SQLITE_OK) code = sqlite3_step(statement);
  if (code == SQLITE_ROW) code = read_row(statement, &record);
  if (code == SQLITE_OK && (*ret_record = brig__record_copy(&record)) == NULL) code = SQLITE_NOMEM;
  return finish(store, statement, code, err);
}

static int sqlite_remove(struct store *base, const char *owner, const char *id,
                         uint64_t used_by_us, bool *ret_removed, struct brig_error *err) {
  struct sqlite_store *store = (struct sqlite_store *)base;
  sqlite3_stmt *statement = begin(store, REMOVE);
  /* The journal that stays has what was there before: it goes too. */
  sqlite3_exec(store->db, "PRAGMA journal_size_limit = 0", NULL, NULL, NULL);
  sqlite3_bind_int64(statement, ID + 2, (sqlite3_int64)used_by_us);
  int code = bind_key(statement, owner, id);
  if (code == SQLITE_OK) code = sqlite3_step(statement);
  *ret_removed = code == SQLITE_DONE && sqlite3_changes(store->db) > 0;
  sqlite3_exec(store->db, journal, NULL, NULL, NULL);
  return finish(store, statement, code, err);
}

static int sqlite_list(struct store *base, const char *owner, uint64_t used_before_us,
                       struct record_list *list, struct brig_error *err) {
  struct sqlite_store *store = (struct sqlite_store *)base;
  struct session_record record;
  sqlite3_stmt *statement = begin(store, owner == NULL ? LIST : LIST_OF);
  sqlite3_bind_int64(statement, 2, (sqlite3_int64)used_before_us);
  int code = bind_owner(statement, owner);
  while (code == SQLITE_OK && (code = sqlite3_step(statement)) == SQLITE_ROW) {
    code = read_row(statement, &record);
    if (code == SQLITE_OK && !brig__record_list_add(list, &record)) code = SQLITE_NOMEM;
  }
  return finish(store, statement, code, err);
}

static int sqlite_count(struct store *base, const char *owner, uint64_t *ret_count,
                        struct brig_error *err) {
  struct sqlite_store *store = (struct sqlite_store *)base;
  sqlite3_stmt *statement = begin(store, owner == NULL ? COUNT : COUNT_OF);
  int code = bind_owner(statement, owner);
  if (code == SQLITE_OK) code = sqlite3_step(statement);
  if (code == SQLITE_ROW) *ret_count = (uint64_t)sqlite3_column_int64(statement, 0);
  return finish(store, statement, code, err);
}

static void sqlite_close(struct store *base) {
  struct sqlite_store *store = (struct sqlite_store *)base;
  for (size_t i = 0; i < STATEMENTS; i++) sqlite3_finalize(store->statements[i]);
  sqlite3_close(store->db);
  pthread_mutex_destroy(&store->lock);
  free(store->path);
  free(store);
}

static int refuse(struct brig_error *err, const char *path, const char *why) {
  return brig__fail(err, BRIG_E_CONFIG, "session",
                    "the session store %s %s; name another file (session.store), or move this one "
                    "away",
                    path, why);
}

/* Its path without links, in a directory that is made for it. */
static int find_place(const char *path, char **ret_path, struct brig_error *err) {
  const char *slash = strrchr(path, '/'), *name = slash == NULL ? path : slash + 1;
  CLEANUP_FREE char *directory =
      slash == NULL ? strdup(".") : strndup(path, slash == path ? 1 : (size_t)(slash - path));
  if (directory == NULL) return brig__store_no_memory(err);
  int rc = brig__mkdir_p(directory);
  CLEANUP_FREE char *real = rc < 0 ? NULL : realpath(directory, NULL);
  struct stat st;
  if (real == NULL || stat(real, &st) < 0)
    return brig__fail_errno(err, rc < 0 ? -rc : errno, "session", "the directory %s", directory);
  /* Or others could put a journal beside the file, and SQLite would play it back. */
  if (st.st_uid != geteuid() || (st.st_mode & 022) != 0)
    return brig__fail(err, BRIG_E_CONFIG, "session",
                      "the directory %s of the session store must belong to uid %u and be writable "
                      "by nobody else (chmod 700, or name a file elsewhere: session.store)",
                      real, geteuid());
  char *whole = brig__format("%s/%s", real, name);
  if (whole == NULL) return brig__store_no_memory(err);
  *ret_path = whole;
  return 0;
}

/* The file is never opened here: to close it would end the locks that another store of this
 * process has on it. */
static int prepare_file(const char *path, struct brig_error *err) {
  struct stat st;
  if ((mknod(path, S_IFREG | 0600, 0) < 0 && errno != EEXIST) || lstat(path, &st) < 0)
    return brig__fail_errno(err, errno, "session", "the session store %s", path);
  if (!S_ISREG(st.st_mode)) return refuse(err, path, "is not a regular file");
  if (st.st_nlink > 1) return refuse(err, path, "has a second name, with a journal of its own");
  if (st.st_uid != geteuid() || (st.st_mode & 022) != 0)
    return refuse(err, path, "belongs to another user, or others may write to it (chmod 600)");
  return 0;
}

/* Whether it is ours, or empty. */
static int identify(struct sqlite_store *store, bool *ret_empty, struct brig_error *err) {
  sqlite3_stmt *row = NULL;
  int code = sqlite3_prepare_v2(store->db,
                                "SELECT application_id = " APPLICATION
                                ", user_version = " SCHEMA_VERSION
                                ", application_id = 0 AND user_version = 0 AND"
                                " NOT EXISTS (SELECT 1 FROM sqlite_schema)"
                                " FROM pragma_application_id, pragma_user_version",
                                -1, &row, NULL);
  if (code == SQLITE_OK) code = sqlite3_step(row);
  bool ours = sqlite3_column_int(row, 0), known = sqlite3_column_int(row, 1);
  bool empty = sqlite3_column_int(row, 2);
  sqlite3_finalize(row);
  if (code != SQLITE_ROW) return fail(store, code, err);
  if (!ours && !empty) return refuse(err, store->path, "is another program's database");
  if (!known && !empty) return refuse(err, store->path, "was written by a newer Brig");
  *ret_empty = empty;
  return 0;
}

static int prepare(struct sqlite_store *store, struct brig_error *err) {
  bool empty = false;
  uint64_t fits = (uint64_t)sqlite3_limit(store->db, SQLITE_LIMIT_LENGTH, -1) - 4096;
  uint64_t *max_state_bytes = &store->base.limits.max_state_bytes;
  if (*max_state_bytes > fits) *max_state_bytes = fits;
  sqlite3_busy_handler(store->db, wait_more, store);
  int code = sqlite3_exec(store->db, caution, NULL, NULL, NULL);
  int rc = code == SQLITE_OK ? identify(store, &empty, err) : fail(store, code, err);
  if (rc < 0) return rc;
  if (empty) code = sqlite3_exec(store->db, schema, NULL, NULL, NULL);
  if (code == SQLITE_OK) code = sqlite3_exec(store->db, journal, NULL, NULL, NULL);
  for (size_t i = 0; i < STATEMENTS && code == SQLITE_OK; i++)
    code = sqlite3_prepare_v3(store->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT,
                              &store->statements[i], NULL);
  return code == SQLITE_OK ? 0 : fail(store, code, err);
}

int brig__store_sqlite_open(const char *path, const struct store_limits *limits, int busy_ms,
                            struct store **ret_store, struct brig_error *err) {
  static const struct store_ops ops = {sqlite_put,  sqlite_get,   sqlite_remove,
                                       sqlite_list, sqlite_count, sqlite_close};
  CLEANUP_FREE char *place = NULL;
  int rc = find_place(path, &place, err);
  if (rc == 0) rc = prepare_file(place, err);
  if (rc < 0) return rc;
  struct sqlite_store *store = calloc(1, sizeof *store);
  if (store == NULL) return brig__store_no_memory(err);
  *store = (struct sqlite_store){{&ops, *limits}, STEAL_PTR(place), busy_ms, .db = NULL};
  pthread_mutex_init(&store->lock, NULL);
  int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW |
              SQLITE_OPEN_PRIVATECACHE;
  int code = sqlite3_open_v2(store->path, &store->db, flags, NULL);
  rc = code == SQLITE_OK ? prepare(store, err) : fail(store, code, err);
  if (rc == 0)
    *ret_store = &store->base;
  else
    sqlite_close(&store->base);
  return rc;
}
