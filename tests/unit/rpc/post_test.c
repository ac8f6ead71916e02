#include <event2/event.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include "rpc/post.h"

#define THREADS 4
#define EACH    5000

struct poster {
  struct posts *posts;
  pthread_t thread, loop;
  struct event_base *base;
  int last, wrong;
  unsigned *running; /* posters that are not done */
};

struct note {
  struct poster *poster;
  int number;
};

static void take(void *context) {
  struct note *note = context;
  struct poster *poster = note->poster;
  if (note->number != poster->last + 1 || !pthread_equal(poster->loop, pthread_self()))
    poster->wrong++;
  poster->last = note->number;
  if (note->number == EACH && --*poster->running == 0) event_base_loopbreak(poster->base);
  free(note);
}

static void *post_all(void *context) {
  struct poster *poster = context;
  for (int i = 1; i <= EACH; i++) {
    struct note *note = malloc(sizeof *note);
    *note = (struct note){poster, i};
    brig__posts_add(poster->posts, take, note);
  }
  return NULL;
}

static void posts_run_on_the_loop_in_the_order_of_each_thread(void **state) {
  struct event_base *base = event_base_new();
  struct poster posters[THREADS];
  struct posts *posts;
  unsigned running = THREADS;
  (void)state;
  assert_int_equal(brig__posts_open(base, &posts, NULL), 0);
  for (int i = 0; i < THREADS; i++) {
    posters[i] =
        (struct poster){.posts = posts, .loop = pthread_self(), .base = base, .running = &running};
    pthread_create(&posters[i].thread, NULL, post_all, &posters[i]);
  }
  event_base_dispatch(base);
  for (int i = 0; i < THREADS; i++) {
    pthread_join(posters[i].thread, NULL);
    assert_int_equal(posters[i].last, EACH);
    assert_int_equal(posters[i].wrong, 0);
  }
  brig__posts_close(posts);
  event_base_free(base);
}

static void count(void *context) { ++*(int *)context; }

static void what_is_left_at_the_end_is_run_too(void **state) {
  struct event_base *base = event_base_new();
  struct posts *posts;
  int ran = 0;
  (void)state;
  assert_int_equal(brig__posts_open(base, &posts, NULL), 0);
  for (int i = 0; i < 3; i++) assert_int_equal(brig__posts_add(posts, count, &ran), 0);
  brig__posts_close(posts);
  assert_int_equal(ran, 3);
  event_base_free(base);
}

int main(void) {
  static const struct CMUnitTest tests[] = {
      cmocka_unit_test(posts_run_on_the_loop_in_the_order_of_each_thread),
      cmocka_unit_test(what_is_left_at_the_end_is_run_too),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
