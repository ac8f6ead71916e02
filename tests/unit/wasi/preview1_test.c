/* Preview 1's semantics, call by call, where a conformance suite would look. */
#include "wasi_fixture.h"

static void errno_is(uint32_t result, wasi_errno wanted) { assert_int_equal(result, wanted); }

static void arguments_and_environment_are_what_was_given(void **state) {
  (void)state;
  errno_is(CALL(args_sizes_get, OUT_AT, OUT_AT + 4), WASI_ESUCCESS);
  assert_int_equal(u32_at(OUT_AT), 2);
  assert_int_equal(u32_at(OUT_AT + 4), sizeof "guest\0one");
  errno_is(CALL(args_get, OUT_AT, DATA_AT), WASI_ESUCCESS);
  assert_int_equal(u32_at(OUT_AT + 4), DATA_AT + sizeof "guest");
  assert_memory_equal(fixture.view.base + DATA_AT, "guest\0one", sizeof "guest\0one");
  errno_is(CALL(environ_get, OUT_AT, DATA_AT), WASI_ESUCCESS);
  assert_string_equal((char *)fixture.view.base + DATA_AT, "A=b");
}

static void clocks_are_four_and_no_more(void **state) {
  (void)state;
  for (uint32_t id = 0; id < 4; id++) errno_is(CALL(clock_time_get, id, 0, OUT_AT), WASI_ESUCCESS);
  errno_is(CALL(clock_time_get, 4, 0, OUT_AT), WASI_EINVAL);
  errno_is(CALL(clock_res_get, 0xffffffff, OUT_AT), WASI_EINVAL);
}

static void preopens_have_names(void **state) {
  (void)state;
  errno_is(CALL(fd_prestat_get, RO_FD, OUT_AT), WASI_ESUCCESS);
  assert_int_equal(u32_at(OUT_AT + 4), 3);
  errno_is(CALL(fd_prestat_dir_name, RO_FD, DATA_AT, 2), WASI_ENAMETOOLONG);
  errno_is(CALL(fd_prestat_dir_name, RO_FD, DATA_AT, 4), WASI_ESUCCESS);
  assert_memory_equal(fixture.view.base + DATA_AT, "/ro", 3);
  errno_is(CALL(fd_prestat_get, 5, OUT_AT), WASI_EBADF);
  errno_is(CALL(fd_prestat_get, 1, OUT_AT), WASI_EBADF);
}

static void paths_are_resolved_as_posix_does_but_never_outwards(void **state) {
  (void)state;
  errno_is(on_path("path_create_directory", "dir"), WASI_ESUCCESS);
  errno_is(on_path("path_create_directory", "dir/nested"), WASI_ESUCCESS);
  create_file("dir/nested/file");
  static const struct {
    const char *path;
    wasi_errno wanted;
  } rows[] = {
      {"dir/.//nested/../../dir/nested/../nested///./file", WASI_ESUCCESS},
      {"dir/nested/", WASI_ESUCCESS},
      {"dir/nested///", WASI_ESUCCESS},
      {".", WASI_ESUCCESS},
      {"dir/..", WASI_ESUCCESS},
      {"dir/nested/file/", WASI_ENOTDIR},
      {"dir/nested/file///", WASI_ENOTDIR},
      {"/dir/nested/file", WASI_EPERM},
      {"", WASI_ENOENT},
      {"..", WASI_EPERM},
      {"dir/../..", WASI_EPERM},
      {"dir/nested/../../../x", WASI_EPERM},
      {"none", WASI_ENOENT},
      {"none/x", WASI_ENOENT},
      {"\xff", WASI_EILSEQ},
      {"\xed\xa0\x80", WASI_EILSEQ},
      {"\xc0\x80", WASI_EILSEQ},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    uint32_t result = open_at(RW_FD, rows[i].path, 0, 0, 0, 0);
    if (result != rows[i].wanted) fail_msg("open of \"%s\": %u", rows[i].path, result);
  }
  memcpy(fixture.view.base + PATH_AT, "dir\0x", 5);
  errno_is(CALL(path_open, RW_FD, 0, PATH_AT, 5, 0, 0, 0, 0, OUT_AT), WASI_EINVAL);
}

static void path_open_needs_a_directory_and_its_rights(void **state) {
  (void)state;
  create_file("file");
  uint32_t file = must_open("file", 0, WASI_RIGHT_FD_READ);
  errno_is(open_at(file, "x", 0, 0, 0, 0), WASI_ENOTDIR);
  errno_is(open_at(60, "x", 0, 0, 0, 0), WASI_EBADF);
  errno_is(open_at(RW_FD, "x", 0, WASI_OFLAG_CREAT | WASI_OFLAG_DIRECTORY, 0, 0), WASI_EINVAL);
  errno_is(open_at(RW_FD, "file", 0, WASI_OFLAG_DIRECTORY, 0, 0), WASI_ENOTDIR);
  errno_is(open_at(RW_FD, "file", 0, WASI_OFLAG_CREAT | WASI_OFLAG_EXCL, 0, 0), WASI_EEXIST);
  errno_is(open_at(RW_FD, ".", 0, 0, WASI_RIGHT_FD_WRITE, 0), WASI_EISDIR);
  errno_is(open_at(RW_FD, "file", 0, 0, UINT64_C(1) << 40, 0), WASI_ENOTCAPABLE);
  uint64_t rights = WASI_RIGHTS_DIRECTORY & ~(uint64_t)WASI_RIGHT_PATH_FILESTAT_SET_SIZE;
  errno_is(CALL(fd_fdstat_set_rights, RW_FD, rights, WASI_RIGHTS_FILE), WASI_ESUCCESS);
  errno_is(open_at(RW_FD, "file", 0, WASI_OFLAG_TRUNC, 0, 0), WASI_ENOTCAPABLE);
  errno_is(CALL(fd_fdstat_set_rights, RW_FD, WASI_RIGHTS_DIRECTORY, 0), WASI_ENOTCAPABLE);
}

static void rights_are_of_the_type_and_only_shrink(void **state) {
  (void)state;
  create_file("file");
  uint32_t fd = must_open("file", 0, WASI_RIGHT_FD_READ | WASI_RIGHT_PATH_OPEN);
  errno_is(CALL(fd_fdstat_get, fd, OUT_AT), WASI_ESUCCESS);
  assert_int_equal(u64_at(OUT_AT + 8), WASI_RIGHT_FD_READ);
  errno_is(write_text(fd, "x"), WASI_ENOTCAPABLE);
  errno_is(CALL(fd_fdstat_set_rights, fd, WASI_RIGHT_FD_READ | WASI_RIGHT_FD_WRITE, 0),
           WASI_ENOTCAPABLE);
  uint32_t dir = must_open(".", WASI_OFLAG_DIRECTORY, WASI_RIGHT_FD_SEEK | WASI_RIGHT_FD_READDIR);
  errno_is(CALL(fd_fdstat_get, dir, OUT_AT), WASI_ESUCCESS);
  assert_int_equal(u64_at(OUT_AT + 8), WASI_RIGHT_FD_READDIR);
  errno_is(CALL(fd_seek, dir, 0, WASI_WHENCE_CUR, OUT_AT), WASI_EISDIR);
}

static void reading_writing_and_seeking_go_together(void **state) {
  (void)state;
  uint32_t fd = must_open("file", WASI_OFLAG_CREAT, ALL_FILE_RIGHTS);
  errno_is(write_text(fd, "0123456789"), WASI_ESUCCESS);
  assert_int_equal(u32_at(OUT_AT), 10);
  errno_is(CALL(fd_tell, fd, OUT_AT), WASI_ESUCCESS);
  assert_int_equal(u64_at(OUT_AT), 10);
  errno_is(CALL(fd_seek, fd, (uint64_t)-4, WASI_WHENCE_END, OUT_AT), WASI_ESUCCESS);
  assert_int_equal(u64_at(OUT_AT), 6);
  errno_is(CALL(fd_seek, fd, (uint64_t)-7, WASI_WHENCE_CUR, OUT_AT), WASI_EINVAL);
  errno_is(CALL(fd_seek, fd, 0, 3, OUT_AT), WASI_EINVAL);
  put_iovec(DATA_AT, 100);
  errno_is(CALL(fd_read, fd, IOV_AT, 1, OUT_AT), WASI_ESUCCESS);
  assert_int_equal(u32_at(OUT_AT), 4);
  assert_memory_equal(fixture.view.base + DATA_AT, "6789", 4);
  put_iovec(DATA_AT, 2);
  errno_is(CALL(fd_pwrite, fd, IOV_AT, 1, 1, OUT_AT), WASI_ESUCCESS);
  errno_is(CALL(fd_pread, fd, IOV_AT, 1, 1, OUT_AT), WASI_ESUCCESS);
  assert_memory_equal(fixture.view.base + DATA_AT, "67", 2);
  errno_is(CALL(fd_pread, fd, IOV_AT, 1, UINT64_MAX, OUT_AT), WASI_EINVAL);
  errno_is(CALL(fd_pwrite, fd, IOV_AT, 1, INT64_MAX, OUT_AT), WASI_EFBIG);
}

static void append_writes_at_the_end_until_it_is_turned_off(void **state) {
  (void)state;
  errno_is(open_at(RW_FD, "file", 0, WASI_OFLAG_CREAT, ALL_FILE_RIGHTS, WASI_FDFLAG_APPEND),
           WASI_ESUCCESS);
  uint32_t fd = u32_at(OUT_AT);
  errno_is(write_text(fd, "aaaa"), WASI_ESUCCESS);
  errno_is(CALL(fd_seek, fd, 0, WASI_WHENCE_SET, OUT_AT), WASI_ESUCCESS);
  errno_is(write_text(fd, "bb"), WASI_ESUCCESS);
  errno_is(CALL(fd_filestat_get, fd, OUT_AT), WASI_ESUCCESS);
  assert_int_equal(u64_at(OUT_AT + 32), 6);
  errno_is(CALL(fd_fdstat_set_flags, fd, 0), WASI_ESUCCESS);
  errno_is(CALL(fd_seek, fd, 0, WASI_WHENCE_SET, OUT_AT), WASI_ESUCCESS);
  errno_is(write_text(fd, "cc"), WASI_ESUCCESS);
  errno_is(CALL(fd_filestat_get, fd, OUT_AT), WASI_ESUCCESS);
  assert_int_equal(u64_at(OUT_AT + 32), 6);
  errno_is(CALL(fd_fdstat_set_flags, fd, WASI_FDFLAG_SYNC), WASI_ENOTSUP);
  errno_is(CALL(fd_fdstat_set_flags, fd, 1 << 9), WASI_EINVAL);
}

static void sizes_are_set_allocated_and_truncated(void **state) {
  (void)state;
  uint32_t fd = must_open("file", WASI_OFLAG_CREAT, ALL_FILE_RIGHTS);
  errno_is(CALL(fd_allocate, fd, 0, 100), WASI_ESUCCESS);
  errno_is(CALL(fd_allocate, fd, 10, 10), WASI_ESUCCESS);
  errno_is(CALL(fd_allocate, fd, 90, 20), WASI_ESUCCESS);
  errno_is(CALL(fd_filestat_get, fd, OUT_AT), WASI_ESUCCESS);
  assert_int_equal(u64_at(OUT_AT + 32), 110);
  errno_is(CALL(fd_allocate, fd, 0, 0), WASI_EINVAL);
  errno_is(CALL(fd_allocate, fd, UINT64_MAX, 2), WASI_EFBIG);
  errno_is(CALL(fd_filestat_set_size, fd, 5), WASI_ESUCCESS);
  errno_is(CALL(fd_advise, fd, 0, 5, 6), WASI_EINVAL);
  errno_is(CALL(fd_advise, fd, 0, 5, 3), WASI_ESUCCESS);
  errno_is(CALL(fd_advise, RW_FD, 0, 5, 3), WASI_EBADF);
  errno_is(CALL(fd_allocate, RW_FD, 0, 1), WASI_EBADF);
  errno_is(open_at(RW_FD, "file", 0, WASI_OFLAG_TRUNC, 0, 0), WASI_ESUCCESS);
  errno_is(CALL(fd_filestat_get, fd, OUT_AT), WASI_ESUCCESS);
  assert_int_equal(u64_at(OUT_AT + 32), 0);
}

static void renumbering_moves_and_closes(void **state) {
  (void)state;
  uint32_t one = must_open("one", WASI_OFLAG_CREAT, ALL_FILE_RIGHTS);
  uint32_t two = must_open("two", WASI_OFLAG_CREAT, WASI_RIGHT_FD_READ);
  errno_is(CALL(fd_renumber, one, two), WASI_ESUCCESS);
  errno_is(CALL(fd_close, one), WASI_EBADF);
  errno_is(write_text(two, "x"), WASI_ESUCCESS);
  errno_is(CALL(fd_renumber, two, one), WASI_EBADF);
  errno_is(CALL(fd_renumber, two, two), WASI_ESUCCESS);
  errno_is(CALL(fd_renumber, two, 0x7fffffff), WASI_EBADF);
  errno_is(CALL(fd_renumber, 0, two), WASI_ESUCCESS);
  errno_is(CALL(fd_fdstat_get, 0, OUT_AT), WASI_EBADF);
  errno_is(CALL(fd_renumber, RW_FD, RO_FD), WASI_ESUCCESS);
  errno_is(CALL(fd_prestat_get, RO_FD, OUT_AT), WASI_ESUCCESS);
}

static void descriptors_run_out_and_come_back(void **state) {
  (void)state;
  create_file("file");
  uint32_t last = 0, count = 0;
  while (open_at(RW_FD, "file", 0, 0, 0, 0) == WASI_ESUCCESS) {
    last = u32_at(OUT_AT);
    count++;
  }
  assert_int_equal(count, 64 - 5);
  errno_is(open_at(RW_FD, "file", 0, 0, 0, 0), WASI_EMFILE);
  errno_is(CALL(fd_close, last), WASI_ESUCCESS);
  assert_int_equal(must_open("file", 0, 0), last);
}

static void unlinking_knows_files_from_directories(void **state) {
  (void)state;
  errno_is(on_path("path_create_directory", "dir"), WASI_ESUCCESS);
  create_file("file");
  errno_is(on_path("path_unlink_file", "dir"), WASI_EISDIR);
  errno_is(on_path("path_unlink_file", "dir/"), WASI_EISDIR);
  errno_is(on_path("path_unlink_file", "file/"), WASI_ENOTDIR);
  errno_is(on_path("path_remove_directory", "file"), WASI_ENOTDIR);
  errno_is(on_path("path_remove_directory", "file/"), WASI_ENOTDIR);
  errno_is(on_path("path_remove_directory", "."), WASI_EINVAL);
  errno_is(on_path("path_remove_directory", ".."), WASI_EPERM);
  create_file("dir/x");
  errno_is(on_path("path_remove_directory", "dir"), WASI_ENOTEMPTY);
  errno_is(on_path("path_unlink_file", "dir/x"), WASI_ESUCCESS);
  errno_is(on_path("path_remove_directory", "dir/"), WASI_ESUCCESS);
  errno_is(on_path("path_unlink_file", "file"), WASI_ESUCCESS);
  errno_is(on_path("path_unlink_file", "file"), WASI_ENOENT);
}

static uint32_t two_paths(const char *name, const char *from, const char *to) {
  uint32_t from_size = put(PATH_AT, from), to_size = put(PATH2_AT, to);
  if (strcmp(name, "path_link") == 0)
    return CALL(path_link, RW_FD, 0, PATH_AT, from_size, RW_FD, PATH2_AT, to_size);
  if (strcmp(name, "path_rename") == 0)
    return CALL(path_rename, RW_FD, PATH_AT, from_size, RW_FD, PATH2_AT, to_size);
  return CALL(path_symlink, PATH_AT, from_size, RW_FD, PATH2_AT, to_size);
}

static void symbolic_links_are_made_read_and_not_followed_unasked(void **state) {
  (void)state;
  errno_is(two_paths("path_symlink", "target", "link/"), WASI_ENOENT);
  errno_is(two_paths("path_symlink", "/etc", "link"), WASI_EPERM);
  errno_is(two_paths("path_symlink", "target", "link"), WASI_ESUCCESS);
  errno_is(two_paths("path_symlink", "target", "link"), WASI_EEXIST);
  errno_is(open_at(RW_FD, "link", 0, 0, 0, 0), WASI_ELOOP);
  errno_is(open_at(RW_FD, "link", 0, WASI_OFLAG_DIRECTORY, 0, 0), WASI_ENOTDIR);
  errno_is(open_at(RW_FD, "link", 1, 0, 0, 0), WASI_ENOENT);
  uint32_t size = put(PATH_AT, "link");
  errno_is(CALL(path_readlink, RW_FD, PATH_AT, size, DATA_AT, 4, OUT_AT), WASI_ESUCCESS);
  assert_int_equal(u32_at(OUT_AT), 4);
  assert_memory_equal(fixture.view.base + DATA_AT, "targ", 4);
  errno_is(CALL(path_readlink, RW_FD, PATH_AT, size, DATA_AT, 0, OUT_AT), WASI_ESUCCESS);
  create_file("file");
  errno_is(two_paths("path_symlink", "x", "file/"), WASI_ENOTDIR);
  size = put(PATH_AT, "file");
  errno_is(CALL(path_readlink, RW_FD, PATH_AT, size, DATA_AT, 9, OUT_AT), WASI_EINVAL);
  /* Made through a dangling link, the target is inside. */
  errno_is(open_at(RW_FD, "link", 1, WASI_OFLAG_CREAT, 0, 0), WASI_ESUCCESS);
  errno_is(open_at(RW_FD, "target", 0, 0, 0, 0), WASI_ESUCCESS);
  errno_is(two_paths("path_symlink", "loop", "loop"), WASI_ESUCCESS);
  errno_is(open_at(RW_FD, "loop", 1, 0, 0, 0), WASI_ELOOP);
}

static void hard_links_are_of_files_and_within(void **state) {
  (void)state;
  create_file("file");
  errno_is(on_path("path_create_directory", "dir"), WASI_ESUCCESS);
  errno_is(two_paths("path_link", "file", "link"), WASI_ESUCCESS);
  errno_is(two_paths("path_link", "file", "link"), WASI_EEXIST);
  errno_is(two_paths("path_link", "file", "file"), WASI_EEXIST);
  errno_is(two_paths("path_link", "file", "dir"), WASI_EEXIST);
  errno_is(two_paths("path_link", "file", "none/"), WASI_ENOENT);
  errno_is(two_paths("path_link", "dir", "dir2"), WASI_EPERM);
  errno_is(two_paths("path_symlink", "none", "dangling"), WASI_ESUCCESS);
  errno_is(two_paths("path_link", "dangling", "other"), WASI_ESUCCESS);
  errno_is(CALL(path_link, RW_FD, 1, PATH_AT, 4, RW_FD, PATH2_AT, 4), WASI_EINVAL);
}

static void renaming_keeps_to_the_rules_of_slashes(void **state) {
  (void)state;
  create_file("file");
  errno_is(on_path("path_create_directory", "dir"), WASI_ESUCCESS);
  errno_is(two_paths("path_rename", "file/", "x"), WASI_ENOTDIR);
  errno_is(two_paths("path_rename", "file", "x/"), WASI_ENOTDIR);
  errno_is(two_paths("path_rename", "file", "dir"), WASI_EISDIR);
  errno_is(two_paths("path_rename", "dir", "file"), WASI_ENOTDIR);
  errno_is(two_paths("path_rename", "dir/", "dir2/"), WASI_ESUCCESS);
  errno_is(two_paths("path_rename", "dir2", "dir2/sub"), WASI_EINVAL);
  errno_is(two_paths("path_rename", "none", "x"), WASI_ENOENT);
  errno_is(two_paths("path_rename", ".", "x"), WASI_EBUSY);
  create_file("dir2/inner");
  errno_is(on_path("path_create_directory", "dir3"), WASI_ESUCCESS);
  errno_is(two_paths("path_rename", "dir3", "dir2"), WASI_ENOTEMPTY);
}

static void times_are_set_as_asked_and_flags_may_not_contradict(void **state) {
  (void)state;
  create_file("file");
  uint32_t size = put(PATH_AT, "file");
  uint64_t when = UINT64_C(1234567890123456789);
  errno_is(CALL(path_filestat_set_times, RW_FD, 0, PATH_AT, size, 0, when, WASI_FSTFLAG_MTIM),
           WASI_ESUCCESS);
  errno_is(CALL(path_filestat_get, RW_FD, 0, PATH_AT, size, OUT_AT), WASI_ESUCCESS);
  assert_int_equal(u64_at(OUT_AT + 48), when);
  errno_is(CALL(path_filestat_set_times, RW_FD, 0, PATH_AT, size, 0, 0,
                WASI_FSTFLAG_MTIM | WASI_FSTFLAG_MTIM_NOW),
           WASI_EINVAL);
  uint32_t fd = must_open("file", 0, ALL_FILE_RIGHTS);
  errno_is(CALL(fd_filestat_set_times, fd, 0, 0, WASI_FSTFLAG_ATIM | WASI_FSTFLAG_ATIM_NOW),
           WASI_EINVAL);
  errno_is(CALL(fd_filestat_set_times, fd, 0, UINT64_MAX, WASI_FSTFLAG_MTIM), WASI_ESUCCESS);
  errno_is(CALL(fd_filestat_get, fd, OUT_AT), WASI_ESUCCESS);
}

static void a_read_only_mount_takes_no_change(void **state) {
  (void)state;
  uint32_t size = put(PATH_AT, "GPL-3");
  errno_is(open_at(RO_FD, "GPL-3", 0, 0, WASI_RIGHT_FD_READ, 0), WASI_ESUCCESS);
  uint32_t fd = u32_at(OUT_AT);
  errno_is(open_at(RO_FD, "GPL-3", 0, WASI_OFLAG_TRUNC, 0, 0), WASI_EROFS);
  errno_is(open_at(RO_FD, "GPL-3", 0, 0, WASI_RIGHT_FD_WRITE, 0), WASI_EROFS);
  errno_is(open_at(RO_FD, "new", 0, WASI_OFLAG_CREAT, 0, 0), WASI_EROFS);
  errno_is(open_at(RO_FD, "GPL-3", 0, 0, WASI_RIGHT_FD_FILESTAT_SET_TIMES, 0), WASI_ESUCCESS);
  errno_is(CALL(fd_filestat_set_times, u32_at(OUT_AT), 0, 0, WASI_FSTFLAG_MTIM_NOW), WASI_EROFS);
  errno_is(CALL(path_unlink_file, RO_FD, PATH_AT, size), WASI_EROFS);
  errno_is(CALL(path_create_directory, RO_FD, PATH_AT, size), WASI_EROFS);
  errno_is(CALL(path_link, RO_FD, 0, PATH_AT, size, RW_FD, PATH_AT, size), WASI_EROFS);
  errno_is(CALL(path_rename, RO_FD, PATH_AT, size, RW_FD, PATH_AT, size), WASI_EROFS);
  errno_is(CALL(path_symlink, PATH_AT, size, RO_FD, PATH_AT, size), WASI_EROFS);
  errno_is(CALL(path_filestat_set_times, RO_FD, 0, PATH_AT, size, 0, 0, 0), WASI_EROFS);
  put_iovec(DATA_AT, 4);
  errno_is(CALL(fd_read, fd, IOV_AT, 1, OUT_AT), WASI_ESUCCESS);
}

static void listing_gives_every_name_once_whatever_the_buffer(void **state) {
  (void)state;
  char name[16];
  for (int i = 0; i < 300; i++) {
    snprintf(name, sizeof name, "file.%d", i);
    create_file(name);
  }
  static const uint32_t sizes[] = {24 + 255, 256, 300, 4096, 65536};
  for (size_t s = 0; s < 5; s++) {
    uint64_t cookie = 0;
    uint32_t count = 0, used = sizes[s];
    while (used == sizes[s]) {
      errno_is(CALL(fd_readdir, RW_FD, DATA_AT, sizes[s], cookie, OUT_AT), WASI_ESUCCESS);
      used = u32_at(OUT_AT);
      uint32_t at = DATA_AT;
      while (DATA_AT + used - at >= 24 && DATA_AT + used - at >= 24 + u32_at(at + 16)) {
        cookie = u64_at(at);
        at += 24 + u32_at(at + 16);
        count++;
      }
      assert_true(count <= 302);
    }
    assert_int_equal(count, 302);
  }
  errno_is(CALL(fd_readdir, RW_FD, DATA_AT, 0, 0, OUT_AT), WASI_ESUCCESS);
  errno_is(CALL(fd_readdir, RW_FD, DATA_AT, 10, 0, OUT_AT), WASI_ESUCCESS);
  assert_int_equal(u32_at(OUT_AT), 10);
  errno_is(CALL(fd_readdir, RW_FD, DATA_AT, 64, UINT64_MAX, OUT_AT), WASI_EINVAL);
  errno_is(CALL(fd_readdir, 0, DATA_AT, 64, 0, OUT_AT), WASI_ENOTDIR);
}

static void put_subscription(uint32_t index, uint8_t tag, uint32_t id, uint64_t timeout) {
  struct wasi_subscription subscription = {.userdata = index + 7, .tag = tag};
  subscription.clock.id = id; /* or the descriptor: they are at the same place */
  if (tag == WASI_EVENT_CLOCK) subscription.clock.timeout = timeout;
  memcpy(fixture.view.base + DATA_AT + index * sizeof subscription, &subscription,
         sizeof subscription);
}

static void polling_waits_for_clocks_and_streams(void **state) {
  (void)state;
  put_subscription(0, WASI_EVENT_CLOCK, WASI_CLOCK_MONOTONIC, 20 * 1000 * 1000);
  put_subscription(1, WASI_EVENT_FD_READ, 0, 0);
  errno_is(CALL(poll_oneoff, DATA_AT, OUT_AT, 2, IOV_AT), WASI_ESUCCESS);
  assert_int_equal(u32_at(IOV_AT), 1);
  assert_int_equal(u64_at(OUT_AT), 7);
  assert_int_equal(write(fixture.input[1], "x", 1), 1);
  errno_is(CALL(poll_oneoff, DATA_AT, OUT_AT, 2, IOV_AT), WASI_ESUCCESS);
  assert_int_equal(u64_at(OUT_AT), 8);
  put_subscription(1, WASI_EVENT_FD_WRITE, 40, 0);
  errno_is(CALL(poll_oneoff, DATA_AT, OUT_AT, 2, IOV_AT), WASI_ESUCCESS);
  assert_int_equal(fixture.view.base[OUT_AT + 8], WASI_EBADF);
  put_subscription(0, 9, 0, 0);
  errno_is(CALL(poll_oneoff, DATA_AT, OUT_AT, 1, IOV_AT), WASI_ESUCCESS);
  assert_int_equal(fixture.view.base[OUT_AT + 8], WASI_EINVAL);
  put_subscription(0, WASI_EVENT_CLOCK, WASI_CLOCK_REALTIME, 0);
  errno_is(CALL(poll_oneoff, DATA_AT, OUT_AT, 1, IOV_AT), WASI_ESUCCESS);
  errno_is(CALL(poll_oneoff, DATA_AT, OUT_AT, 0, IOV_AT), WASI_EINVAL);
  errno_is(CALL(poll_oneoff, DATA_AT, OUT_AT, 1u << 28, IOV_AT), WASI_EINVAL);
}

static void streams_neither_seek_nor_change(void **state) {
  (void)state;
  errno_is(CALL(fd_seek, 1, 0, WASI_WHENCE_CUR, OUT_AT), WASI_ESPIPE);
  errno_is(CALL(fd_pread, 0, IOV_AT, 1, 0, OUT_AT), WASI_ESPIPE);
  errno_is(CALL(fd_filestat_set_size, 1, 0), WASI_EINVAL);
  put_iovec(DATA_AT, 4);
  errno_is(CALL(fd_read, 1, IOV_AT, 1, OUT_AT), WASI_ENOTCAPABLE);
  errno_is(CALL(fd_write, 0, IOV_AT, 1, OUT_AT), WASI_ENOTCAPABLE);
  errno_is(CALL(fd_fdstat_set_flags, 0, WASI_FDFLAG_NONBLOCK), WASI_ESUCCESS);
  errno_is(CALL(fd_read, 0, IOV_AT, 1, OUT_AT), WASI_EAGAIN);
  assert_int_equal(fcntl(fixture.input[0], F_GETFL) & O_NONBLOCK, 0); /* not the host's */
  close(fixture.output[0]);
  fixture.output[0] = -1;
  errno_is(CALL(fd_write, 1, IOV_AT, 1, OUT_AT), WASI_EPIPE);
}

static void directories_are_no_files(void **state) {
  (void)state;
  put_iovec(DATA_AT, 4);
  errno_is(CALL(fd_read, RW_FD, IOV_AT, 1, OUT_AT), WASI_EISDIR);
  errno_is(CALL(fd_write, RW_FD, IOV_AT, 1, OUT_AT), WASI_EISDIR);
  errno_is(CALL(fd_tell, RW_FD, OUT_AT), WASI_EISDIR);
  errno_is(CALL(fd_filestat_set_size, RW_FD, 0), WASI_EBADF);
  errno_is(CALL(fd_sync, RW_FD), WASI_ESUCCESS);
}

static void sockets_and_signals_are_not_supported(void **state) {
  (void)state;
  errno_is(CALL(sock_accept, 0, 0, OUT_AT), WASI_ENOTSUP);
  errno_is(CALL(sock_recv, RW_FD, 0, 0, 0, 0, 0), WASI_ENOTSUP);
  errno_is(CALL(sock_send, 50, 0, 0, 0, 0), WASI_EBADF);
  errno_is(CALL(sock_shutdown, 1, 0), WASI_ENOTSUP);
  errno_is(CALL(proc_raise, 9), WASI_ENOTSUP);
  errno_is(CALL(sched_yield, 0), WASI_ESUCCESS);
  assert_int_equal(CALL(proc_exit, 300), WASI_EXITED);
  assert_int_equal(brig__wasi_exit_code(fixture.wasi), 300);
}

static void the_quota_is_charged_and_given_back(void **state) {
  struct wasi_usage usage;
  (void)state;
  uint32_t fd = must_open("file", WASI_OFLAG_CREAT, ALL_FILE_RIGHTS);
  errno_is(CALL(fd_filestat_set_size, fd, 1 << 20), WASI_ESUCCESS);
  errno_is(CALL(fd_filestat_set_size, fd, (1 << 20) + 1), WASI_ENOSPC);
  errno_is(CALL(fd_allocate, fd, 0, (1 << 20) + 1), WASI_ENOSPC);
  errno_is(on_path("path_unlink_file", "file"), WASI_ESUCCESS);
  uint32_t other = must_open("other", WASI_OFLAG_CREAT, ALL_FILE_RIGHTS);
  errno_is(write_text(other, "x"), WASI_ENOSPC); /* the first is still open */
  errno_is(CALL(fd_filestat_set_size, fd, 0), WASI_ESUCCESS);
  errno_is(write_text(other, "x"), WASI_ESUCCESS);
  errno_is(CALL(fd_seek, other, UINT64_C(1) << 40, WASI_WHENCE_SET, OUT_AT), WASI_ESUCCESS);
  errno_is(write_text(other, "x"), WASI_ENOSPC);
  brig__wasi_usage(fixture.wasi, &usage);
  assert_true(usage.quota_exceeded);
  assert_int_equal(usage.written_bytes, 1 << 20);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(arguments_and_environment_are_what_was_given),
      TEST(clocks_are_four_and_no_more),
      TEST(preopens_have_names),
      TEST(paths_are_resolved_as_posix_does_but_never_outwards),
      TEST(path_open_needs_a_directory_and_its_rights),
      TEST(rights_are_of_the_type_and_only_shrink),
      TEST(reading_writing_and_seeking_go_together),
      TEST(append_writes_at_the_end_until_it_is_turned_off),
      TEST(sizes_are_set_allocated_and_truncated),
      TEST(renumbering_moves_and_closes),
      TEST(descriptors_run_out_and_come_back),
      TEST(unlinking_knows_files_from_directories),
      TEST(symbolic_links_are_made_read_and_not_followed_unasked),
      TEST(hard_links_are_of_files_and_within),
      TEST(renaming_keeps_to_the_rules_of_slashes),
      TEST(times_are_set_as_asked_and_flags_may_not_contradict),
      TEST(a_read_only_mount_takes_no_change),
      TEST(listing_gives_every_name_once_whatever_the_buffer),
      TEST(polling_waits_for_clocks_and_streams),
      TEST(streams_neither_seek_nor_change),
      TEST(directories_are_no_files),
      TEST(sockets_and_signals_are_not_supported),
      TEST(the_quota_is_charged_and_given_back),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
