/* A guest without an engine: two pages of memory, a directory, and the calls by
 * name. */
#ifndef BRIG_TESTS_WASI_FIXTURE_H
#define BRIG_TESTS_WASI_FIXTURE_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
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
#include "wasi/preview1.h"
#include "wasi/wasi.h"

#define MEMORY_SIZE 131072u

struct fixture {
  struct wasi *wasi;
  struct wasi_view view;
  char directory[64], outside[64];
  int mounts[2], input[2], output[2];
};

static struct fixture fixture;

/* Where a test may put things in memory. */
enum { PATH_AT = 1024, PATH2_AT = 2048, OUT_AT = 4096, IOV_AT = 512, DATA_AT = 8192 };
enum { RO_FD = 3, RW_FD = 4 };

static uint32_t call_args(const char *name, const uint64_t *args) {
  for (size_t i = 0; i < brig__wasi_call_count; i++)
    if (strcmp(brig__wasi_calls[i].name, name) == 0)
      return brig__wasi_calls[i].invoke(fixture.wasi, &fixture.view, args);
  fail_msg("no call %s", name);
  return 0;
}
#define CALL(name, ...) call_args(#name, (const uint64_t[WASI_MAX_PARAMS]){__VA_ARGS__})

static inline uint32_t put(uint32_t at, const char *text) {
  strcpy((char *)fixture.view.base + at, text);
  return (uint32_t)strlen(text);
}

static inline uint32_t u32_at(uint32_t at) {
  uint32_t value;
  memcpy(&value, fixture.view.base + at, 4);
  return value;
}

static inline uint64_t u64_at(uint32_t at) {
  uint64_t value;
  memcpy(&value, fixture.view.base + at, 8);
  return value;
}

static inline void put_iovec(uint32_t buffer, uint32_t size) {
  struct wasi_iovec iovec = {buffer, size};
  memcpy(fixture.view.base + IOV_AT, &iovec, sizeof iovec);
}

#define ALL_FILE_RIGHTS WASI_RIGHTS_FILE

/* Open in the read-write directory: the errno, the descriptor at OUT_AT. */
static inline uint32_t open_at(uint32_t fd, const char *path, uint32_t lookup, uint32_t oflags,
                               uint64_t rights, uint32_t fdflags) {
  uint32_t size = put(PATH_AT, path);
  return CALL(path_open, fd, lookup, PATH_AT, size, oflags, rights, rights, fdflags, OUT_AT);
}

static inline uint32_t must_open(const char *path, uint32_t oflags, uint64_t rights) {
  assert_int_equal(open_at(RW_FD, path, 0, oflags, rights, 0), WASI_ESUCCESS);
  return u32_at(OUT_AT);
}

static inline void create_file(const char *path) {
  uint32_t fd = must_open(path, WASI_OFLAG_CREAT, 0);
  assert_int_equal(CALL(fd_close, fd), WASI_ESUCCESS);
}

static inline uint32_t on_path(const char *name, const char *path) {
  uint32_t size = put(PATH_AT, path);
  return call_args(name, (const uint64_t[WASI_MAX_PARAMS]){RW_FD, PATH_AT, size});
}

static inline uint32_t write_text(uint32_t fd, const char *text) {
  put_iovec(DATA_AT, put(DATA_AT, text));
  return CALL(fd_write, fd, IOV_AT, 1, OUT_AT);
}

static void remove_all(const char *path) {
  char command[160];
  snprintf(command, sizeof command, "rm -rf '%s'", path);
  assert_int_equal(system(command), 0);
}

static int open_fixture_with(uint64_t bytes, uint64_t files) {
  static char *argv[] = {(char *)(uintptr_t) "guest", (char *)(uintptr_t) "one", NULL};
  static char *env[] = {(char *)(uintptr_t) "A=b", NULL};
  umask(077);
  signal(SIGPIPE, SIG_IGN);
  strcpy(fixture.directory, "/tmp/brig-wasi-XXXXXX");
  strcpy(fixture.outside, "/tmp/brig-outside-XXXXXX");
  if (mkdtemp(fixture.directory) == NULL || mkdtemp(fixture.outside) == NULL) return -1;
  fixture.mounts[0] = open("/usr/share/common-licenses", O_PATH | O_DIRECTORY | O_CLOEXEC);
  fixture.mounts[1] = open(fixture.directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (pipe(fixture.input) < 0 || pipe(fixture.output) < 0) return -1;
  const struct wasi_mount mounts[] = {{fixture.mounts[0], "/ro", false},
                                      {fixture.mounts[1], "/rw", true}};
  struct wasi_options options = {.argv = argv,
                                 .env = env,
                                 .stdin_fd = fixture.input[0],
                                 .stdout_fd = fixture.output[1],
                                 .stderr_fd = fixture.output[1],
                                 .mounts = mounts,
                                 .mount_count = 2,
                                 .quota_bytes = bytes,
                                 .quota_files = files,
                                 .open_files = 64};
  fixture.view = (struct wasi_view){calloc(1, MEMORY_SIZE), MEMORY_SIZE};
  return brig__wasi_create(&options, &fixture.wasi);
}

static int open_fixture(void **state) {
  (void)state;
  return open_fixture_with(1 << 20, 5000);
}

static int close_fixture(void **state) {
  (void)state;
  brig__wasi_destroy(fixture.wasi);
  free(fixture.view.base);
  for (int i = 0; i < 2; i++) {
    close(fixture.mounts[i]);
    if (fixture.input[i] >= 0) close(fixture.input[i]);
    if (fixture.output[i] >= 0) close(fixture.output[i]);
  }
  remove_all(fixture.directory);
  remove_all(fixture.outside);
  memset(&fixture, 0, sizeof fixture);
  return 0;
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, open_fixture, close_fixture)

#endif
