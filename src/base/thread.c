#include "base/thread.h"

#include <signal.h>
#include <time.h>

int brig__thread_start(pthread_t *ret_thread, void *(*run)(void *context), void *context) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int rc = pthread_create(ret_thread, NULL, run, context);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return -rc;
}

void brig__condition_init(pthread_cond_t *condition) {
  pthread_condattr_t monotonic;
  pthread_condattr_init(&monotonic);
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  pthread_cond_init(condition, &monotonic);
  pthread_condattr_destroy(&monotonic);
}

int brig__condition_wait(pthread_cond_t *condition, pthread_mutex_t *lock, uint64_t until_us) {
  const struct timespec until = {.tv_sec = (time_t)(until_us / 1000000),
                                 .tv_nsec = (long)(until_us % 1000000 * 1000)};
  return pthread_cond_timedwait(condition, lock, &until);
}
