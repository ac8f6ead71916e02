/* base/thread.h - threads of the library's own, in a program that is not ours. */
#ifndef BRIG_BASE_THREAD_H
#define BRIG_BASE_THREAD_H

#include <pthread.h>

/* Start one with every signal blocked: the host's are not for it. 0 or -errno. */
int brig__thread_start(pthread_t *ret_thread, void *(*run)(void *context), void *context);

#endif
