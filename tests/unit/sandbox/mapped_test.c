/* Directories of root's as workers are given them: real mounts, and so for root alone. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <cmocka.h>
#include "pool/id_map.h"
#include "sandbox/mapped.h"
#include "support/count_entries.h"

static char directory[] = "/var/tmp/brig-mapped-XXXXXX";
static char path[sizeof directory + 8], other[sizeof directory + 8];
static int id_map = -1;
static struct mapped *mapped;

static int setup(void **state) {
  (void)state;
  if (mkdtemp(directory) == NULL) return -1;
  snprintf(path, sizeof path, "%s/a", directory);
  snprintf(other, sizeof other, "%s/b", directory);
  id_map = brig__id_map_create(65534);
  mapped = brig__mapped_new(id_map);
  return mapped == NULL ? -1 : mkdir(path, 0700);
}

static int teardown(void **state) {
  (void)state;
  brig__mapped_free(mapped);
  if (id_map >= 0) close(id_map);
  rmdir(path);
  return rmdir(directory);
}

static void only_for_root(void) {
  if (geteuid() != 0 || id_map < 0) skip();
}

static struct statx look(int fd) {
  struct statx st;
  assert_int_equal(statx(fd, "", AT_EMPTY_PATH, STATX_INO | STATX_UID | STATX_MNT_ID, &st), 0);
  return st;
}

/* Mapped, looked at, and closed. */
static struct statx map(const char *name, bool read_write) {
  int fd = open(name, O_PATH | O_DIRECTORY | O_CLOEXEC);
  assert_true(fd >= 0);
  fd = brig__mapped_directory(mapped, fd, read_write);
  struct statx st = look(fd);
  close(fd);
  return st;
}

/* From the second time on that somebody asks for it. */
static struct statx map_often(const char *name, bool read_write) {
  map(name, read_write);
  return map(name, read_write);
}

static void a_directory_is_mapped_once_for_all_who_ask(void **state) {
  (void)state;
  only_for_root();
  struct statx first = map_often(path, true), again = map(path, true);
  assert_int_equal(first.stx_uid, 65534);
  assert_int_equal(first.stx_mnt_id, again.stx_mnt_id);
}

static void what_is_asked_for_once_is_not_kept(void **state) {
  (void)state;
  only_for_root();
  size_t before = count_entries("/proc/self/fd");
  assert_int_equal(mkdir(other, 0700), 0);
  map(other, true);
  assert_int_equal(count_entries("/proc/self/fd"), before);
  assert_int_equal(rmdir(other), 0);
}

static void who_may_read_is_not_given_what_another_may_write(void **state) {
  (void)state;
  only_for_root();
  int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  map_often(path, true);
  fd = brig__mapped_directory(mapped, fd, false);
  struct statvfs st;
  assert_int_equal(fstatvfs(fd, &st), 0);
  assert_true(st.f_flag & ST_RDONLY);
  close(fd);
}

static void another_directory_under_the_same_name_is_another(void **state) {
  (void)state;
  only_for_root();
  struct statx before = map_often(path, true);
  assert_int_equal(rename(path, other), 0);
  assert_int_equal(mkdir(path, 0700), 0);
  struct statx after = map(path, true), moved = map(other, true);
  assert_int_not_equal(before.stx_ino, after.stx_ino);
  assert_int_equal(before.stx_mnt_id, moved.stx_mnt_id);
  assert_int_equal(rmdir(other), 0);
}

/* Nobody else gets its inode while it is kept. */
static void one_that_is_removed_is_not_taken_for_the_next(void **state) {
  (void)state;
  only_for_root();
  for (int i = 0; i < 20; i++) {
    uint64_t before = map_often(path, true).stx_ino;
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_not_equal(map(path, true).stx_ino, before);
  }
}

static void none_is_kept_for_long(void **state) {
  (void)state;
  only_for_root();
  brig__mapped_free(mapped);
  size_t before = count_entries("/proc/self/fd");
  mapped = brig__mapped_new(id_map);
  map_often(path, true);
  map_often(path, false);
  assert_int_equal(count_entries("/proc/self/fd"), before + 2);
  assert_int_equal(wait_for_entries("/proc/self/fd", before), before);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_directory_is_mapped_once_for_all_who_ask),
      cmocka_unit_test(what_is_asked_for_once_is_not_kept),
      cmocka_unit_test(who_may_read_is_not_given_what_another_may_write),
      cmocka_unit_test(another_directory_under_the_same_name_is_another),
      cmocka_unit_test(one_that_is_removed_is_not_taken_for_the_next),
      cmocka_unit_test(none_is_kept_for_long),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
