/* A template's guest: stopped at its first wish for input, gone on with in a fork. */
#include "wasi_fixture.h"

static int programs[2];

/* As open_fixture, but as a template begins: nothing is there but names. */
static int open_parking(void **state) {
  static char *none[] = {NULL};
  const struct wasi_mount mounts[] = {{-1, "/ro", false}, {-1, "/rw", true}};
  struct wasi_options options = {.argv = none,
                                 .env = none,
                                 .stdin_fd = -1,
                                 .stdout_fd = -1,
                                 .stderr_fd = -1,
                                 .mounts = mounts,
                                 .mount_count = 2,
                                 .quota_files = 5,
                                 .open_files = 64,
                                 .parks = true};
  if (open_fixture(state) < 0) return -1;
  brig__wasi_destroy(fixture.wasi);
  programs[0] = programs[1] = -1;
  return brig__wasi_create(&options, &fixture.wasi);
}

static void resume_with(bool has_program, const char *program, size_t size) {
  const struct wasi_mount mounts[] = {{fixture.mounts[0], "/ro", false},
                                      {fixture.mounts[1], "/rw", true}};
  brig__wasi_resume(fixture.wasi, &(struct wasi_options){.stdin_fd = fixture.input[0],
                                                         .stdout_fd = fixture.output[1],
                                                         .stderr_fd = fixture.output[1],
                                                         .mounts = mounts,
                                                         .mount_count = 2,
                                                         .has_program = has_program,
                                                         .program_fd = programs[0],
                                                         .program = program,
                                                         .program_size = size,
                                                         .quota_bytes = 4096,
                                                         .quota_files = 10,
                                                         .open_files = 64});
}

static void resume(bool has_program) {
  if (has_program) assert_int_equal(pipe(programs), 0);
  resume_with(has_program, NULL, 0);
}

/* What a read of standard input gives. */
static const char *read_input(void) {
  static char text[64];
  put_iovec(DATA_AT, sizeof text - 1);
  assert_int_equal(CALL(fd_read, 0, IOV_AT, 1, OUT_AT), WASI_ESUCCESS);
  uint32_t size = u32_at(OUT_AT);
  assert_true(size < sizeof text);
  memcpy(text, fixture.view.base + DATA_AT, size);
  text[size] = '\0';
  return text;
}

static void reading_stdin_parks_until_it_is_resumed(void **state) {
  (void)state;
  put_iovec(DATA_AT, 8);
  memset(fixture.view.base + DATA_AT, 7, 8);
  assert_int_equal(CALL(fd_read, 0, IOV_AT, 1, OUT_AT), WASI_PARKED);
  assert_int_equal(CALL(fd_read, 0, IOV_AT, 1, OUT_AT), WASI_PARKED);
  assert_int_equal(fixture.view.base[DATA_AT], 7);
  resume(false);
  assert_int_equal(write(fixture.input[1], "in", 2), 2);
  assert_string_equal(read_input(), "in");
}

static void so_does_waiting_for_it(void **state) {
  (void)state;
  struct {
    uint64_t userdata;
    uint8_t tag, pad[7];
    uint32_t fd, pad2;
    uint8_t rest[24];
  } subscription = {.userdata = 5, .tag = 1 /* fd_read */, .fd = 0};
  _Static_assert(sizeof subscription == 48, "as witx has it");
  memcpy(fixture.view.base + DATA_AT, &subscription, sizeof subscription);
  assert_int_equal(CALL(poll_oneoff, DATA_AT, PATH2_AT, 1, OUT_AT), WASI_PARKED);
  resume(false);
  assert_int_equal(write(fixture.input[1], "x", 1), 1);
  assert_int_equal(CALL(poll_oneoff, DATA_AT, PATH2_AT, 1, OUT_AT), WASI_ESUCCESS);
  assert_int_equal(u32_at(OUT_AT), 1);
}

static void a_mistake_is_told_before_it_parks(void **state) {
  (void)state;
  put_iovec(MEMORY_SIZE - 4, 8);
  assert_int_equal(CALL(fd_read, 0, IOV_AT, 1, OUT_AT), WASI_EFAULT);
  put_iovec(DATA_AT, 8);
  assert_int_equal(CALL(fd_read, 0, IOV_AT, 1, MEMORY_SIZE - 2), WASI_EFAULT);
  assert_int_equal(CALL(fd_read, 9, IOV_AT, 1, OUT_AT), WASI_EBADF);
}

static void nothing_is_in_a_directory_that_is_only_a_name(void **state) {
  (void)state;
  for (uint32_t fd = RO_FD; fd <= RW_FD; fd++) {
    assert_int_equal(open_at(fd, "GPL-3", 0, 0, WASI_RIGHT_FD_READ, 0), WASI_ENOENT);
    assert_int_equal(open_at(fd, "new", 0, WASI_OFLAG_CREAT, WASI_RIGHT_FD_WRITE, 0),
                     fd == RO_FD ? WASI_EROFS : WASI_ENOENT);
    assert_int_equal(CALL(fd_prestat_get, fd, OUT_AT), WASI_ESUCCESS);
    assert_int_equal(u32_at(OUT_AT + 4), 3);
  }
  resume(false);
  assert_int_equal(open_at(RO_FD, "GPL-3", 0, 0, WASI_RIGHT_FD_READ, 0), WASI_ESUCCESS);
  assert_int_equal(open_at(RO_FD, "new", 0, WASI_OFLAG_CREAT, WASI_RIGHT_FD_WRITE, 0), WASI_EROFS);
  create_file("new");
}

static void limits_are_those_of_the_resumed(void **state) {
  (void)state;
  resume(false);
  uint32_t fd = must_open("file", WASI_OFLAG_CREAT, ALL_FILE_RIGHTS);
  assert_int_equal(CALL(fd_allocate, fd, 0, 4096), WASI_ESUCCESS);
  assert_int_equal(CALL(fd_allocate, fd, 0, 4097), WASI_ENOSPC);
  assert_int_equal(CALL(fd_close, fd), WASI_ESUCCESS);
}

static void a_program_comes_before_the_input_and_has_an_end_of_its_own(void **state) {
  (void)state;
  resume(true);
  assert_int_equal(write(fixture.input[1], "input", 5), 5);
  assert_int_equal(write(programs[1], "program", 7), 7);
  close(programs[1]);
  assert_string_equal(read_input(), "program");
  assert_string_equal(read_input(), "");
  assert_string_equal(read_input(), "input");
  close(fixture.input[1]);
  fixture.input[1] = -1;
  assert_string_equal(read_input(), "");
}

static void so_does_one_in_memory(void **state) {
  (void)state;
  const struct wasi_iovec both[] = {{DATA_AT, 3}, {DATA_AT + 10, 2}};
  resume_with(true, "a program", 9);
  assert_int_equal(write(fixture.input[1], "input", 5), 5);
  memcpy(fixture.view.base + IOV_AT, both, sizeof both);
  assert_int_equal(CALL(fd_read, 0, IOV_AT, 2, OUT_AT), WASI_ESUCCESS);
  assert_int_equal(u32_at(OUT_AT), 5);
  assert_memory_equal(fixture.view.base + DATA_AT, "a p", 3);
  assert_memory_equal(fixture.view.base + DATA_AT + 10, "ro", 2);
  assert_string_equal(read_input(), "gram");
  assert_string_equal(read_input(), "");
  assert_string_equal(read_input(), "input");
}

static void what_the_guest_opened_itself_is_counted(void **state) {
  (void)state;
  int fds[4];
  assert_int_equal(brig__wasi_opened(fixture.wasi, fds, 4), 0);
  resume(false);
  create_file("file");
  must_open("file", 0, WASI_RIGHT_FD_READ);
  assert_int_equal(brig__wasi_opened(fixture.wasi, fds, 4), 1);
}

#define PARKED(function) cmocka_unit_test_setup_teardown(function, open_parking, close_fixture)

int main(void) {
  const struct CMUnitTest tests[] = {
      PARKED(reading_stdin_parks_until_it_is_resumed),
      PARKED(so_does_waiting_for_it),
      PARKED(a_mistake_is_told_before_it_parks),
      PARKED(nothing_is_in_a_directory_that_is_only_a_name),
      PARKED(limits_are_those_of_the_resumed),
      PARKED(a_program_comes_before_the_input_and_has_an_end_of_its_own),
      PARKED(so_does_one_in_memory),
      PARKED(what_the_guest_opened_itself_is_counted),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
