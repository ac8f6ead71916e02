/* Every call, with every argument at every edge: never a fault of ours. */
#include "wasi_fixture.h"

/* Values that an address, a length, a count, a descriptor or flags may have. */
static const uint64_t edges[] = {0,
                                 1,
                                 3,
                                 4,
                                 24,
                                 MEMORY_SIZE - 1,
                                 MEMORY_SIZE - 8,
                                 MEMORY_SIZE,
                                 MEMORY_SIZE + 1,
                                 0x7fffffff,
                                 0xfffffff8,
                                 0xffffffff,
                                 UINT64_C(0x7fffffffffffffff),
                                 UINT64_MAX};
#define EDGES (sizeof edges / sizeof *edges)

static bool would_block(const char *name, const uint64_t *args) {
  /* Reading an empty standard input, or waiting for it, is what was asked for. */
  return (strcmp(name, "fd_read") == 0 && args[0] == 0) || strcmp(name, "poll_oneoff") == 0;
}

static void try_all(const struct wasi_call *call) {
  size_t params = strlen(call->params);
  uint64_t args[WASI_MAX_PARAMS];
  /* Each argument through all edges, around two others: plausible, and wild. */
  const uint64_t around[] = {RW_FD, 64, 0xfffffff0, MEMORY_SIZE - 4};
  for (size_t which = 0; which < params; which++)
    for (size_t base = 0; base < sizeof around / sizeof *around; base++)
      for (size_t edge = 0; edge < EDGES; edge++) {
        for (size_t i = 0; i < params; i++) args[i] = around[base];
        if (base == 1) args[0] = RW_FD;
        args[which] = edges[edge];
        for (size_t i = 0; i < params; i++)
          if (call->params[i] == 'i') args[i] = (uint32_t)args[i];
        if (would_block(call->name, args)) continue;
        uint32_t result = call->invoke(fixture.wasi, &fixture.view, args);
        if (call->returns_errno) assert_true(result < WASI_ERRNO_COUNT);
      }
}

static void no_argument_of_any_call_makes_us_fail(void **state) {
  close(fixture.input[1]); /* standard input is at its end, so nothing waits */
  fixture.input[1] = -1;
  (void)state;
  for (size_t i = 0; i < brig__wasi_call_count; i++) {
    close_fixture(NULL);
    assert_int_equal(open_fixture(NULL), 0);
    try_all(&brig__wasi_calls[i]);
  }
}

/* clang-format off */

/* The address of every result, argument by argument: X(call, which, arguments). */
#define RESULTS(X)                                                              \
  X(args_get, 0, 0, DATA_AT) X(args_get, 1, OUT_AT, 0)                          \
  X(args_sizes_get, 0, 0, OUT_AT) X(args_sizes_get, 1, OUT_AT, 0)               \
  X(environ_get, 0, 0, DATA_AT) X(environ_get, 1, OUT_AT, 0)                    \
  X(environ_sizes_get, 0, 0, OUT_AT) X(environ_sizes_get, 1, OUT_AT, 0)         \
  X(clock_res_get, 1, 1, 0) X(clock_time_get, 2, 1, 0, 0)                       \
  X(fd_fdstat_get, 1, RW_FD, 0) X(fd_filestat_get, 1, RW_FD, 0)                 \
  X(fd_prestat_get, 1, RW_FD, 0) X(fd_prestat_dir_name, 1, RW_FD, 0, 8)         \
  X(fd_readdir, 1, RW_FD, 0, 64, 0, OUT_AT) X(fd_readdir, 4, RW_FD, 64, 64, 0, 0) \
  X(fd_write, 1, 1, 0, 1, OUT_AT) X(fd_write, 3, 1, IOV_AT, 1, 0)               \
  X(path_create_directory, 1, RW_FD, 0, 4) X(path_unlink_file, 1, RW_FD, 0, 4)  \
  X(path_open, 2, RW_FD, 0, 0, 4, 0, 0, 0, 0, OUT_AT)                           \
  X(path_open, 8, RW_FD, 0, PATH_AT, 4, 1, 0, 0, 0, 0)                          \
  X(path_filestat_get, 2, RW_FD, 0, 0, 4, OUT_AT)                               \
  X(path_symlink, 0, 0, 4, RW_FD, PATH_AT, 4) X(path_symlink, 3, PATH_AT, 4, RW_FD, 0, 4) \
  X(poll_oneoff, 0, 0, OUT_AT, 1, IOV_AT) X(poll_oneoff, 1, DATA_AT, 0, 1, IOV_AT) \
  X(random_get, 0, 0, 8)

/* clang-format on */

static void an_address_beyond_memory_is_a_fault(void **state) {
  static const struct {
    const char *name;
    unsigned which;
    uint64_t args[WASI_MAX_PARAMS];
  } rows[] = {
#define ROW(name, which, ...) {#name, which, {__VA_ARGS__}},
      RESULTS(ROW)
#undef ROW
  };
  static const uint32_t addresses[] = {MEMORY_SIZE - 1, MEMORY_SIZE, 0xfffffffc, 0xffffffff};
  (void)state;
  put_iovec(DATA_AT, 4);
  memcpy(fixture.view.base + PATH_AT, "name", 4);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    for (size_t j = 0; j < 4; j++) {
      uint64_t args[WASI_MAX_PARAMS];
      memcpy(args, rows[i].args, sizeof args);
      args[rows[i].which] = addresses[j];
      uint32_t result = call_args(rows[i].name, args);
      if (result != WASI_EFAULT)
        fail_msg("%s, argument %u at %#x: %u", rows[i].name, rows[i].which, addresses[j], result);
    }
  char made[80];
  snprintf(made, sizeof made, "%s/name", fixture.directory);
  assert_int_equal(access(made, F_OK), -1); /* and nothing was done before it was seen */
}

static void buffers_that_end_with_memory_are_whole(void **state) {
  (void)state;
  assert_int_equal(CALL(random_get, MEMORY_SIZE - 8, 8), WASI_ESUCCESS);
  assert_int_equal(CALL(random_get, MEMORY_SIZE, 0), WASI_ESUCCESS);
  assert_int_equal(CALL(random_get, MEMORY_SIZE + 1, 0), WASI_EFAULT);
  put_iovec(MEMORY_SIZE - 4, 4);
  assert_int_equal(CALL(fd_write, 1, IOV_AT, 1, OUT_AT), WASI_ESUCCESS);
  put_iovec(MEMORY_SIZE, 0);
  assert_int_equal(CALL(fd_write, 1, IOV_AT, 1, OUT_AT), WASI_ESUCCESS);
  put_iovec(MEMORY_SIZE - 4, 5);
  assert_int_equal(CALL(fd_write, 1, IOV_AT, 1, OUT_AT), WASI_EFAULT);
}

static void many_buffers_are_no_more_than_the_systems(void **state) {
  (void)state;
  assert_int_equal(CALL(fd_write, 1, DATA_AT, 1024, OUT_AT), WASI_ESUCCESS);
  assert_int_equal(CALL(fd_write, 1, DATA_AT, 1025, OUT_AT), WASI_EINVAL);
  assert_int_equal(CALL(fd_write, 1, DATA_AT, 1u << 29, OUT_AT), WASI_EINVAL);
}

static void without_a_memory_every_address_is_a_fault(void **state) {
  struct wasi_view view = fixture.view;
  (void)state;
  fixture.view = (struct wasi_view){0};
  assert_int_equal(CALL(random_get, 0, 0), WASI_EFAULT);
  assert_int_equal(CALL(clock_time_get, 1, 0, 0), WASI_EFAULT);
  fixture.view = view;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(no_argument_of_any_call_makes_us_fail),
      TEST(an_address_beyond_memory_is_a_fault),
      TEST(buffers_that_end_with_memory_are_whole),
      TEST(many_buffers_are_no_more_than_the_systems),
      TEST(without_a_memory_every_address_is_a_fault),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
