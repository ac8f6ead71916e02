/* Turns, and who waits for them how long. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <cmocka.h>
#include "sandbox/queue.h"
#include "base/error.h"

static struct queue *open_queue(uint64_t working, uint64_t waiting, uint64_t timeout_ms) {
  struct queue_policy policy = {working, waiting, timeout_ms, "are at work", "pool.queue_length"};
  struct queue *queue = NULL;
  assert_int_equal(brig__queue_open(&policy, &queue, NULL), 0);
  return queue;
}

struct caller {
  struct queue *queue;
  const char *tenant;
  char name;
  int cancel_fd, rc;
  struct brig_error err;
  pthread_t thread;
};

static char order[16]; /* written by whoever has the only turn */

static void *call(void *context) {
  struct caller *caller = context;
  caller->rc = brig__queue_enter(caller->queue, caller->tenant, caller->cancel_fd, &caller->err);
  if (caller->rc != 0) return NULL;
  order[strlen(order)] = caller->name;
  brig__queue_leave(caller->queue);
  return NULL;
}

/* Start it, and see it wait: `waiting` callers do then. */
static void start(struct caller *caller, uint64_t waiting) {
  assert_int_equal(pthread_create(&caller->thread, NULL, call, caller), 0);
  while (brig__queue_waiting(caller->queue) != waiting) usleep(1000);
}

static void tenants_take_turns(void **state) {
  (void)state;
  struct queue *queue = open_queue(1, 10, 60000);
  struct caller callers[] = {
      {queue, "much", 'a', -1, 0, {0}, 0}, {queue, "much", 'b', -1, 0, {0}, 0},
      {queue, "much", 'c', -1, 0, {0}, 0}, {queue, "little", 'x', -1, 0, {0}, 0},
      {queue, NULL, 'n', -1, 0, {0}, 0},   {queue, "little", 'y', -1, 0, {0}, 0},
  };
  memset(order, 0, sizeof order);
  assert_int_equal(brig__queue_enter(queue, "much", -1, NULL), 0);
  for (size_t i = 0; i < 6; i++) start(&callers[i], i + 1);
  brig__queue_leave(queue);
  for (size_t i = 0; i < 6; i++) pthread_join(callers[i].thread, NULL);
  assert_string_equal(order, "axnbyc");
  brig__queue_close(queue);
}

static void a_full_queue_takes_from_whoever_waits_most(void **state) {
  (void)state;
  struct queue *queue = open_queue(1, 3, 60000);
  struct caller callers[] = {{queue, "much", 'a', -1, 0, {0}, 0},
                             {queue, "much", 'b', -1, 0, {0}, 0},
                             {queue, "much", 'c', -1, 0, {0}, 0},
                             {queue, "little", 'x', -1, 0, {0}, 0}};
  struct brig_error err;
  memset(order, 0, sizeof order);
  assert_int_equal(brig__queue_enter(queue, NULL, -1, NULL), 0);
  for (size_t i = 0; i < 3; i++) start(&callers[i], i + 1);
  assert_int_equal(brig__queue_enter(queue, "much", -1, &err), BRIG_E_BUSY);
  assert_non_null(strstr(err.message, "pool.queue_length"));
  start(&callers[3], 3);
  pthread_join(callers[2].thread, NULL);
  assert_int_equal(callers[2].rc, BRIG_E_BUSY);
  brig__queue_leave(queue);
  for (size_t i = 0; i < 4; i++)
    if (i != 2) pthread_join(callers[i].thread, NULL);
  assert_string_equal(order, "axb");
  brig__queue_close(queue);
}

static void nobody_waits_for_ever(void **state) {
  (void)state;
  struct queue *queue = open_queue(1, 3, 50);
  struct brig_error err;
  assert_int_equal(brig__queue_enter(queue, NULL, -1, NULL), 0);
  assert_int_equal(brig__queue_enter(queue, NULL, -1, &err), BRIG_E_BUSY);
  assert_non_null(strstr(err.message, "pool.queue_timeout_secs"));
  assert_int_equal(brig__queue_waiting(queue), 0);
  brig__queue_leave(queue);
  assert_int_equal(brig__queue_enter(queue, NULL, -1, NULL), 0);
  brig__queue_leave(queue);
  brig__queue_close(queue);
}

static void one_who_waits_can_be_cancelled(void **state) {
  (void)state;
  struct queue *queue = open_queue(1, 3, 60000);
  int cancel = eventfd(1, EFD_CLOEXEC);
  assert_int_equal(brig__queue_enter(queue, NULL, -1, NULL), 0);
  assert_int_equal(brig__queue_enter(queue, NULL, cancel, NULL), BRIG__CANCELLED);
  assert_int_equal(brig__queue_waiting(queue), 0);
  brig__queue_leave(queue);
  brig__queue_close(queue);
  close(cancel);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(tenants_take_turns),
      cmocka_unit_test(a_full_queue_takes_from_whoever_waits_most),
      cmocka_unit_test(nobody_waits_for_ever),
      cmocka_unit_test(one_who_waits_can_be_cancelled),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
