/* server/executor.h - threads for what blocks: as many as there are jobs at once, kept for
 * the next for a while. Which of them may run, and who waits, is the sandbox's queue to say.
 */
#ifndef BRIG_SERVER_EXECUTOR_H
#define BRIG_SERVER_EXECUTOR_H

#include <brig/error.h>
#include <stddef.h>

struct executor;

int brig__executor_open(size_t max_threads, struct executor **ret_executor, struct brig_error *err);
/* Waits for the jobs there are. Accepts NULL. */
void brig__executor_close(struct executor *executor);
/* Have `run` called on a thread. 0; -EAGAIN: all are busy, -errno: there can be no other.
 * Any thread may call it. */
int brig__executor_run(struct executor *executor, void (*run)(void *context), void *context);

#endif
