/* Sessions that are kept: what both stores promise. */
#include <pthread.h>
#include <stdatomic.h>
#include "store_fixture.h"

static void what_was_put_comes_back(void **state) {
  (void)state;
  char bytes[256], owner[256];
  for (int i = 0; i < 256; i++) bytes[i] = (char)i, owner[i] = (char)(i + 1);
  char id[STORE_ID_MAX + 1] = {0};
  memset(id, 'i', STORE_ID_MAX);
  struct session_record *got,
      record = {owner, id, "python@3.13.5", 11, INT64_MAX - 1, 13, true, sizeof bytes, bytes};
  for (int again = 0; again < 2; again++) {
    assert_int_equal(brig__store_put(store, &record, &err), 0);
    assert_int_equal(brig__store_get(store, owner, id, &got, &err), 0);
    assert_string_equal(got->owner, owner);
    assert_string_equal(got->id, id);
    assert_string_equal(got->guest, "python@3.13.5");
    assert_int_equal(got->created_us, 11);
    assert_int_equal(got->used_us, INT64_MAX - 1);
    assert_int_equal(got->turns, 13);
    assert_true(got->has_state);
    assert_int_equal(got->state_size, 256);
    assert_memory_equal(got->state, bytes, 256);
    free(got);
    owner[0] = '\0'; /* and nobody's */
  }
}

static void an_empty_state_is_not_no_state(void **state) {
  (void)state;
  for (int has = 0; has < 2; has++) {
    struct session_record *got, record = {"", "id", "", 1, 2, 3, has, 0, NULL};
    assert_int_equal(brig__store_put(store, &record, &err), 0);
    assert_int_equal(brig__store_get(store, "", "id", &got, &err), 0);
    assert_int_equal(got->has_state, has);
    assert_int_equal(got->state_size, 0);
    free(got);
  }
}

static void put_replaces_all_of_a_record(void **state) {
  (void)state;
  struct session_record *got, bare = {"me", "id", "other", 4, 5, 6, false, 0, NULL};
  put("me", "id", 1);
  put("me", "id", 2);
  expect_turn("me", "id", 2);
  assert_int_equal(brig__store_put(store, &bare, &err), 0);
  assert_int_equal(brig__store_get(store, "me", "id", &got, &err), 0);
  assert_string_equal(got->guest, "other");
  assert_int_equal(got->created_us + got->used_us + got->turns, 15);
  assert_false(got->has_state);
  free(got);
  assert_int_equal(count(NULL), 1);
}

static void another_owner_finds_nothing(void **state) {
  (void)state;
  static const char *const others[] = {"", "m", "me2", "ME", "m\xff", "me\n"};
  put("me", "id", 1);
  for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
    expect_none(others[i], "id");
    assert_int_equal(brig__store_remove(store, others[i], "id", &err), 0);
    assert_int_equal(count(others[i]), 0);
  }
  expect_none("me", "i");
  expect_none("me", "ID");
  expect_turn("me", "id", 1);
}

static void owners_may_choose_the_same_id(void **state) {
  (void)state;
  put("one", "id", 1);
  put("two", "id", 2);
  put("two", "id2", 3);
  expect_turn("one", "id", 1);
  expect_turn("two", "id", 2);
  assert_int_equal(count("one"), 1);
  assert_int_equal(count("two"), 2);
  assert_int_equal(count(NULL), 3);
  assert_int_equal(brig__store_remove(store, "one", "id", &err), 0);
  assert_int_equal(brig__store_remove(store, "one", "id", &err), 0);
  expect_none("one", "id");
  expect_turn("two", "id", 2);
}

static char listed[64];

static int note(const struct session_record *record, void *context) {
  char buffer[BUFFER];
  struct session_record put = record_of(record->owner, record->id, record->turns, buffer);
  assert_null(record->state);
  assert_int_equal(record->has_state, strcmp(record->id, "x") != 0);
  assert_int_equal(record->state_size, record->has_state ? put.state_size : 0);
  sprintf(listed + strlen(listed), "%s%s ", record->owner, record->id);
  return context != NULL && strcmp(record->id, context) == 0 ? 7 : 0;
}

static const char *list(const char *owner, uint64_t before, const char *last) {
  listed[0] = '\0';
  int rc = brig__store_list(store, owner, before, note, (void *)(uintptr_t)last, &err);
  assert_int_equal(rc, last == NULL ? 0 : 7);
  return listed;
}

static void a_list_has_what_was_used_least_recently_first(void **state) {
  (void)state;
  struct session_record bare = {"a", "x", "", 1, 2500, 0, false, 0, NULL};
  assert_string_equal(list(NULL, 0, NULL), "");
  put("a", "2", 2);
  put("b", "3", 3);
  put("a", "4", 4);
  put("", "1", 1);
  put("a", "5", 4);
  assert_int_equal(brig__store_put(store, &bare, &err), 0);
  assert_string_equal(list(NULL, 0, NULL), "1 a2 ax b3 a4 a5 ");
  assert_string_equal(list("a", 0, NULL), "a2 ax a4 a5 ");
  assert_string_equal(list("", 0, NULL), "1 ");
  assert_string_equal(list("c", 0, NULL), "");
  assert_string_equal(list(NULL, 3000, NULL), "1 a2 ax ");
  assert_string_equal(list("a", 2500, NULL), "a2 ");
  assert_string_equal(list(NULL, 0, "3"), "1 a2 ax b3 ");
  put("a", "2", 5);
  assert_string_equal(list("a", 0, NULL), "ax a4 a5 a2 ");
}

static int remove_it(const struct session_record *record, void *context) {
  (void)context;
  return brig__store_remove(store, record->owner, record->id, &err);
}

static void who_lists_may_remove(void **state) {
  (void)state;
  char id[8];
  for (uint64_t i = 1; i <= 70; i++) { /* more than a list begins with */
    snprintf(id, sizeof id, "%d", (int)i);
    put("a", id, i);
  }
  assert_int_equal(brig__store_list(store, NULL, 66000, remove_it, NULL, &err), 0);
  assert_int_equal(count(NULL), 5);
}

static int keep_one(const struct session_record *record, void *context) {
  bool removed = false;
  (void)context;
  if (record->turns == 2) put("a", "2", 4); /* used since */
  assert_int_equal(brig__store_remove_unused(store, record, &removed, &err), 0);
  assert_int_equal(removed, record->turns != 2);
  assert_int_equal(brig__store_remove_unused(store, record, &removed, &err), 0);
  assert_false(removed);
  return 0;
}

static void what_was_used_since_it_was_listed_stays(void **state) {
  (void)state;
  put("a", "1", 1);
  put("a", "2", 2);
  put("a", "3", 3);
  assert_int_equal(brig__store_list(store, NULL, 0, keep_one, NULL, &err), 0);
  assert_int_equal(count(NULL), 1);
  expect_turn("a", "2", 4);
}

static void a_state_has_a_bound(void **state) {
  (void)state;
  put("", "id", 1);
  assert_int_equal(put_sized("id", BUFFER + 1), BRIG_E_TOO_LARGE);
  assert_non_null(strstr(err.message, "65537 bytes, and 65536"));
  assert_non_null(strstr(err.message, "session.max_state_bytes"));
  expect_turn("", "id", 1);
  assert_int_equal(put_sized("id", BUFFER), 0);
}

static void all_states_have_a_bound(void **state) {
  (void)state;
  struct session_record bare = {"", "bare", "", 1, 2, 3, false, 0, NULL};
  reopen(&(struct store_limits){BUFFER, 1000});
  assert_int_equal(put_sized("1", 600), 0);
  assert_int_equal(put_sized("2", 401), BRIG_E_LIMIT);
  assert_non_null(strstr(err.message, "1000 bytes together (session.store_bytes)"));
  assert_int_equal(put_sized("2", 1001), BRIG_E_TOO_LARGE); /* whatever else is there */
  assert_non_null(strstr(err.message, "1001 bytes, and 1000 may be kept (session.store_bytes)"));
  expect_none("", "2");
  assert_int_equal(put_sized("2", 400), 0);
  assert_int_equal(put_sized("2", 401), BRIG_E_LIMIT);
  assert_int_equal(put_sized("3", 0), 0);
  assert_int_equal(brig__store_put(store, &bare, &err), 0);
  assert_int_equal(put_sized("1", 500), 0); /* what it replaces does not count */
  assert_int_equal(put_sized("2", 500), 0);
  assert_int_equal(put_sized("3", 1), BRIG_E_LIMIT);
  assert_int_equal(brig__store_remove(store, "", "1", &err), 0);
  assert_int_equal(put_sized("3", 500), 0);
}

static void what_no_store_holds_is_refused(void **state) {
  (void)state;
  char longer[STORE_OWNER_MAX + 2] = {0};
  memset(longer, 'o', STORE_OWNER_MAX + 1);
  struct session_record good = {longer + 1, "id", "", 1, 2, 3, false, 0, NULL}, wrong[] = {
      good, good, good, good, good, good, good, good};
  assert_int_equal(brig__store_put(store, &good, &err), 0);
  wrong[0].owner = longer;
  wrong[1].id = "";
  wrong[2].id = longer + STORE_OWNER_MAX - STORE_ID_MAX;
  wrong[3].guest = longer + STORE_OWNER_MAX - STORE_GUEST_MAX;
  wrong[4].turns = INT64_MAX;
  wrong[5].used_us = UINT64_MAX;
  wrong[6].created_us = INT64_MAX;
  wrong[7].has_state = true, wrong[7].state_size = 1; /* as list() gives it */
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
    if (brig__store_put(store, &wrong[i], &err) != BRIG_E_INVALID) fail_msg("%zu", i);
  assert_int_equal(count(NULL), 1);
}

static atomic_int wrong;
static pthread_barrier_t all_there;

static void *use(void *context) {
  const char *owner = context;
  struct brig_error mine;
  char id[8];
  pthread_barrier_wait(&all_there);
  for (uint64_t i = 0; i < (in_file ? 200 : 4000); i++) {
    struct session_record *got = NULL;
    int seen = 0;
    bool shared = i % 20 == 19;
    snprintf(id, sizeof id, "%d", (int)(i / 8 % 5));
    if (i % 8 == 0) wrong += put_into(store, owner, id, i) != 0;
    if (i % 20 == 3) wrong += put_into(store, "all", "id", i + (uint64_t)owner[0]) != 0;
    if (i % 40 == 39) wrong += brig__store_remove(store, owner, id, &mine) != 0;
    if (i % 40 == 39) continue;
    if (brig__store_get(store, shared ? "all" : owner, shared ? "id" : id, &got, &mine) != 0 ||
        !is_whole(got) || (!shared && got->turns != i / 8 * 8))
      wrong++;
    free(got);
    wrong += brig__store_list(store, owner, 0, count_visit, &seen, &mine) != 0 || seen > 5;
  }
  return NULL;
}

static void threads_may_use_it_at_once(void **state) {
  (void)state;
  static char owners[8][2] = {"a", "b", "c", "d", "e", "f", "g", "h"};
  pthread_t threads[8];
  wrong = 0;
  pthread_barrier_init(&all_there, NULL, 8);
  for (int i = 0; i < 8; i++)
    assert_int_equal(pthread_create(&threads[i], NULL, use, owners[i]), 0);
  for (int i = 0; i < 8; i++) pthread_join(threads[i], NULL);
  pthread_barrier_destroy(&all_there);
  assert_int_equal(wrong, 0);
  assert_int_equal(count(NULL), 8 * 4 + 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(what_was_put_comes_back),
      TEST(an_empty_state_is_not_no_state),
      TEST(put_replaces_all_of_a_record),
      TEST(another_owner_finds_nothing),
      TEST(owners_may_choose_the_same_id),
      TEST(a_list_has_what_was_used_least_recently_first),
      TEST(who_lists_may_remove),
      TEST(what_was_used_since_it_was_listed_stays),
      TEST(a_state_has_a_bound),
      TEST(all_states_have_a_bound),
      TEST(what_no_store_holds_is_refused),
      TEST(threads_may_use_it_at_once),
  };
  int failed = cmocka_run_group_tests_name("in memory", tests, NULL, NULL);
  in_file = true;
  return failed + cmocka_run_group_tests_name("in a file", tests, NULL, NULL);
}
