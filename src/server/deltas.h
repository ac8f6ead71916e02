/* server/deltas.h - a guest's output on its way from the thread that runs it to the loop,
 * as pieces of text: no character is torn in two, neither by the guest's writes nor here.
 *
 * How much there is, is bounded by the run's limits on its output.
 */
#ifndef BRIG_SERVER_DELTAS_H
#define BRIG_SERVER_DELTAS_H

#include <brig/sandbox.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/queue.h>

struct delta {
  TAILQ_ENTRY(delta) link;
  enum brig_stream stream; /* 0: a run has ended, */
  size_t run;              /* this one */
  uint8_t *data;           /* may be no UTF-8 */
  size_t size, capacity;
};

struct deltas {
  pthread_mutex_t lock;
  TAILQ_HEAD(delta_list, delta) list;
  struct {
    uint8_t bytes[4];
    size_t size;
  } begun[2];     /* of a character that is not yet whole, by stream */
  bool announced; /* the loop knows that there are some */
  bool failed;    /* no memory for some */
};

void brig__deltas_init(struct deltas *deltas);
void brig__deltas_free(struct deltas *deltas);
/* Of the thread. True: the loop is to be told. */
bool brig__deltas_add(struct deltas *deltas, enum brig_stream stream, const void *data,
                      size_t size);
bool brig__deltas_end_run(struct deltas *deltas, size_t run);
/* Of the loop: the next piece, of at most `max` bytes, its data in fresh memory. False: there
 * is none, and the loop is told of the next. */
bool brig__deltas_next(struct deltas *deltas, size_t max, struct delta *ret_delta);

#endif
