/* The threads that run what blocks, and the output that comes from them. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "server/deltas.h"
#include "server/executor.h"

/* --- Threads -------------------------------------------------------------------- */

static pthread_barrier_t all_there;

static void meet(void *context) {
  pthread_barrier_wait(&all_there);
  atomic_fetch_add((atomic_int *)context, 1);
}

static struct executor *open_executor(size_t threads) {
  struct executor *executor = NULL;
  assert_int_equal(brig__executor_open(threads, &executor, NULL), 0);
  return executor;
}

static void jobs_run_at_once_up_to_the_number_of_threads(void **state) {
  atomic_int done = 0;
  struct executor *executor = open_executor(16);
  (void)state;
  pthread_barrier_init(&all_there, NULL, 17);
  for (int i = 0; i < 16; i++) assert_int_equal(brig__executor_run(executor, meet, &done), 0);
  assert_int_equal(brig__executor_run(executor, meet, &done), -EAGAIN);
  pthread_barrier_wait(&all_there);
  brig__executor_close(executor); /* waits for them */
  assert_int_equal(done, 16);
  pthread_barrier_destroy(&all_there);
}

static void count(void *context) { atomic_fetch_add((atomic_int *)context, 1); }

static void *add_many(void *context) {
  atomic_int *done = ((void **)context)[0];
  for (int i = 0; i < 2000;)
    if (brig__executor_run(((void **)context)[1], count, done) == 0) i++;
  return NULL;
}

static void jobs_from_many_threads_are_all_run(void **state) {
  atomic_int done = 0;
  struct executor *executor = open_executor(4);
  void *context[] = {&done, executor};
  pthread_t threads[4];
  (void)state;
  for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, add_many, context);
  for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
  brig__executor_close(executor);
  assert_int_equal(done, 8000);
}

/* --- Output ------------------------------------------------------------------------ */

static struct deltas deltas;

static int open_deltas(void **state) {
  (void)state;
  brig__deltas_init(&deltas);
  return 0;
}

static int free_deltas(void **state) {
  (void)state;
  brig__deltas_free(&deltas);
  return 0;
}

static bool add(enum brig_stream stream, const char *text) {
  return brig__deltas_add(&deltas, stream, text, strlen(text));
}

static void next_is(enum brig_stream stream, const char *text, size_t max) {
  struct delta delta;
  assert_true(brig__deltas_next(&deltas, max, &delta));
  assert_int_equal(delta.stream, stream);
  assert_int_equal(delta.size, strlen(text));
  assert_memory_equal(delta.data, text, delta.size);
  free(delta.data);
}

static void none_is_left(void) {
  struct delta delta;
  assert_false(brig__deltas_next(&deltas, 100, &delta));
}

static void output_comes_in_order_and_the_loop_is_told_once(void **state) {
  struct delta delta;
  (void)state;
  assert_true(add(BRIG_STDOUT, "a"));
  assert_false(add(BRIG_STDOUT, "b"));
  assert_false(add(BRIG_STDERR, "c"));
  assert_false(brig__deltas_end_run(&deltas, 7));
  next_is(BRIG_STDOUT, "ab", 100);
  next_is(BRIG_STDERR, "c", 100);
  assert_true(brig__deltas_next(&deltas, 100, &delta));
  assert_true(delta.stream == 0 && delta.run == 7);
  none_is_left();
  assert_true(add(BRIG_STDERR, "d"));
  next_is(BRIG_STDERR, "d", 100);
}

#define FACE "\xf0\x9f\x98\x80"

static void no_character_is_torn(void **state) {
  (void)state;
  assert_false(add(BRIG_STDOUT, "\xf0\x9f"));
  none_is_left();
  assert_true(add(BRIG_STDERR, "e"));
  assert_false(add(BRIG_STDOUT, "\x98"));
  assert_false(add(BRIG_STDOUT, "\x80x\xc3"));
  next_is(BRIG_STDERR, "e", 100);
  next_is(BRIG_STDOUT, FACE "x", 100);
  none_is_left();
  assert_true(brig__deltas_end_run(&deltas, 0)); /* what was begun is all there will be */
  next_is(BRIG_STDOUT, "\xc3", 100);
}

static void long_output_comes_in_whole_characters(void **state) {
  (void)state;
  add(BRIG_STDOUT, FACE FACE "abc");
  next_is(BRIG_STDOUT, FACE, 7);
  next_is(BRIG_STDOUT, FACE "ab", 6);
  next_is(BRIG_STDOUT, "c", 6);
}

static void bytes_that_are_no_text_pass(void **state) {
  (void)state;
  add(BRIG_STDOUT, "\x80\x80\x80\x80\x80\x80\xff");
  next_is(BRIG_STDOUT, "\x80", 4);
  next_is(BRIG_STDOUT, "\x80\x80\x80\x80\x80\xff", 100);
}

#define DELTAS(function) cmocka_unit_test_setup_teardown(function, open_deltas, free_deltas)

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(jobs_run_at_once_up_to_the_number_of_threads),
      cmocka_unit_test(jobs_from_many_threads_are_all_run),
      DELTAS(output_comes_in_order_and_the_loop_is_told_once),
      DELTAS(no_character_is_torn),
      DELTAS(long_output_comes_in_whole_characters),
      DELTAS(bytes_that_are_no_text_pass),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
