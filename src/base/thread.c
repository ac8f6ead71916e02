#include "base/thread.h"

#include <signal.h>

int brig__thread_start(pthread_t *ret_thread, void *(*run)(void *context), void *context) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int rc = pthread_create(ret_thread, NULL, run, context);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return -rc;
}
