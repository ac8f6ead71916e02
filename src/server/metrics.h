/* server/metrics.h - what is counted, for Prometheus: metrics.def is the table.
 *
 * Threads: one, the loop's. Counting allocates nothing and cannot fail.
 *
 * Labels are bounded: a value is a name of ours (a method, a tool, an outcome), never what a
 * client sent; it must stay where it is until brig__metrics_free(). NULL is "other", and so
 * is what comes after METRICS_SERIES_MAX combinations.
 */
#ifndef BRIG_SERVER_METRICS_H
#define BRIG_SERVER_METRICS_H

#include <brig/sandbox.h>
#include <brig/session.h>
#include <stddef.h>
#include <stdint.h>

#define METRICS_SERIES_MAX 64 /* of one metric, "other" included */

enum metric {
#define METRIC(id, ...) METRIC_##id,
#include "server/metrics.def"
  METRIC_COUNT
};

struct metrics;

/* NULL for want of memory. */
struct metrics *brig__metrics_new(void);
/* Accepts NULL. */
void brig__metrics_free(struct metrics *metrics);

/* Labels in the table's order, as many as it has; the rest is not looked at. */
/* A counter. */
void brig__metrics_add(struct metrics *metrics, enum metric metric, uint64_t more,
                       const char *label1, const char *label2);
/* A gauge, or a counter of which the total is known. Without labels. */
void brig__metrics_set(struct metrics *metrics, enum metric metric, uint64_t value);
/* A histogram, in its own unit: seconds, bytes, fuel. */
void brig__metrics_observe(struct metrics *metrics, enum metric metric, double value,
                           const char *label1);

/* All that a run's result has to tell: outcome, times, fuel, memory, output, warmth, cache;
 * and the tool "wasi", which nobody else counts. */
void brig__metrics_result(struct metrics *metrics, const struct brig_result *result);
/* The gauges of a sandbox, and of its sessions (or NULL), as they are now. */
void brig__metrics_read(struct metrics *metrics, struct brig_sandbox *sandbox,
                        struct brig_sessions *sessions);

/* All of it, in the text format 0.0.4: fresh memory with a 0 byte at its end, or NULL. */
char *brig__metrics_text(const struct metrics *metrics, size_t *ret_size);

#endif
