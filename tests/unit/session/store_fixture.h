/* A store to test, in a directory of its own, and records that are known by their turn. */
#ifndef BRIG_TESTS_STORE_FIXTURE_H
#define BRIG_TESTS_STORE_FIXTURE_H

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "session/store.h"

enum { BUFFER = 1 << 16, PATIENT = 20000 };

static bool in_file; /* which store the tests are of */
static char directory[64], path[96];
static struct store *store;
static _Thread_local struct brig_error err;
static const struct store_limits roomy = {BUFFER, 0};

static void close_store(void) {
  brig__store_close(store);
  store = NULL;
}

/* Opens it again, with what is in it if it is a file. */
static void reopen(const struct store_limits *limits) {
  close_store();
  int rc = in_file ? brig__store_sqlite_open(path, limits, PATIENT, &store, &err)
                   : brig__store_memory_open(limits, &store, &err);
  if (rc != 0) fail_msg("%s", err.message);
}

static int start(void **state) {
  (void)state;
  strcpy(directory, "/tmp/brig-store-XXXXXX");
  assert_non_null(mkdtemp(directory));
  snprintf(path, sizeof path, "%s/state/sessions.db", directory);
  reopen(&roomy);
  return 0;
}

static int unlink_it(const char *name, const struct stat *st, int type, struct FTW *at) {
  (void)st, (void)type, (void)at;
  return remove(name);
}

static int end(void **state) {
  (void)state;
  close_store();
  return nftw(directory, unlink_it, 8, FTW_DEPTH | FTW_PHYS);
}

/* Every part of a record follows from its turn, so that one of two turns is seen. */
static struct session_record record_of(const char *owner, const char *id, uint64_t turn,
                                       char *buffer) {
  struct session_record record = {
      .owner = owner, .id = id, .guest = turn % 2 == 0 ? "python@3.13.5" : "python@3.14.0",
      .created_us = 1, .used_us = turn * 1000, .turns = turn,
      .has_state = true, .state_size = (size_t)(turn * 7919 % 50000), .state = buffer,
  };
  for (size_t i = 0; i < record.state_size; i++) buffer[i] = (char)(turn * 31 + i * 7);
  return record;
}

static bool is_whole(const struct session_record *record) {
  static _Thread_local char buffer[BUFFER];
  struct session_record made = record_of(record->owner, record->id, record->turns, buffer);
  return record->used_us == made.used_us && strcmp(record->guest, made.guest) == 0 &&
         record->has_state && record->state_size == made.state_size &&
         (made.state_size == 0 || memcmp(record->state, buffer, made.state_size) == 0);
}

static int put_into(struct store *into, const char *owner, const char *id, uint64_t turn) {
  static _Thread_local char buffer[BUFFER];
  struct session_record record = record_of(owner, id, turn, buffer);
  return brig__store_put(into, &record, &err);
}

static void put(const char *owner, const char *id, uint64_t turn) {
  if (put_into(store, owner, id, turn) != 0) fail_msg("%s", err.message);
}

static int put_sized(const char *id, size_t size) {
  static const char zeros[BUFFER + 1];
  struct session_record record = {
      .owner = "", .id = id, .guest = "", .has_state = true, .state_size = size, .state = zeros};
  return brig__store_put(store, &record, &err);
}

static void expect_turn(const char *owner, const char *id, uint64_t turn) {
  struct session_record *record = NULL;
  if (brig__store_get(store, owner, id, &record, &err) != 0) fail_msg("%s", err.message);
  assert_int_equal(record->turns, turn);
  assert_true(is_whole(record));
  free(record);
}

static void expect_none(const char *owner, const char *id) {
  struct session_record *record = NULL;
  assert_int_equal(brig__store_get(store, owner, id, &record, &err), BRIG_E_NOT_FOUND);
  assert_null(record);
}

static uint64_t count(const char *owner) {
  uint64_t found = UINT64_MAX;
  if (brig__store_count(store, owner, &found, &err) != 0) fail_msg("%s", err.message);
  return found;
}

static int count_visit(const struct session_record *record, void *context) {
  (void)record;
  ++*(int *)context;
  return 0;
}

#define TEST(claim) cmocka_unit_test_setup_teardown(claim, start, end)

#endif
