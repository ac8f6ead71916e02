/* Which process has a session: locks, seen from two descriptors and from two processes. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/error.h"
#include "base/fd.h"
#include "session/claim.h"

static char directory[] = "/var/tmp/brig-claim-XXXXXX";

static int open_claims(void) {
  struct brig_error err = {0};
  char path[128];
  int claims;
  snprintf(path, sizeof path, "%s/sessions.db", directory);
  if (brig__claims_open(path, &claims, &err) < 0) fail_msg("%s", err.message);
  return claims;
}

static int setup(void **state) {
  (void)state;
  strcpy(directory + strlen(directory) - 6, "XXXXXX");
  return mkdtemp(directory) == NULL;
}

static int teardown(void **state) {
  (void)state;
  brig__remove_tree(-1, directory);
  return 0;
}

static void one_has_it_and_others_are_told(void **state) {
  (void)state;
  struct brig_error err = {0};
  int one = open_claims(), other = open_claims();
  assert_int_equal(brig__claim(one, "o", "a", 0, -1, &err), 0);
  assert_int_equal(brig__claim(other, "o", "a", 20, -1, &err), BRIG_E_BUSY);
  assert_non_null(strstr(err.message, "session a"));
  assert_int_equal(brig__claim(other, "o", "b", 0, -1, NULL), 0);
  assert_int_equal(brig__claim(other, "p", "a", 0, -1, NULL), 0);
  assert_int_equal(brig__claim(other, "oa", "", 0, -1, NULL), 0);
  brig__claim_release(one, "o", "a");
  assert_int_equal(brig__claim(other, "o", "a", 0, -1, NULL), 0);
  close(one);
  close(other);
}

static void who_is_killed_has_nothing_any_more(void **state) {
  (void)state;
  int mine = open_claims(), ready[2];
  assert_int_equal(pipe(ready), 0);
  pid_t child = fork();
  if (child == 0) {
    bool claimed = brig__claim(open_claims(), "o", "a", 0, -1, NULL) == 0;
    _exit(claimed && write(ready[1], "", 1) == 1 ? pause() : 1);
  }
  char byte;
  close(ready[1]);
  assert_int_equal(read(ready[0], &byte, 1), 1);
  assert_int_equal(brig__claim(mine, "o", "a", 0, -1, NULL), BRIG_E_BUSY);
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
  assert_int_equal(brig__claim(mine, "o", "a", 0, -1, NULL), 0);
  close(ready[0]);
  close(mine);
}

static void who_waits_gets_it(void **state) {
  (void)state;
  int mine = open_claims(), ready[2];
  assert_int_equal(pipe(ready), 0);
  assert_int_equal(brig__claim(mine, "o", "a", 0, -1, NULL), 0);
  pid_t child = fork();
  if (child == 0) {
    int other = open_claims();
    bool busy = brig__claim(other, "o", "a", 0, -1, NULL) == BRIG_E_BUSY;
    bool told = write(ready[1], "", 1) == 1;
    _exit(busy && told && brig__claim(other, "o", "a", 60000, -1, NULL) == 0 ? 0 : 1);
  }
  char byte;
  int status;
  assert_int_equal(read(ready[0], &byte, 1), 1);
  brig__claim_release(mine, "o", "a");
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_int_equal(status, 0);
  for (int i = 0; i < 2; i++) close(ready[i]);
  close(mine);
}

static void who_waits_can_be_cancelled(void **state) {
  (void)state;
  int one = open_claims(), other = open_claims(), event = eventfd(1, EFD_CLOEXEC);
  assert_int_equal(brig__claim(one, "o", "a", 0, event, NULL), 0);
  assert_int_equal(brig__claim(other, "o", "a", 60000, event, NULL), BRIG__CANCELLED);
  close(event);
  close(other);
  close(one);
}

static void only_this_user_may_write_and_no_link_is_followed(void **state) {
  (void)state;
  char path[128], store[128];
  struct stat st;
  int claims = open_claims(), none = -1;
  snprintf(path, sizeof path, "%s/sessions.db-claims", directory);
  assert_int_equal(stat(path, &st), 0);
  assert_int_equal(st.st_mode & 077, 0);
  close(claims);
  snprintf(store, sizeof store, "%s/other.db", directory);
  snprintf(path, sizeof path, "%s/other.db-claims", directory);
  assert_int_equal(symlink("sessions.db-claims", path), 0);
  assert_true(brig__claims_open(store, &none, NULL) < 0);
  assert_int_equal(none, -1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(one_has_it_and_others_are_told),
      TEST(who_is_killed_has_nothing_any_more),
      TEST(who_waits_gets_it),
      TEST(who_waits_can_be_cancelled),
      TEST(only_this_user_may_write_and_no_link_is_followed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
