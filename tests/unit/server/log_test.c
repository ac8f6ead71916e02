/* The log: whole lines of JSON, whatever is in them, and no waiting. */
#include <brig/brig.h>
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/fd.h"
#include "server/log.h"

static char directory[] = "/tmp/brig-log-XXXXXX", path[64];
static struct log *log_file;

static int setup(void **state) {
  (void)state;
  strcpy(directory + strlen(directory) - 6, "XXXXXX");
  if (mkdtemp(directory) == NULL) return -1;
  snprintf(path, sizeof path, "%s/log", directory);
  return brig__log_open(path, "info", &log_file, NULL);
}

static int teardown(void **state) {
  (void)state;
  brig__log_close(log_file);
  brig__remove_tree(-1, directory);
  return 0;
}

static char text[1 << 20];

/* The lines of `from`; each must be a line. Returns how many. */
static size_t read_lines(const char *from, json_t **ret_lines, size_t max) {
  size_t count = 0;
  FILE *file = fopen(from, "re");
  assert_non_null(file);
  while (fgets(text, sizeof text, file) != NULL && count < max) {
    assert_true(strlen(text) <= LOG_LINE_MAX);
    assert_int_equal(text[strlen(text) - 1], '\n');
    for (const char *at = text; *at != '\n'; at++) assert_true(*at >= ' ' && *at < 127);
    ret_lines[count] = json_loads(text, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    if (ret_lines[count++] == NULL) fail_msg("%s", text);
  }
  fclose(file);
  return count;
}

/* The only line there is. */
static json_t *read_line(void) {
  json_t *lines[2];
  assert_int_equal(read_lines(path, lines, 2), 1);
  return lines[0];
}

static const char *string_of(const json_t *line, const char *name) {
  return json_string_value(json_object_get(line, name));
}

static void a_line_says_when_what_and_all_fields(void **state) {
  (void)state;
  unsigned year, month, day, hour, minute, second, us;
  char end;
  LOG(log_file, LOG_WARNING, "call", LOG_TEXT("tenant", "a"), LOG_TEXT("session", NULL),
      LOG_COUNT("wall_us", 17), LOG_BYTES("request", "abcdef", 3));
  json_t *line = read_line();
  assert_int_equal(json_object_size(line), 6);
  assert_string_equal(string_of(line, "level"), "warning");
  assert_string_equal(string_of(line, "event"), "call");
  assert_string_equal(string_of(line, "tenant"), "a");
  assert_string_equal(string_of(line, "request"), "abc");
  assert_int_equal(json_integer_value(json_object_get(line, "wall_us")), 17);
  const char *time = string_of(line, "time");
  assert_int_equal(sscanf(time, "%4u-%2u-%2uT%2u:%2u:%2u.%6u%c", &year, &month, &day, &hour,
                          &minute, &second, &us, &end), 8);
  assert_int_equal(end, 'Z');
  assert_int_equal(strlen(time), strlen("2026-01-31T12:00:00.000001Z"));
  json_decref(line);
}

static void hostile_text_stays_in_its_place(void **state) {
  (void)state;
  static const char hostile[] = "\"}\n{\"level\":\"error\"\r\x1b[2J\0\xc2\x9b\xe2\x80\xae";
  LOG(log_file, LOG_ERROR, "call", LOG_BYTES("user", hostile, sizeof hostile - 1),
      LOG_TEXT("bad", "a\xff\xc3(\xed\xa0\x80"), LOG_TEXT("empty", ""),
      LOG_TEXT("delete", "a\x7f"));
  json_t *line = read_line();
  const json_t *user = json_object_get(line, "user");
  assert_int_equal(json_string_length(user), sizeof hostile - 1);
  assert_memory_equal(json_string_value(user), hostile, sizeof hostile - 1);
  assert_non_null(strstr(string_of(line, "bad"), "a\xef\xbf\xbd"));
  assert_string_equal(string_of(line, "empty"), "");
  assert_string_equal(string_of(line, "delete"), "a?");
  json_decref(line);
}

static void long_text_is_cut_between_characters(void **state) {
  (void)state;
  static char large[100000];
  for (size_t i = 0; i + 3 <= sizeof large; i += 3) memcpy(large + i, "\xe2\x82\xac", 3);
  large[sizeof large - 1] = '\0';
  LOG(log_file, LOG_INFO, "call", LOG_TEXT("a", large), LOG_COUNT("after", 1));
  json_t *line = read_line();
  assert_int_equal(json_string_length(json_object_get(line, "a")), LOG_TEXT_MAX / 3 * 3);
  assert_null(strstr(string_of(line, "a"), "\xef\xbf\xbd"));
  json_decref(line);
  assert_int_equal(truncate(path, 0), 0);
  memset(large, 1, sizeof large - 1); /* six bytes each */
  LOG(log_file, LOG_INFO, "call", LOG_TEXT("a", large), LOG_TEXT("b", large),
      LOG_TEXT("c", large), LOG_COUNT("after", 1));
  line = read_line();
  assert_int_equal(json_integer_value(json_object_get(line, "after")), 1);
  assert_int_equal(json_string_length(json_object_get(line, "c")), LOG_TEXT_MAX / 4);
  json_decref(line);
}

static void a_level_is_all_before_it(void **state) {
  (void)state;
  struct brig_error err;
  json_t *lines[8];
  LOG(log_file, LOG_DEBUG, "one");
  LOG(log_file, LOG_INFO, "two");
  assert_int_equal(brig__log_reload(log_file, "error", &err), 0);
  LOG(log_file, LOG_WARNING, "three");
  LOG(log_file, LOG_ERROR, "four");
  assert_int_equal(brig__log_reload(log_file, "loud", &err), BRIG_E_CONFIG);
  assert_non_null(strstr(err.message, "log.level"));
  LOG(log_file, LOG_WARNING, "five");
  LOG(NULL, LOG_ERROR, "six");
  assert_int_equal(read_lines(path, lines, 8), 2);
  assert_string_equal(string_of(lines[0], "event"), "two");
  assert_string_equal(string_of(lines[1], "event"), "four");
  for (int i = 0; i < 2; i++) json_decref(lines[i]);
}

static void a_file_that_was_moved_is_opened_anew(void **state) {
  (void)state;
  struct brig_error err;
  struct stat st;
  char moved[80];
  json_t *lines[4];
  LOG(log_file, LOG_INFO, "before");
  snprintf(moved, sizeof moved, "%s.1", path);
  assert_int_equal(rename(path, moved), 0);
  assert_int_equal(brig__log_reload(log_file, "info", &err), 0);
  LOG(log_file, LOG_INFO, "after");
  assert_int_equal(read_lines(path, lines, 2), 1);
  assert_int_equal(read_lines(moved, lines + 1, 2), 1);
  for (int i = 0; i < 2; i++) json_decref(lines[i]);
  assert_int_equal(stat(path, &st), 0);
  assert_int_equal(st.st_mode & 0777, 0600);
  assert_int_equal(unlink(path), 0);
  assert_int_equal(mkdir(path, 0700), 0); /* the old one goes on */
  assert_int_equal(brig__log_reload(log_file, "info", &err), BRIG_E_SYSTEM);
  LOG(log_file, LOG_INFO, "still");
}

#define LINES 20000

/* More than it holds, which nobody reads yet; then it is read, and all the rest is said. */
static void fill_and_read(int fd, int reader) {
  json_t *lines[1000];
  int saved = dup(STDERR_FILENO);
  struct log *log = NULL;
  dup2(fd, STDERR_FILENO);
  assert_int_equal(brig__log_open(NULL, "info", &log, NULL), 0);
  dup2(saved, STDERR_FILENO);
  close(saved);
  memset(text, 'x', 300);
  text[300] = '\0';
  CLEANUP_FREE char *filler = strdup(text);
  for (int i = 0; i < LINES; i++) LOG(log, LOG_INFO, "fill", LOG_TEXT("text", filler));
  CLEANUP_FREE char *all = malloc(1 << 20);
  ssize_t got = 0, more;
  assert_int_equal(fcntl(reader, F_SETFL, O_NONBLOCK), 0);
  while ((more = read(reader, all + got, (1 << 20) - (size_t)got)) > 0) got += more;
  LOG(log, LOG_INFO, "room");
  LOG(log, LOG_INFO, "last");
  while ((more = read(reader, all + got, (1 << 20) - (size_t)got)) > 0) got += more;
  brig__log_close(log);
  CLEANUP_FREE char *spool = brig__format("%s/spooled", directory);
  FILE *file = fopen(spool, "we");
  assert_int_equal(fwrite(all, 1, (size_t)got, file), got);
  fclose(file);
  size_t count = read_lines(spool, lines, 1000);
  assert_true(count > 10 && count < 1000);
  assert_string_equal(string_of(lines[count - 2], "event"), "room");
  assert_int_equal(json_integer_value(json_object_get(lines[count - 2], "lost")),
                   LINES - (int)(count - 2));
  assert_null(json_object_get(lines[count - 1], "lost"));
  for (size_t i = 0; i < count; i++) json_decref(lines[i]);
}

static void a_full_pipe_keeps_nobody_waiting(void **state) {
  (void)state;
  int ends[2];
  assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
  fill_and_read(ends[1], ends[0]);
  close(ends[0]);
  close(ends[1]);
}

static void nor_does_a_full_socket(void **state) {
  (void)state;
  int ends[2];
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  fill_and_read(ends[1], ends[0]);
  close(ends[0]);
  LOG(log_file, LOG_INFO, "here"); /* no signal for a reader that is gone */
  close(ends[1]);
}

/* As a full disk would. */
static void what_was_torn_is_ended_before_the_next(void **state) {
  (void)state;
  struct rlimit before, few;
  json_t *line = NULL;
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
  few = before;
  few.rlim_cur = 30;
  signal(SIGXFSZ, SIG_IGN);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &few), 0);
  LOG(log_file, LOG_INFO, "torn");
  LOG(log_file, LOG_INFO, "left out");
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
  signal(SIGXFSZ, SIG_DFL);
  LOG(log_file, LOG_INFO, "whole");
  FILE *file = fopen(path, "re");
  assert_non_null(fgets(text, sizeof text, file));
  assert_int_equal(strlen(text), 31);
  assert_non_null(fgets(text, sizeof text, file));
  fclose(file);
  line = json_loads(text, 0, NULL);
  assert_string_equal(string_of(line, "event"), "whole");
  assert_int_equal(json_integer_value(json_object_get(line, "lost")), 2);
  json_decref(line);
}

static void a_pipe_without_a_reader_is_refused(void **state) {
  (void)state;
  struct log *log = NULL;
  char pipe_path[80];
  snprintf(pipe_path, sizeof pipe_path, "%s/pipe", directory);
  assert_int_equal(mkfifo(pipe_path, 0600), 0);
  assert_int_equal(brig__log_open(pipe_path, "info", &log, NULL), BRIG_E_SYSTEM);
  assert_null(log);
}

static void *write_many(void *context) {
  for (int i = 0; i < 500; i++)
    LOG(log_file, LOG_INFO, "many", LOG_TEXT("by", context), LOG_COUNT("number", (uint64_t)i));
  return NULL;
}

static void lines_of_threads_do_not_mix(void **state) {
  (void)state;
  static json_t *lines[3000];
  static char names[4][2] = {"a", "b", "c", "d"};
  pthread_t threads[4];
  for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, write_many, names[i]);
  for (int i = 0; i < 50; i++) brig__log_reload(log_file, "info", NULL);
  for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
  assert_int_equal(read_lines(path, lines, 3000), 2000);
  for (int i = 0; i < 2000; i++) json_decref(lines[i]);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_line_says_when_what_and_all_fields),
      TEST(hostile_text_stays_in_its_place),
      TEST(long_text_is_cut_between_characters),
      TEST(a_level_is_all_before_it),
      TEST(a_file_that_was_moved_is_opened_anew),
      TEST(a_full_pipe_keeps_nobody_waiting),
      TEST(nor_does_a_full_socket),
      TEST(what_was_torn_is_ended_before_the_next),
      TEST(a_pipe_without_a_reader_is_refused),
      TEST(lines_of_threads_do_not_mix),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
