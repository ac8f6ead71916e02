/* The file of sessions: that it bears being killed, shared, damaged and planted. */
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include "store_fixture.h"
#include "base/fd.h"

static int open_at(const char *where, int busy_ms, struct store **ret_store) {
  return brig__store_sqlite_open(where, &roomy, busy_ms, ret_store, &err);
}

static sqlite3 *raw_open(void) {
  sqlite3 *db = NULL;
  assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
  return db;
}

/* The store is closed meanwhile. */
static void raw(const char *sql) {
  close_store();
  sqlite3 *db = raw_open();
  if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) fail_msg("%s", sqlite3_errmsg(db));
  sqlite3_close(db);
}

static void expect_sound(void) {
  sqlite3_stmt *row;
  sqlite3 *db = raw_open();
  assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &row, NULL), SQLITE_OK);
  assert_int_equal(sqlite3_step(row), SQLITE_ROW);
  assert_string_equal((const char *)sqlite3_column_text(row, 0), "ok");
  sqlite3_finalize(row);
  sqlite3_close(db);
}

static void expect_refusal(int code, const char *why) {
  struct store *none = NULL;
  close_store();
  int rc = open_at(path, PATIENT, &none);
  if (rc != code || strstr(err.message, why) == NULL) fail_msg("%d: %s", rc, err.message);
  assert_null(none);
}

static void a_file_keeps_what_it_has(void **state) {
  (void)state;
  put("a", "1", 1);
  put("a", "2", 2);
  put("b", "1", 3);
  assert_int_equal(brig__store_remove(store, "a", "2", &err), 0);
  reopen(&roomy);
  expect_turn("a", "1", 1);
  expect_none("a", "2");
  expect_turn("b", "1", 3);
  reopen(&(struct store_limits){1, 1});
  expect_turn("a", "1", 1);
  assert_int_equal(put_sized("x", 1), BRIG_E_LIMIT);
}

static void the_file_is_its_owners_alone(void **state) {
  (void)state;
  struct stat st;
  put("a", "1", 1);
  assert_int_equal(stat(path, &st), 0);
  assert_int_equal(st.st_mode, S_IFREG | 0600);
  char other[sizeof path + 16];
  snprintf(other, sizeof other, "%s-journal", path);
  if (stat(other, &st) == 0) assert_int_equal(st.st_mode, S_IFREG | 0600);
  snprintf(other, sizeof other, "%s/state", directory);
  assert_int_equal(stat(other, &st), 0);
  assert_int_equal(st.st_mode, S_IFDIR | 0700);
}

static void a_path_may_be_relative(void **state) {
  (void)state;
  struct store *opened;
  int here = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  assert_int_equal(chdir(directory), 0);
  assert_int_equal(open_at("plain.db", PATIENT, &opened), 0);
  brig__store_close(opened);
  assert_int_equal(access("plain.db", F_OK), 0);
  assert_int_equal(symlink("state", "link"), 0); /* a linked directory is as good as its target */
  assert_int_equal(open_at("link/../link/new.db", PATIENT, &opened), 0);
  brig__store_close(opened);
  assert_int_equal(access("state/new.db", F_OK), 0);
  assert_int_equal(fchdir(here), 0);
  close(here);
}

/* Puts without end; says each turn that is kept. */
static _Noreturn void put_for_ever(uint64_t turn, int told) {
  char id[16];
  struct store *mine;
  if (open_at(path, PATIENT, &mine) != 0) _exit(1);
  for (;; turn++) {
    snprintf(id, sizeof id, "%d", (int)(turn % 5));
    if (put_into(mine, "me", id, turn) != 0) _exit(2);
    if (write(told, &turn, sizeof turn) != sizeof turn) _exit(3);
  }
}

/* Once it has kept the first of them. */
static pid_t start_putting(uint64_t turn, int *ret_told) {
  int pipes[2];
  assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
  pid_t child = fork();
  if (child == 0) put_for_ever(turn, pipes[1]);
  close(pipes[1]);
  assert_int_equal(read(pipes[0], &turn, sizeof turn), sizeof turn);
  *ret_told = pipes[0];
  return child;
}

/* Returns the last turn that it said was kept, or `turn`. */
static uint64_t stop_putting(pid_t child, int told, uint64_t turn) {
  int status;
  kill(child, SIGKILL);
  while (read(told, &turn, sizeof turn) == sizeof turn) continue;
  close(told);
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFSIGNALED(status));
  return turn;
}

static int expect_whole(const struct session_record *record, void *context) {
  uint64_t *newest = context;
  if (record->turns > *newest) *newest = record->turns;
  expect_turn(record->owner, record->id, record->turns);
  return 0;
}

static void killed_at_any_moment_it_is_whole(void **state) {
  (void)state;
  uint64_t turn = 1, newest;
  int told;
  for (int i = 0; i < 20; i++) {
    brig__store_close(store);
    store = NULL;
    pid_t child = start_putting(turn, &told);
    usleep((useconds_t)(i * 1733 % 30000));
    turn = stop_putting(child, told, turn);
    reopen(&roomy);
    newest = 0;
    assert_int_equal(brig__store_list(store, NULL, 0, expect_whole, &newest, &err), 0);
    expect_sound();
    if (newest != turn && newest != turn + 1) fail_msg("%d after %d", (int)newest, (int)turn);
    turn = newest + 1;
  }
  assert_int_equal(count(NULL), 5);
}

/* The kernel kills it at the first write beyond `size`, of the file or its journal. */
static _Noreturn void put_until(rlim_t size, uint64_t turn) {
  struct store *mine;
  signal(SIGXFSZ, SIG_DFL);
  if (open_at(path, PATIENT, &mine) != 0) _exit(1);
  setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
  setrlimit(RLIMIT_FSIZE, &(struct rlimit){size, size});
  _exit(put_into(mine, "me", "id", turn) == 0 ? 0 : 2);
}

static void killed_at_any_write_it_is_whole(void **state) {
  (void)state;
  int status, killed = 0;
  for (rlim_t size = 4096; size < 100000; size += 4096) {
    if (store == NULL) reopen(&roomy);
    put("me", "id", 2);    /* 15838 bytes, which are replaced */
    put("me", "other", 1); /* 7919 */
    close_store();
    pid_t child = fork();
    if (child == 0) put_until(size, 6); /* by 47514 */
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) ? WTERMSIG(status) == SIGXFSZ : status == 0);
    if (WIFSIGNALED(status)) killed++;
    reopen(&roomy);
    expect_turn("me", "id", WIFSIGNALED(status) ? 2 : 6);
    expect_turn("me", "other", 1);
    close_store();
    expect_sound();
    unlink(path); /* so that each begins with as small a file */
  }
  assert_true(killed >= 8);
}

/* Children that run once the gate is open. The store is closed before: a child would take its
 * locks for its own. */
static pid_t fork_at(const int gate[2], int (*run)(int number), int number) {
  char none;
  pid_t child = fork();
  if (child != 0) return child;
  close(gate[1]);
  _exit(read(gate[0], &none, 1) == 0 ? run(number) : 1);
}

static bool fork_all(int count, int (*run)(int number)) {
  pid_t children[4];
  int gate[2], status;
  bool well = true;
  assert_int_equal(pipe2(gate, O_CLOEXEC), 0);
  for (int i = 0; i < count; i++) children[i] = fork_at(gate, run, i);
  close(gate[0]);
  close(gate[1]);
  for (int i = 0; i < count; i++)
    if (waitpid(children[i], &status, 0) != children[i] || status != 0) well = false;
  return well;
}

static int open_once(int number) {
  struct store *mine;
  (void)number;
  return open_at(path, PATIENT, &mine) != 0;
}

static void processes_may_make_it_at_once(void **state) {
  (void)state;
  close_store();
  for (int i = 0; i < 40; i++) {
    unlink(path);
    assert_true(fork_all(4, open_once));
  }
}

static int put_many(int number) {
  const char owner[] = {(char)('a' + number), '\0'};
  struct store *mine;
  char id[16];
  int failed = 0;
  if (open_at(path, PATIENT, &mine) != 0) return 100;
  for (uint64_t i = 0; i < 30; i++) {
    snprintf(id, sizeof id, "%d", (int)i);
    failed += put_into(mine, owner, id, i) != 0;
    failed += put_into(mine, "all", "id", i) != 0;
  }
  brig__store_close(mine);
  return failed;
}

static void processes_may_put_at_once(void **state) {
  (void)state;
  static const char *const owners[] = {"a", "b", "c"};
  char id[16];
  close_store();
  assert_true(fork_all(3, put_many));
  reopen(&roomy);
  for (int i = 0; i < 30; i++) {
    snprintf(id, sizeof id, "%d", i);
    for (int j = 0; j < 3; j++) expect_turn(owners[j], id, (uint64_t)i);
  }
  expect_turn("all", "id", 29);
  assert_int_equal(count(NULL), 91);
  expect_sound();
}

/* With pauses that are short beside what it holds. */
static _Noreturn void hold_nearly_always(int told) {
  sqlite3 *db = raw_open();
  sqlite3_busy_timeout(db, PATIENT);
  for (;; usleep(2000)) {
    if (sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK) _exit(1);
    if (write(told, "", 1) != 1) _exit(2);
    usleep((useconds_t)(60000 + random() % 80000)); /* in step with nobody */
    if (sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK) _exit(3);
  }
}

static void who_holds_it_nearly_always_keeps_nobody_out(void **state) {
  (void)state;
  struct store *patient = NULL;
  int told[2], failed = 0;
  char byte;
  close_store();
  assert_int_equal(pipe2(told, O_CLOEXEC), 0);
  pid_t child = fork();
  if (child == 0) hold_nearly_always(told[1]);
  assert_int_equal(read(told[0], &byte, 1), 1);
  int rc = open_at(path, 3000, &patient);
  for (uint64_t i = 0; i < 20 && rc == 0; i++) {
    failed += put_into(patient, "a", "1", i) != 0;
    usleep(5000); /* it is held again */
  }
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
  close(told[0]);
  close(told[1]);
  brig__store_close(patient);
  assert_int_equal(rc, 0);
  assert_int_equal(failed, 0);
}

static void a_file_that_another_holds_is_busy(void **state) {
  (void)state;
  struct store *hasty;
  put("a", "1", 1);
  assert_int_equal(open_at(path, 50, &hasty), 0);
  sqlite3 *db = raw_open();
  assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
  assert_int_equal(put_into(hasty, "a", "1", 2), BRIG_E_BUSY);
  assert_non_null(strstr(err.message, "50 ms; try again"));
  assert_int_equal(brig__store_remove(hasty, "a", "1", &err), BRIG_E_BUSY);
  expect_turn("a", "1", 1); /* readers need not wait */
  assert_int_equal(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
  assert_int_equal(put_into(hasty, "a", "1", 2), 0);
  sqlite3_close(db);
  brig__store_close(hasty);
}

static int is_kept_out(int number) {
  struct store *mine;
  (void)number;
  return open_at(path, 50, &mine) == 0 && put_into(mine, "a", "1", 1) == BRIG_E_BUSY ? 0 : 1;
}

/* As closing a descriptor of the file would, whoever opened it. */
static void to_open_a_file_again_ends_no_lock(void **state) {
  (void)state;
  struct store *again;
  int gate[2], status;
  close_store();
  assert_int_equal(pipe2(gate, O_CLOEXEC), 0);
  pid_t child = fork_at(gate, is_kept_out, 0);
  sqlite3 *db = raw_open();
  assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
  assert_int_equal(open_at(path, 50, &again), 0);
  brig__store_close(again);
  close(gate[0]);
  close(gate[1]);
  assert_int_equal(waitpid(child, &status, 0), child);
  sqlite3_close(db);
  assert_int_equal(status, 0);
}

static void a_put_that_does_not_fit_the_disk_changes_nothing(void **state) {
  (void)state;
  struct rlimit all, some;
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &all), 0);
  some = (struct rlimit){40000, all.rlim_max};
  signal(SIGXFSZ, SIG_IGN);
  put("a", "1", 1);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &some), 0);
  int rc = put_into(store, "a", "1", 6); /* 47514 bytes */
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &all), 0);
  signal(SIGXFSZ, SIG_DFL);
  assert_int_equal(rc, BRIG_E_SYSTEM);
  assert_non_null(strstr(err.message, "see to its disk"));
  expect_turn("a", "1", 1);
  put("a", "1", 6);
  expect_turn("a", "1", 6);
}

static void a_file_has_a_bound_of_its_own(void **state) {
  (void)state;
  reopen(&(struct store_limits){UINT64_MAX, UINT64_MAX});
  put("a", "1", 1);
  assert_int_equal(put_sized("1", 1u << 31), BRIG_E_TOO_LARGE);
}

static void a_file_that_others_could_write_is_refused(void **state) {
  (void)state;
  char other[sizeof path + 16];
  close_store();
  chmod(path, 0660);
  expect_refusal(BRIG_E_CONFIG, "chmod 600");
  chmod(path, 0602);
  expect_refusal(BRIG_E_CONFIG, "chmod 600");
  chmod(path, 0600);
  snprintf(other, sizeof other, "%s/state", directory);
  chmod(other, 01777);
  expect_refusal(BRIG_E_CONFIG, "chmod 700");
  chmod(other, 0700);
  if (geteuid() == 0) {
    assert_int_equal(chown(path, 65534, 65534), 0);
    expect_refusal(BRIG_E_CONFIG, "belongs to another user");
    assert_int_equal(chown(path, 0, 0), 0);
    assert_int_equal(chown(other, 65534, 65534), 0);
    expect_refusal(BRIG_E_CONFIG, "must belong to uid 0");
    assert_int_equal(chown(other, 0, 0), 0);
  }
  reopen(&roomy);
}

static void what_is_no_file_of_its_own_is_refused(void **state) {
  (void)state;
  char other[sizeof path + 16];
  struct store *none = NULL;
  snprintf(other, sizeof other, "%s.other", path);
  assert_int_equal(link(path, other), 0);
  expect_refusal(BRIG_E_CONFIG, "second name");
  assert_int_equal(unlink(path), 0);
  assert_int_equal(symlink(other, path), 0);
  expect_refusal(BRIG_E_CONFIG, "not a regular file");
  assert_int_equal(unlink(path), 0);
  assert_int_equal(mkfifo(path, 0600), 0);
  expect_refusal(BRIG_E_CONFIG, "not a regular file");
  assert_int_equal(unlink(path), 0);
  assert_int_equal(mkdir(path, 0700), 0);
  expect_refusal(BRIG_E_CONFIG, "not a regular file");
  static const char *const nowhere[] = {"", "/", "..", "/dev/null/x.db", "/proc/x.db"};
  for (size_t i = 0; i < sizeof nowhere / sizeof *nowhere; i++)
    if (open_at(nowhere[i], 50, &none) >= 0) fail_msg("%s", nowhere[i]);
  assert_null(none);
}

static void overwrite(const char *text, size_t size) {
  close_store();
  int file = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
  assert_int_equal(brig__write_all(file, text, size), 0);
  close(file);
}

static void a_file_of_something_else_is_refused(void **state) {
  (void)state;
  char garbage[BUFFER];
  memset(garbage, 'g', sizeof garbage);
  overwrite(garbage, sizeof garbage);
  expect_refusal(BRIG_E_INTEGRITY, "file is not a database");
  overwrite("xx", 2);
  expect_refusal(BRIG_E_INTEGRITY, "file is not a database");
  overwrite("", 0);
  raw("CREATE TABLE theirs (a)");
  expect_refusal(BRIG_E_CONFIG, "another program's");
  overwrite("", 0);
  raw("PRAGMA application_id = 7");
  expect_refusal(BRIG_E_CONFIG, "another program's");
  overwrite("", 0);
  reopen(&roomy);
  put("a", "1", 1);
}

static void a_newer_schema_is_refused(void **state) {
  (void)state;
  raw("PRAGMA user_version = 2");
  expect_refusal(BRIG_E_CONFIG, "newer Brig");
  raw("PRAGMA user_version = 1; DROP TABLE session");
  expect_refusal(BRIG_E_INTEGRITY, "damaged");
}

static void a_file_cut_short_is_seen(void **state) {
  (void)state;
  struct stat st;
  for (uint64_t i = 1; i < 9; i++) put("a", "123456789" + i, i);
  close_store();
  assert_int_equal(stat(path, &st), 0);
  const off_t sizes[] = {st.st_size - 4096, st.st_size / 2, 4096, 4000, 100, 50, 2};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    assert_int_equal(truncate(path, sizes[i]), 0);
    expect_refusal(BRIG_E_INTEGRITY, "damaged");
  }
}

static void a_damaged_row_is_an_error(void **state) {
  (void)state;
  static const char *const damages[] = {
      "UPDATE session SET used_us = -1",       "UPDATE session SET turns = -1",
      "UPDATE session SET created_us = -9",    "UPDATE session SET size = size + 1",
      "UPDATE session SET size = -1",          "UPDATE session SET state = NULL",
      "UPDATE session SET guest = 'a' || char(0) || 'b'",
  };
  struct session_record *got = NULL;
  int seen = 0;
  put("a", "1", 1);
  for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
    raw(damages[i]);
    reopen(&roomy);
    int rc = brig__store_get(store, "a", "1", &got, &err);
    if (rc != BRIG_E_INTEGRITY || got != NULL) fail_msg("%s: %d", damages[i], rc);
    put("a", "1", 1);
  }
  raw("PRAGMA writable_schema = ON;"
      "UPDATE sqlite_schema SET sql = replace(sql, 'guest TEXT NOT NULL', 'guest TEXT')");
  raw("UPDATE session SET guest = NULL");
  reopen(&roomy);
  assert_int_equal(brig__store_get(store, "a", "1", &got, &err), BRIG_E_INTEGRITY);
  put("a", "1", 1);
  raw("UPDATE session SET owner = x'610062'"); /* is not a's */
  reopen(&roomy);
  assert_int_equal(brig__store_list(store, NULL, 0, count_visit, &seen, &err),
                   BRIG_E_INTEGRITY);
}

/* Everything that can be asked of a damaged file, which may answer as it likes. */
static void ask_all(void) {
  struct session_record *got;
  uint64_t found;
  int seen = 0;
  if (open_at(path, 50, &store) != 0) return;
  for (int i = 0; i < 8; i++) {
    got = NULL;
    brig__store_get(store, "a", "12345678" + i, &got, NULL);
    free(got);
  }
  brig__store_list(store, NULL, 0, count_visit, &seen, NULL);
  brig__store_list(store, "a", 5000, count_visit, &seen, NULL);
  brig__store_count(store, "a", &found, NULL);
  put_into(store, "a", "8", 9);
  brig__store_remove(store, "a", "78", NULL);
  close_store();
}

/* Near where one of the rows begins: its sizes and numbers. */
static size_t find_row(const char *bytes, size_t size) {
  size_t from = (size_t)random() % (size - 4096);
  const char *found = memmem(bytes + from, size - from, "5678py", 6);
  return found == NULL ? 4096 : (size_t)(found - bytes) - 24 + (size_t)random() % 48;
}

static void damage_anywhere_ends_nothing(void **state) {
  (void)state;
  char *whole;
  size_t size;
  reopen(&(struct store_limits){BUFFER, 1 << 20});
  for (uint64_t i = 0; i < 8; i++) put("a", "12345678" + i, i);
  assert_int_equal(brig__store_remove(store, "a", "8", &err), 0);
  assert_int_equal(brig__read_file(AT_FDCWD, path, 1 << 24, &whole, &size), 0);
  srandom(1);
  for (int i = 0; i < 200; i++) {
    CLEANUP_FREE char *damaged = malloc(size);
    memcpy(damaged, whole, size);
    for (int j = 0; j < 6; j++) {
      size_t at = (size_t)random() % size, page = at / 4096 * 4096;
      if (j % 3 == 1) at = page + at % 16; /* where it begins */
      if (j % 3 == 2) at = find_row(whole, size);
      damaged[at] = (char)(random() % (i % 2 == 0 ? 256 : 10)); /* or what says a type */
    }
    overwrite(damaged, size);
    ask_all();
  }
  free(whole);
}

static bool has(const char *suffix, const char *text) {
  CLEANUP_FREE char *name = brig__format("%s%s", path, suffix), *bytes = NULL;
  size_t size;
  if (brig__read_file(AT_FDCWD, name, 1 << 24, &bytes, &size) != 0) return false;
  return memmem(bytes, size, text, strlen(text)) != NULL;
}

static void what_was_removed_is_in_no_file(void **state) {
  (void)state;
  char secret[9001] = {0};
  for (size_t i = 0; i < 9000; i += 9) memcpy(secret + i, "Jugendsti", 9);
  struct session_record record = {"a", "secret", "", 1, 2, 3, true, 9000, secret};
  put("a", "1", 1);
  assert_int_equal(brig__store_put(store, &record, &err), 0);
  assert_true(has("", "Jugendsti"));
  put("a", "secret", 2);
  assert_int_equal(brig__store_put(store, &record, &err), 0);
  assert_int_equal(brig__store_remove(store, "a", "secret", &err), 0);
  assert_false(has("", "Jugendsti"));
  assert_false(has("-journal", "Jugendsti"));
  assert_false(has("-wal", "Jugendsti"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_file_keeps_what_it_has),
      TEST(the_file_is_its_owners_alone),
      TEST(a_path_may_be_relative),
      TEST(killed_at_any_moment_it_is_whole),
      TEST(killed_at_any_write_it_is_whole),
      TEST(processes_may_make_it_at_once),
      TEST(processes_may_put_at_once),
      TEST(a_file_that_another_holds_is_busy),
      TEST(who_holds_it_nearly_always_keeps_nobody_out),
      TEST(a_put_that_does_not_fit_the_disk_changes_nothing),
      TEST(a_file_has_a_bound_of_its_own),
      TEST(to_open_a_file_again_ends_no_lock),
      TEST(a_file_that_others_could_write_is_refused),
      TEST(what_is_no_file_of_its_own_is_refused),
      TEST(a_file_of_something_else_is_refused),
      TEST(a_newer_schema_is_refused),
      TEST(a_file_cut_short_is_seen),
      TEST(a_damaged_row_is_an_error),
      TEST(damage_anywhere_ends_nothing),
      TEST(what_was_removed_is_in_no_file),
  };
  in_file = true;
  return cmocka_run_group_tests_name("the file", tests, NULL, NULL);
}
