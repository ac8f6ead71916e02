/* base/thread.h - threads of the library's own, in a program that is not ours. */
#ifndef BRIG_BASE_THREAD_H
#define BRIG_BASE_THREAD_H

#include <pthread.h>
#include <stdint.h>

/* Start one with every signal blocked: the host's are not for it. 0 or -errno. */
int brig__thread_start(pthread_t *ret_thread, void *(*run)(void *context), void *context);

/* A condition that is waited for by brig__now_us()'s clock, which nobody sets. */
void brig__condition_init(pthread_cond_t *condition);

/* pthread_cond_timedwait(3), until `until_us` of that clock. */
int brig__condition_wait(pthread_cond_t *condition, pthread_mutex_t *lock, uint64_t until_us);

#endif
