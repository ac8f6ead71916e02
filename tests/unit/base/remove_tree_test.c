/* Trees as hostile programs leave them. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/fd.h"
#include "support/count_entries.h"

#define DEEP 5000

static char directory[] = "/var/tmp/brig-tree-XXXXXX";
static int top;

static int setup(void **state) {
  (void)state;
  /* One that keeps each level open has too few of them. */
  const struct rlimit few = {64, 64};
  if (mkdtemp(directory) == NULL || setrlimit(RLIMIT_NOFILE, &few) < 0) return -1;
  top = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  return top < 0 ? -1 : 0;
}

static int teardown(void **state) {
  (void)state;
  close(top);
  return rmdir(directory);
}

static void make_file(int parent, const char *name) {
  int fd = openat(parent, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  assert_true(fd >= 0);
  close(fd);
}

static void is_removed(const char *name) {
  size_t open_before = count_entries("/proc/self/fd");
  brig__remove_tree(top, name);
  assert_int_not_equal(faccessat(top, name, F_OK, AT_SYMLINK_NOFOLLOW), 0);
  assert_int_equal(count_entries(directory), 2);
  assert_int_equal(count_entries("/proc/self/fd"), open_before);
}

static void one_deeper_than_there_are_descriptors(void **state) {
  (void)state;
  int at = dup(top);
  for (int level = 0; level < DEEP; level++) {
    assert_int_equal(mkdirat(at, "d", 0700), 0);
    int below = openat(at, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    close(at);
    at = below;
    make_file(at, "f");
  }
  close(at);
  is_removed("d");
}

static void names_that_removing_uses_itself(void **state) {
  (void)state;
  assert_int_equal(mkdirat(top, "d", 0700), 0);
  int at = openat(top, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  for (int i = 0; i < 20; i++) {
    char name[64];
    snprintf(name, sizeof name, "brig-removes-%d", i);
    assert_int_equal(mkdirat(at, name, 0700), 0);
    for (int j = 0; j < 20; j++) {
      snprintf(name, sizeof name, "brig-removes-%d/brig-removes-%d", i, j);
      assert_int_equal(mkdirat(at, name, 0700), 0);
      snprintf(name, sizeof name, "brig-removes-%d/brig-removes-%d/f", i, j);
      make_file(at, name);
    }
  }
  close(at);
  is_removed("d");
}

static void links_are_not_followed(void **state) {
  (void)state;
  assert_int_equal(mkdirat(top, "kept", 0700), 0);
  make_file(top, "kept/f");
  assert_int_equal(mkdirat(top, "d", 0700), 0);
  assert_int_equal(mkdirat(top, "d/e", 0700), 0);
  assert_int_equal(symlinkat("../kept", top, "d/to"), 0);
  assert_int_equal(symlinkat("../../kept", top, "d/e/to"), 0);
  brig__remove_tree(top, "d");
  assert_int_equal(faccessat(top, "kept/f", F_OK, 0), 0);
  assert_int_equal(symlinkat("kept", top, "d"), 0);
  brig__remove_tree(top, "d");
  assert_int_equal(faccessat(top, "kept/f", F_OK, 0), 0);
  is_removed("kept");
}

static void files_and_nothing(void **state) {
  (void)state;
  make_file(top, "f");
  is_removed("f");
  is_removed("nothing");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(one_deeper_than_there_are_descriptors),
      cmocka_unit_test(names_that_removing_uses_itself),
      cmocka_unit_test(links_are_not_followed),
      cmocka_unit_test(files_and_nothing),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
