#include "server/executor.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include "base/clock.h"
#include "base/error.h"
#include "base/thread.h"

#define IDLE_US UINT64_C(10000000)

struct job {
  struct job *next;
  void (*run)(void *context);
  void *context;
};

struct executor {
  pthread_mutex_t lock;
  pthread_cond_t work, gone;
  struct job *first, **last;
  size_t waiting; /* jobs */
  size_t idle, threads, max_threads;
  bool closing;
};

int brig__executor_open(size_t max_threads, struct executor **ret_executor,
                        struct brig_error *err) {
  struct executor *executor = calloc(1, sizeof *executor);
  if (executor == NULL) return brig__fail(err, BRIG_E_MEMORY, "serve", "out of memory");
  executor->last = &executor->first;
  executor->max_threads = max_threads;
  pthread_mutex_init(&executor->lock, NULL);
  brig__condition_init(&executor->work);
  pthread_cond_init(&executor->gone, NULL);
  *ret_executor = executor;
  return 0;
}

/* With the lock. NULL: there was none for a while, or there will be none. */
static struct job *next_job(struct executor *executor) {
  uint64_t until_us = brig__now_us() + IDLE_US;
  executor->idle++;
  while (executor->first == NULL && !executor->closing)
    if (brig__condition_wait(&executor->work, &executor->lock, until_us) == ETIMEDOUT) break;
  executor->idle--;
  struct job *job = executor->first;
  if (job == NULL) return NULL;
  executor->first = job->next;
  if (executor->first == NULL) executor->last = &executor->first;
  executor->waiting--;
  return job;
}

static void *work(void *context) {
  struct executor *executor = context;
  pthread_mutex_lock(&executor->lock);
  for (struct job *job; (job = next_job(executor)) != NULL;) {
    pthread_mutex_unlock(&executor->lock);
    job->run(job->context);
    free(job);
    pthread_mutex_lock(&executor->lock);
  }
  executor->threads--;
  pthread_cond_signal(&executor->gone);
  pthread_mutex_unlock(&executor->lock);
  return NULL;
}

/* With the lock: somebody takes the next job. */
static int have_thread(struct executor *executor) {
  pthread_t thread;
  if (executor->idle > executor->waiting) return 0;
  if (executor->threads == executor->max_threads) return -EAGAIN;
  int rc = brig__thread_start(&thread, work, executor);
  if (rc < 0) return rc;
  pthread_detach(thread);
  executor->threads++;
  return 0;
}

int brig__executor_run(struct executor *executor, void (*run)(void *context), void *context) {
  struct job *job = malloc(sizeof *job);
  if (job == NULL) return -ENOMEM;
  *job = (struct job){.run = run, .context = context};
  pthread_mutex_lock(&executor->lock);
  int rc = have_thread(executor);
  if (rc == 0) {
    *executor->last = job;
    executor->last = &job->next;
    executor->waiting++;
  }
  pthread_mutex_unlock(&executor->lock);
  /* Not before: who wakes would wait for the lock. */
  if (rc == 0)
    pthread_cond_signal(&executor->work);
  else
    free(job);
  return rc;
}

void brig__executor_close(struct executor *executor) {
  if (executor == NULL) return;
  pthread_mutex_lock(&executor->lock);
  executor->closing = true;
  pthread_cond_broadcast(&executor->work);
  while (executor->threads > 0) pthread_cond_wait(&executor->gone, &executor->lock);
  pthread_mutex_unlock(&executor->lock);
  pthread_cond_destroy(&executor->work);
  pthread_cond_destroy(&executor->gone);
  pthread_mutex_destroy(&executor->lock);
  free(executor);
}
