/* Files of sessions, as hostile guests leave them and hostile clients name them. */
#include <fcntl.h>
#include <pthread.h>
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
#include <brig/brig.h>
#include "base/fd.h"
#include "base/utf8.h"
#include "server/files.h"
#include "session/session.h"
#include "support/count_entries.h"

#define OUTSIDE "what no client may see"

static char directory[] = "/tmp/brig-files-test-XXXXXX";
static char *workspaces, *workspace; /* of the session "s" of user "u" */
static int at;                       /* the workspace */
static struct brig_config *config;

static int setup(void **state) {
  char *memory, *owner = brig__session_owner(NULL, "u");
  struct brig_error err;
  (void)state;
  assert_non_null(mkdtemp(directory));
  workspaces = brig__format("%s/all", directory);
  if (brig_config_defaults(&config, &err) < 0 ||
      brig__workspace_open(workspaces, owner, "s", &workspace, &memory, &err) < 0)
    fail_msg("%s", err.message);
  free(owner);
  free(memory);
  at = open(workspace, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  return 0;
}

static int teardown(void **state) {
  (void)state;
  close(at);
  brig_config_free(config);
  brig__remove_tree(AT_FDCWD, directory);
  free(workspaces);
  free(workspace);
  return 0;
}

static size_t descriptors_before;

static int leaves_as_many_descriptors(void **state) {
  (void)state;
  return count_entries("/proc/self/fd") != descriptors_before;
}

/* Each test has an empty workspace, and a file beside it. */
static int clear(void **state) {
  (void)state;
  char *secret = brig__format("%s/../secret", workspace);
  DIR *all = opendir(workspace);
  for (struct dirent *item; (item = readdir(all)) != NULL;)
    if (strcmp(item->d_name, ".") != 0 && strcmp(item->d_name, "..") != 0 &&
        unlinkat(at, item->d_name, 0) < 0)
      brig__remove_tree(at, item->d_name);
  closedir(all);
  int fd = open(secret, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  free(secret);
  if (fd < 0 || brig__write_all(fd, OUTSIDE, strlen(OUTSIDE)) < 0) return 1;
  close(fd);
  descriptors_before = count_entries("/proc/self/fd");
  return 0;
}

static void assert_outside_is_as_it_was(void) {
  char *text;
  size_t size;
  assert_int_equal(brig__read_file(at, "../secret", 1000, &text, &size), 0);
  assert_string_equal(text, OUTSIDE);
  free(text);
}

static struct files_call new_call(void) {
  return (struct files_call){.settings = brig__config_settings(config),
                             .workspaces = workspaces,
                             .session = brig__text("s"),
                             .user = brig__text("u"),
                             .ends_us = UINT64_MAX};
}

typedef int (*files_fn)(struct files_call *call, const void *request, void *response);

static void run(struct files_call *call, files_fn function, const void *request, void *response) {
  if (function(call, request, response) < 0)
    fail_msg("%.*s", (int)call->error.len, call->error.data);
}

static void refuses(struct files_call *call, files_fn function, const void *request,
                    void *response, const char *words) {
  assert_int_equal(function(call, request, response), -1);
  assert_int_equal(brig__utf8_valid(call->error.data, call->error.len), call->error.len);
  if (strstr((char *)call->error.data, words) == NULL)
    fail_msg("\"%s\", not \"%s\"", (char *)call->error.data, words);
  brig__arena_free(&call->arena);
  *call = new_call();
}

#define REQUEST(type, TYPE, name) \
  Shannon__Sandbox__File##type##Request name = SHANNON__SANDBOX__FILE_##TYPE##_REQUEST__INIT
#define RESPONSE(type, TYPE, name) \
  Shannon__Sandbox__File##type##Response name = SHANNON__SANDBOX__FILE_##TYPE##_RESPONSE__INIT

static void make(const char *path, const char *text) {
  int fd = openat(at, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  assert_true(fd >= 0);
  assert_int_equal(brig__write_all(fd, text, strlen(text)), 0);
  close(fd);
}

static void has(const char *path, const char *text) {
  char *found;
  size_t size;
  assert_int_equal(brig__read_file(at, path, 1 << 24, &found, &size), 0);
  assert_string_equal(found, text);
  free(found);
}

/* --- Where paths lead ---------------------------------------------------------------------- */

/* Refused by whatever would read, write or remove it. */
static void is_refused(const char *path, const char *words) {
  struct files_call call = new_call();
  REQUEST(Read, READ, read);
  RESPONSE(Read, READ, text);
  REQUEST(Write, WRITE, write);
  RESPONSE(Write, WRITE, written);
  REQUEST(Edit, EDIT, edit);
  RESPONSE(Edit, EDIT, edited);
  REQUEST(List, LIST, list);
  RESPONSE(List, LIST, entries);
  REQUEST(Search, SEARCH, search);
  RESPONSE(Search, SEARCH, matches);
  read.path = write.path = edit.path = list.path = search.path = brig__text(path);
  write.content = edit.new_text = brig__text("x");
  edit.old_text = search.query = brig__text("what");
  refuses(&call, brig__files_read, &read, &text, words);
  refuses(&call, brig__files_list, &list, &entries, words);
  refuses(&call, brig__files_search, &search, &matches, words);
  refuses(&call, brig__files_edit, &edit, &edited, words);
  for (int i = 0; i < 4; i++) {
    write.append = (i & 1) != 0;
    write.create_dirs = (i & 2) != 0;
    assert_int_equal(brig__files_write(&call, &write, &written), -1);
    brig__arena_free(&call.arena);
    call = new_call();
  }
  assert_outside_is_as_it_was();
}

static void no_path_leads_out(void **state) {
  static const char *const paths[] = {
      "../secret",   "a/../../secret",      "/workspace/../secret", "/workspace//../secret",
      "./../secret", "a/../a/../../secret",
  };
  (void)state;
  assert_int_equal(mkdirat(at, "a", 0700), 0);
  for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
    is_refused(paths[i], "leads out of its directory");
  is_refused("/etc/passwd", "a path is relative, or begins with /workspace");
  is_refused("/workspaces/x", "a path is relative, or begins with /workspace");
}

static void no_link_leads_out(void **state) {
  (void)state;
  assert_int_equal(symlinkat("/etc", at, "abs"), 0);
  assert_int_equal(symlinkat("..", at, "up"), 0);
  assert_int_equal(symlinkat("/proc/self/root", at, "magic"), 0);
  assert_int_equal(symlinkat("../secret", at, "file"), 0);
  assert_int_equal(symlinkat("../new", at, "dangling"), 0);
  is_refused("abs/passwd", "leads out of its directory");
  is_refused("up/secret", "leads out of its directory");
  is_refused("magic/etc/passwd", "leads out of its directory");
  struct files_call call = new_call();
  REQUEST(Read, READ, read);
  RESPONSE(Read, READ, text);
  REQUEST(Write, WRITE, write);
  RESPONSE(Write, WRITE, written);
  read.path = write.path = brig__text("file");
  refuses(&call, brig__files_read, &read, &text, "leads out");
  refuses(&call, brig__files_write, &write, &written, "a symbolic link");
  write.path = brig__text("dangling");
  refuses(&call, brig__files_write, &write, &written, "a symbolic link");
  write.append = true;
  refuses(&call, brig__files_write, &write, &written, "a symbolic link");
  assert_int_equal(faccessat(at, "../new", F_OK, 0), -1);
  assert_outside_is_as_it_was();
}

static void links_inside_are_followed_to_read_and_not_to_write(void **state) {
  (void)state;
  struct files_call call = new_call();
  REQUEST(Read, READ, read);
  RESPONSE(Read, READ, text);
  REQUEST(Edit, EDIT, edit);
  RESPONSE(Edit, EDIT, edited);
  make("f", "inside");
  assert_int_equal(symlinkat("f", at, "link"), 0);
  read.path = edit.path = brig__text("link");
  edit.old_text = brig__text("inside");
  run(&call, brig__files_read, &read, &text);
  assert_int_equal(text.content.len, 6);
  refuses(&call, brig__files_edit, &edit, &edited, "a symbolic link");
  has("f", "inside");
}

/* Of a guest that puts now a directory there, now a link that leads out. */
static volatile bool swapping;

static void *swap(void *unused) {
  while (swapping) {
    renameat2(at, "d", at, "l", RENAME_EXCHANGE);
    usleep(1);
  }
  return unused;
}

static void a_link_that_is_swapped_in_leads_nowhere(void **state) {
  (void)state;
  pthread_t thread;
  REQUEST(Read, READ, read);
  REQUEST(Write, WRITE, write);
  REQUEST(Delete, DELETE, delete);
  assert_int_equal(mkdirat(at, "d", 0700), 0);
  make("d/secret", "inside");
  assert_int_equal(symlinkat("..", at, "l"), 0);
  read.path = write.path = delete.path = brig__text("d/secret");
  write.content = brig__text("inside");
  swapping = true;
  assert_int_equal(pthread_create(&thread, NULL, swap, NULL), 0);
  for (int i = 0; i < 3000; i++) {
    struct files_call call = new_call();
    RESPONSE(Read, READ, text);
    RESPONSE(Write, WRITE, written);
    RESPONSE(Delete, DELETE, deleted);
    if (brig__files_read(&call, &read, &text) == 0)
      assert_memory_equal(text.content.data, "inside", 6);
    if (i % 8 == 7) brig__files_delete(&call, &delete, &deleted);
    brig__files_write(&call, &write, &written);
    brig__arena_free(&call.arena);
  }
  swapping = false;
  pthread_join(thread, NULL);
  assert_outside_is_as_it_was();
}

static void what_is_no_file_is_not_opened(void **state) {
  (void)state;
  struct files_call call = new_call();
  REQUEST(Read, READ, read);
  RESPONSE(Read, READ, text);
  REQUEST(Write, WRITE, write);
  RESPONSE(Write, WRITE, written);
  assert_int_equal(mkfifoat(at, "fifo", 0600), 0);
  assert_int_equal(mkdirat(at, "d", 0700), 0);
  read.path = write.path = brig__text("fifo");
  refuses(&call, brig__files_read, &read, &text, "not a regular file");
  refuses(&call, brig__files_write, &write, &written, "not a regular file");
  write.append = true;
  refuses(&call, brig__files_write, &write, &written, "not a regular file");
  read.path = write.path = brig__text("d");
  refuses(&call, brig__files_read, &read, &text, "is a directory");
  refuses(&call, brig__files_write, &write, &written, "is a directory");
  write.path = brig__text(".");
  refuses(&call, brig__files_write, &write, &written, "is a directory");
  write.path = brig__text("new/");
  refuses(&call, brig__files_write, &write, &written, "is a directory");
}

static void paths_may_be_anything(void **state) {
  (void)state;
  static char name[5000];
  struct files_call call = new_call();
  REQUEST(Read, READ, read);
  RESPONSE(Read, READ, text);
  REQUEST(Write, WRITE, write);
  RESPONSE(Write, WRITE, written);
  memset(name, 'n', sizeof name);
  write.path = (ProtobufCBinaryData){255, (uint8_t *)name};
  run(&call, brig__files_write, &write, &written);
  write.path.len = 256;
  refuses(&call, brig__files_write, &write, &written, "the path is too long");
  read.path = (ProtobufCBinaryData){4095, (uint8_t *)name};
  refuses(&call, brig__files_read, &read, &text, "the path is too long");
  read.path.len = 4096;
  refuses(&call, brig__files_read, &read, &text, "a path has at most 4095 bytes");
  read.path = (ProtobufCBinaryData){3, (uint8_t *)(uintptr_t) "a\0b"};
  refuses(&call, brig__files_read, &read, &text, "no 0 byte among them");
  write.create_dirs = true;
  for (size_t i = 0; i < 200; i += 2) memcpy(name + i, "d/", 2);
  write.path = (ProtobufCBinaryData){200, (uint8_t *)name};
  refuses(&call, brig__files_write, &write, &written, "nested no deeper than 64");
  for (const char *odd = "\n\t\\%*?[-\033"; *odd != '\0'; odd++) {
    char path[] = {*odd, '\0'};
    write.path = read.path = brig__text(path);
    run(&call, brig__files_write, &write, &written);
    run(&call, brig__files_read, &read, &text);
  }
  brig__arena_free(&call.arena);
}

static void sessions_and_users_are_apart(void **state) {
  (void)state;
  static const char *const ids[] = {"", ".", "..", ".memory", "a/b", "../s", "s ", "s\xc3\xa9"};
  struct files_call call = new_call();
  REQUEST(Read, READ, read);
  RESPONSE(Read, READ, text);
  make("f", "mine");
  read.path = brig__text("f");
  for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
    call.session = brig__text(ids[i]);
    refuses(&call, brig__files_read, &read, &text, "a session's id has 1 to 128");
  }
  call.session = (ProtobufCBinaryData){3, (uint8_t *)(uintptr_t) "s\0x"};
  refuses(&call, brig__files_read, &read, &text, "no 0 byte");
  call.user = brig__text("other");
  refuses(&call, brig__files_read, &read, &text, "no such file");
  call.tenant = "other";
  refuses(&call, brig__files_read, &read, &text, "no such file");
  call.tenant = "other";
  call.user = brig__text("");
  refuses(&call, brig__files_read, &read, &text, "no such file");
  call.user = brig__text("");
  run(&call, brig__files_read, &read, &text);
  assert_memory_equal(text.content.data, "mine", 4);
  read.path = brig__text("/memory/f");
  refuses(&call, brig__files_read, &read, &text, "/memory needs a user's id");
  brig__arena_free(&call.arena);
}

static void who_names_no_user_is_told_of_two(void **state) {
  (void)state;
  struct files_call call = new_call();
  REQUEST(Read, READ, read);
  RESPONSE(Read, READ, text);
  REQUEST(Write, WRITE, write);
  RESPONSE(Write, WRITE, written);
  write.path = read.path = brig__text("f");
  call.session = brig__text("two");
  run(&call, brig__files_write, &write, &written);
  call.user = brig__text("v");
  run(&call, brig__files_write, &write, &written);
  call.user = brig__text("");
  refuses(&call, brig__files_read, &read, &text, "several users have a session 'two'");
}

/* --- What is read and written ---------------------------------------------------------------- */

static void text_comes_as_text_and_bytes_in_base64(void **state) {
  (void)state;
  struct files_call call = new_call();
  REQUEST(Read, READ, read);
  RESPONSE(Read, READ, text);
  REQUEST(Write, WRITE, write);
  RESPONSE(Write, WRITE, written);
  write.path = read.path = brig__text("/workspace//d//b.bin");
  write.content = brig__text("AP+A");
  write.encoding = read.encoding = brig__text("base64");
  refuses(&call, brig__files_write, &write, &written, "no such file or directory");
  write.create_dirs = true;
  run(&call, brig__files_write, &write, &written);
  assert_int_equal(written.bytes_written, 3);
  run(&call, brig__files_read, &read, &text);
  assert_memory_equal(text.content.data, "AP+A", 5);
  assert_memory_equal(text.file_type.data, "bin", 4);
  read.encoding = brig__text("UTF-8");
  run(&call, brig__files_read, &read, &text);
  assert_int_equal(text.content.len, 7);
  assert_memory_equal(text.content.data, "\0\xef\xbf\xbd\xef\xbf\xbd", 7);
  read.max_bytes = 3;
  run(&call, brig__files_read, &read, &text);
  read.max_bytes = 2;
  refuses(&call, brig__files_read, &read, &text, "File too large: 3 bytes (max 2)");
  read.encoding = brig__text("latin-1");
  refuses(&call, brig__files_read, &read, &text, "encoding is 'utf-8' or 'base64', not 'latin-1'");
  for (const char *const *bad = (const char *const[]){"AP+", "A===", "AP*A", "=AAA", NULL};
       *bad != NULL; bad++) {
    write.content = brig__text(*bad);
    refuses(&call, brig__files_write, &write, &written, "the content is not base64");
  }
  brig__arena_free(&call.arena);
}

static void a_file_is_replaced_as_a_whole(void **state) {
  (void)state;
  struct files_call call = new_call();
  struct stat before, after;
  REQUEST(Write, WRITE, write);
  RESPONSE(Write, WRITE, written);
  make("f", "old");
  assert_int_equal(linkat(at, "f", at, "other", 0), 0);
  assert_int_equal(fchmodat(at, "f", 0640, 0), 0);
  assert_int_equal(fstatat(at, "f", &before, 0), 0);
  write.path = brig__text("f");
  write.content = brig__text("new");
  run(&call, brig__files_write, &write, &written);
  assert_string_equal((char *)written.absolute_path.data, "/workspace/f");
  assert_int_equal(fstatat(at, "f", &after, 0), 0);
  assert_true(after.st_ino != before.st_ino);
  assert_int_equal(after.st_mode, before.st_mode);
  has("other", "old"); /* who has it open sees all of the old one */
  write.append = true;
  run(&call, brig__files_write, &write, &written);
  has("f", "newnew");
  int names = 0;
  DIR *all = opendir(workspace);
  while (readdir(all) != NULL) names++;
  closedir(all);
  assert_int_equal(names, 4); /* nothing temporary is left */
  brig__arena_free(&call.arena);
}

static void a_workspace_that_is_full_takes_no_more(void **state) {
  (void)state;
  struct files_call call = new_call();
  struct brig_error err;
  REQUEST(Write, WRITE, write);
  RESPONSE(Write, WRITE, written);
  REQUEST(Edit, EDIT, edit);
  RESPONSE(Edit, EDIT, edited);
  assert_int_equal(brig_config_set(config, "session.workspace_bytes", "10", &err), 0);
  make("f", "12345678");
  write.path = edit.path = brig__text("g");
  write.content = brig__text("90");
  run(&call, brig__files_write, &write, &written);
  write.path = brig__text("h");
  write.content = brig__text("1");
  refuses(&call, brig__files_write, &write, &written, "Session workspace quota exceeded");
  write.append = true;
  refuses(&call, brig__files_write, &write, &written, "Session workspace quota exceeded");
  edit.old_text = brig__text("90");
  edit.new_text = brig__text("900");
  refuses(&call, brig__files_edit, &edit, &edited, "Session workspace quota exceeded");
  edit.new_text = brig__text("9");
  run(&call, brig__files_edit, &edit, &edited);
  has("g", "9");
  assert_int_equal(brig_config_set(config, "session.workspace_bytes", "500M", &err), 0);
  brig__arena_free(&call.arena);
}

static void an_edit_is_what_was_asked_for(void **state) {
  (void)state;
  struct files_call call = new_call();
  REQUEST(Edit, EDIT, edit);
  RESPONSE(Edit, EDIT, edited);
  edit.path = brig__text("f");
  edit.old_text = brig__text("aa");
  edit.new_text = brig__text("b");
  refuses(&call, brig__files_edit, &edit, &edited, "no such file");
  make("f", "1\n2\n3\n4\n5aaaaa\n6\n7\n8\n9\n");
  refuses(&call, brig__files_edit, &edit, &edited, "f: old_text is there 2 times");
  edit.replace_all = true;
  run(&call, brig__files_edit, &edit, &edited);
  has("f", "1\n2\n3\n4\n5bba\n6\n7\n8\n9\n");
  assert_int_equal(edited.replacements, 2);
  assert_int_equal(edited.file_size_after, 21);
  assert_string_equal((char *)edited.snippet.data, "2\n3\n4\n5bba\n6\n7\n8\n");
  refuses(&call, brig__files_edit, &edit, &edited, "f: old_text is not there");
  edit.old_text = brig__text("");
  refuses(&call, brig__files_edit, &edit, &edited, "old_text is empty");
  edit.old_text = brig__text("1\n");
  edit.new_text = brig__text("");
  run(&call, brig__files_edit, &edit, &edited);
  assert_string_equal((char *)edited.snippet.data, "2\n3\n4\n5bba\n");
  brig__arena_free(&call.arena);
}

static void *edit_once(void *unused) {
  struct files_call call = new_call();
  REQUEST(Edit, EDIT, edit);
  edit.path = brig__text("f");
  edit.old_text = brig__text("x");
  edit.new_text = brig__text("xy");
  for (int i = 0; i < 50; i++) {
    RESPONSE(Edit, EDIT, edited);
    brig__files_edit(&call, &edit, &edited);
  }
  brig__arena_free(&call.arena);
  return unused;
}

static void no_edit_is_lost(void **state) {
  (void)state;
  pthread_t threads[4];
  struct stat st;
  make("f", "x");
  for (size_t i = 0; i < 4; i++)
    assert_int_equal(pthread_create(&threads[i], NULL, edit_once, NULL), 0);
  for (size_t i = 0; i < 4; i++) pthread_join(threads[i], NULL);
  assert_int_equal(fstatat(at, "f", &st, 0), 0);
  assert_int_equal(st.st_size, 201);
}

/* --- Many files -------------------------------------------------------------------------- */

static void ten_thousand_files_are_listed_and_no_more(void **state) {
  (void)state;
  struct files_call call = new_call();
  char name[16];
  REQUEST(List, LIST, list);
  RESPONSE(List, LIST, entries);
  REQUEST(Delete, DELETE, delete);
  RESPONSE(Delete, DELETE, deleted);
  assert_int_equal(mkdirat(at, "d", 0700), 0);
  for (int i = 0; i < 9999; i++) {
    snprintf(name, sizeof name, "d/%05d", i);
    make(name, "");
  }
  list.recursive = true;
  run(&call, brig__files_list, &list, &entries);
  assert_int_equal(entries.n_entries, 10000);
  assert_int_equal(entries.file_count, 9999);
  assert_int_equal(entries.dir_count, 1);
  assert_string_equal((char *)entries.entries[1]->path.data, "d/00000");
  assert_true(shannon__sandbox__file_list_response__get_packed_size(&entries) < 4 << 20);
  make("e", "");
  refuses(&call, brig__files_list, &list, &entries, "more entries than 10000");
  assert_int_equal(entries.n_entries, 0);
  RESPONSE(List, LIST, some);
  list.pattern = brig__text("*42");
  run(&call, brig__files_list, &list, &some);
  assert_int_equal(some.n_entries, 100);
  delete.path = brig__text("d");
  refuses(&call, brig__files_delete, &delete, &deleted, "that needs `recursive`");
  delete.recursive = true;
  run(&call, brig__files_delete, &delete, &deleted);
  assert_int_equal(deleted.deleted_count, 10000);
  assert_int_equal(deleted.n_deleted_paths, 1000);
  assert_int_equal(faccessat(at, "d", F_OK, 0), -1);
  brig__arena_free(&call.arena);
}

static void names_that_are_no_text_are_shown_and_go(void **state) {
  (void)state;
  struct files_call call = new_call();
  REQUEST(List, LIST, list);
  RESPONSE(List, LIST, entries);
  REQUEST(Delete, DELETE, delete);
  RESPONSE(Delete, DELETE, deleted);
  make("a\xff", "");
  make(".hidden", "");
  run(&call, brig__files_list, &list, &entries);
  assert_int_equal(entries.n_entries, 1);
  assert_string_equal((char *)entries.entries[0]->name.data, "a\xef\xbf\xbd");
  delete.pattern = brig__text("a*");
  run(&call, brig__files_delete, &delete, &deleted);
  assert_int_equal(deleted.deleted_count, 1);
  delete.pattern = brig__text(".h*");
  run(&call, brig__files_delete, &delete, &deleted);
  assert_int_equal(deleted.deleted_count, 2);
  delete.pattern = brig__text("");
  delete.path = brig__text(".");
  delete.recursive = true;
  refuses(&call, brig__files_delete, &delete, &deleted, "name a file or directory in it");
}

static void a_walk_goes_so_deep_and_through_no_link(void **state) {
  (void)state;
  struct files_call call = new_call();
  REQUEST(List, LIST, list);
  RESPONSE(List, LIST, entries);
  REQUEST(Delete, DELETE, delete);
  RESPONSE(Delete, DELETE, deleted);
  assert_int_equal(mkdirat(at, "d", 0700), 0);
  assert_int_equal(symlinkat(".", at, "d/loop"), 0);
  assert_int_equal(symlinkat("../..", at, "d/out"), 0);
  list.recursive = true;
  run(&call, brig__files_list, &list, &entries);
  assert_int_equal(entries.n_entries, 3);
  assert_int_equal(entries.file_count, 0);
  delete.path = brig__text("d");
  delete.recursive = true;
  run(&call, brig__files_delete, &delete, &deleted);
  assert_outside_is_as_it_was();
  char path[200] = "";
  for (int i = 0; i < 66; i++) {
    strcat(path, i == 0 ? "d" : "/d");
    assert_int_equal(mkdirat(at, path, 0700), 0);
  }
  refuses(&call, brig__files_list, &list, &entries, "nested deeper than 64");
  brig__arena_free(&call.arena);
}

/* --- Searching -------------------------------------------------------------------------- */

static void a_search_finds_lines_and_their_neighbours(void **state) {
  (void)state;
  struct files_call call = new_call();
  REQUEST(Search, SEARCH, search);
  RESPONSE(Search, SEARCH, found);
  make("a.py", "one\ntwo.\r\nthree\nfour\n");
  make("b.txt", "two.");
  assert_int_equal(mkdirat(at, "d", 0700), 0);
  make("d/c.py", "\n\n\xff two. \xff");
  search.query = brig__text("o.");
  search.context_lines = 1;
  run(&call, brig__files_search, &search, &found);
  assert_int_equal(found.matches_found, 3);
  assert_int_equal(found.files_scanned, 3);
  assert_false(found.truncated);
  assert_string_equal((char *)found.matches[0]->file.data, "a.py");
  assert_int_equal(found.matches[0]->line, 2);
  assert_string_equal((char *)found.matches[0]->content.data, "two.");
  assert_int_equal(found.matches[0]->n_context, 2);
  assert_int_equal(found.matches[0]->context[0]->line, 1);
  assert_string_equal((char *)found.matches[0]->context[1]->content.data, "three");
  assert_string_equal((char *)found.matches[2]->file.data, "d/c.py");
  assert_int_equal(found.matches[2]->line, 3);
  assert_string_equal((char *)found.matches[2]->content.data, "\xef\xbf\xbd two. \xef\xbf\xbd");
  RESPONSE(Search, SEARCH, cut);
  char line[1500];
  memset(line, 'x', 999);
  strcpy(line + 999, "\xe2\x82\xac and more");
  make("d/c.py", line);
  search.query = brig__text("more");
  run(&call, brig__files_search, &search, &cut);
  assert_int_equal(cut.matches[0]->content.len, 999); /* no part of the character */
  RESPONSE(Search, SEARCH, again);
  search.regex = true;
  search.include = brig__text("*.py");
  search.query = brig__text("^(o|t)\\w+$");
  search.max_results = 1;
  run(&call, brig__files_search, &search, &again);
  assert_int_equal(again.matches_found, 1);
  assert_true(again.truncated);
  search.query = brig__text("(");
  refuses(&call, brig__files_search, &search, &again, "the query: missing closing parenthesis");
  search.query = brig__text("");
  refuses(&call, brig__files_search, &search, &again, "the query is empty");
}

static void a_hostile_query_ends(void **state) {
  (void)state;
  static const char *const queries[] = {"(a+)+$", "(a|aa)+$", "(?:a?){200}a{200}$", "^(.*)*\\1x$"};
  static char line[1 << 20];
  struct files_call call = new_call();
  REQUEST(Search, SEARCH, search);
  RESPONSE(Search, SEARCH, found);
  memset(line, 'a', sizeof line - 1);
  line[sizeof line - 2] = 'b';
  make("f", line);
  search.regex = true;
  for (size_t i = 0; i < sizeof queries / sizeof *queries; i++) {
    search.query = brig__text(queries[i]);
    refuses(&call, brig__files_search, &search, &found, "f:1: the query takes too much work");
  }
  for (size_t i = 17; i < sizeof line - 1; i += 18) line[i] = 'c'; /* little, but so often */
  make("f", line);
  search.query = brig__text(queries[0]);
  refuses(&call, brig__files_search, &search, &found, "f:1: the query takes too much work");
  search.query = brig__text("((a{1,1000}){1,1000}){1,1000}");
  refuses(&call, brig__files_search, &search, &found, "the query: ");
  search.query = brig__text(line);
  refuses(&call, brig__files_search, &search, &found, "at most 1000 bytes");
  search.regex = false;
  search.query = brig__text("b");
  search.include = brig__text("*a*a*a*a*a*a*a*a*a*a*a*b");
  line[80] = '\0';
  memset(line, 'a', 80);
  make(line, "b");
  RESPONSE(Search, SEARCH, none);
  run(&call, brig__files_search, &search, &none);
  assert_int_equal(none.files_scanned, 0);
  brig__arena_free(&call.arena);
}

static void who_waits_no_more_ends_it(void **state) {
  (void)state;
  struct files_call call = new_call();
  REQUEST(Search, SEARCH, search);
  RESPONSE(Search, SEARCH, found);
  make("f", "x");
  search.query = brig__text("x");
  call.ends_us = 1;
  refuses(&call, brig__files_search, &search, &found, "it took too long");
  atomic_store(&call.cancelled, true);
  refuses(&call, brig__files_search, &search, &found, "it took too long");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, clear, leaves_as_many_descriptors)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(no_path_leads_out),
      TEST(no_link_leads_out),
      TEST(links_inside_are_followed_to_read_and_not_to_write),
      TEST(a_link_that_is_swapped_in_leads_nowhere),
      TEST(what_is_no_file_is_not_opened),
      TEST(paths_may_be_anything),
      TEST(sessions_and_users_are_apart),
      TEST(who_names_no_user_is_told_of_two),
      TEST(text_comes_as_text_and_bytes_in_base64),
      TEST(a_file_is_replaced_as_a_whole),
      TEST(a_workspace_that_is_full_takes_no_more),
      TEST(an_edit_is_what_was_asked_for),
      TEST(no_edit_is_lost),
      TEST(ten_thousand_files_are_listed_and_no_more),
      TEST(names_that_are_no_text_are_shown_and_go),
      TEST(a_walk_goes_so_deep_and_through_no_link),
      TEST(a_search_finds_lines_and_their_neighbours),
      TEST(a_hostile_query_ends),
      TEST(who_waits_no_more_ends_it),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
