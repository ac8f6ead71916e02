#include "server/metrics.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum type { COUNTER, GAUGE, HISTOGRAM };
static const char *const type_names[] = {"counter", "gauge", "histogram"};

#define BUCKETS_MAX 16

/* Upper bounds, rising; 0 ends them. SECONDS are those that Prometheus' libraries have. */
enum buckets { NONE, SECONDS, FINE, FUEL, BYTES };
static const double bounds[][BUCKETS_MAX] = {
    [NONE] = {0},
    [SECONDS] = {.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
    [FINE] = {.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 60},
    [FUEL] = {1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12},
    [BYTES] = {0x1p20, 0x1p22, 0x1p24, 0x1p25, 0x1p26, 0x1p27, 0x1p28, 0x1p29, 0x1p30, 0x1p31,
               0x1p32},
};

#define LABELS_MAX 2

static const struct definition {
  enum type type;
  const char *name;
  enum buckets buckets;
  const char *labels[LABELS_MAX];
  const char *help;
} definitions[METRIC_COUNT] = {
#define METRIC(id, type, name, buckets, label1, label2, help) \
  [METRIC_##id] = {type, name, buckets, {label1, label2}, help},
#include "server/metrics.def"
};

struct series {
  const char *values[LABELS_MAX]; /* of the labels; borrowed */
  uint64_t count;                 /* the value, or the number of observations */
  double sum;
  uint64_t buckets[BUCKETS_MAX]; /* each by itself */
};

struct metrics {
  struct {
    struct series *series;
    size_t count;
  } of[METRIC_COUNT];
};

struct metrics *brig__metrics_new(void) {
  struct metrics *metrics = calloc(1, sizeof *metrics);
  for (int i = 0; metrics != NULL && i < METRIC_COUNT; i++) {
    bool labelled = definitions[i].labels[0] != NULL;
    metrics->of[i].series = calloc(labelled ? METRICS_SERIES_MAX : 1, sizeof(struct series));
    metrics->of[i].count = labelled ? 0 : 1; /* one without labels is there from the start */
    if (metrics->of[i].series != NULL) continue;
    brig__metrics_free(metrics);
    return NULL;
  }
  return metrics;
}

void brig__metrics_free(struct metrics *metrics) {
  if (metrics == NULL) return;
  for (int i = 0; i < METRIC_COUNT; i++) free(metrics->of[i].series);
  free(metrics);
}

static const char other[] = "other";

static bool same(const char *a, const char *b) { return a == b || strcmp(a, b) == 0; }

/* The series of these values, made if need be. */
static struct series *get(struct metrics *metrics, enum metric metric, const char *label1,
                          const char *label2) {
  const struct definition *definition = &definitions[metric];
  struct series *series = metrics->of[metric].series;
  size_t *count = &metrics->of[metric].count;
  if (definition->labels[0] == NULL) return series;
  if (label1 == NULL) label1 = other;
  if (definition->labels[1] == NULL) label2 = "";
  if (label2 == NULL) label2 = other;
  for (size_t i = 0; i < *count; i++)
    if (same(series[i].values[0], label1) && same(series[i].values[1], label2)) return &series[i];
  if (*count == METRICS_SERIES_MAX) return &series[*count - 1];
  if (*count == METRICS_SERIES_MAX - 1) { /* the last one is for all that come after */
    label1 = other;
    if (*label2 != '\0') label2 = other;
  }
  series += (*count)++;
  series->values[0] = label1;
  series->values[1] = label2;
  return series;
}

void brig__metrics_add(struct metrics *metrics, enum metric metric, uint64_t more,
                       const char *label1, const char *label2) {
  get(metrics, metric, label1, label2)->count += more;
}

void brig__metrics_set(struct metrics *metrics, enum metric metric, uint64_t value) {
  metrics->of[metric].series->count = value;
}

void brig__metrics_observe(struct metrics *metrics, enum metric metric, double value,
                           const char *label1) {
  struct series *series = get(metrics, metric, label1, NULL);
  const double *bound = bounds[definitions[metric].buckets];
  size_t i = 0;
  while (bound[i] != 0 && value > bound[i]) i++;
  if (bound[i] != 0) series->buckets[i]++;
  series->count++;
  series->sum += value;
}

static double seconds(uint64_t us) { return (double)us / 1e6; }

static void count_output(struct metrics *metrics, const struct brig_result *result) {
  brig__metrics_add(metrics, METRIC_output_bytes, result->stdout_size, "stdout", NULL);
  brig__metrics_add(metrics, METRIC_output_bytes, result->stderr_size, "stderr", NULL);
  brig__metrics_add(metrics, METRIC_output_dropped, result->stdout_dropped, "stdout", NULL);
  brig__metrics_add(metrics, METRIC_output_dropped, result->stderr_dropped, "stderr", NULL);
}

void brig__metrics_result(struct metrics *metrics, const struct brig_result *result) {
  bool well = result->outcome == BRIG_OUTCOME_EXITED && result->exit_code == 0;
  const char *start = result->warm ? "warm" : "cold";
  brig__metrics_add(metrics, METRIC_tool_executions, 1, "wasi", well ? "success" : "error");
  brig__metrics_observe(metrics, METRIC_tool_duration, seconds(result->wall_us), "wasi");
  brig__metrics_add(metrics, METRIC_executions, 1, brig_outcome_name(result->outcome), start);
  count_output(metrics, result);
  if (result->start_us + result->run_us == 0) return; /* cancelled before it started */
  brig__metrics_add(metrics, METRIC_code_cache, 1, result->code_cached ? "hit" : "miss", NULL);
  brig__metrics_observe(metrics, METRIC_queue_wait, seconds(result->queue_us), NULL);
  brig__metrics_observe(metrics, METRIC_start_time, seconds(result->start_us), start);
  brig__metrics_observe(metrics, METRIC_run_time, seconds(result->run_us), NULL);
  brig__metrics_observe(metrics, METRIC_worker_memory, (double)result->rss_bytes, NULL);
  if (!result->accounted) return;
  brig__metrics_observe(metrics, METRIC_guest_memory, (double)result->memory_bytes, NULL);
  if (result->metered)
    brig__metrics_observe(metrics, METRIC_fuel, (double)result->fuel_used, NULL);
}

void brig__metrics_read(struct metrics *metrics, struct brig_sandbox *sandbox,
                        struct brig_sessions *sessions) {
  struct brig_counts counts = BRIG_COUNTS_INIT;
  struct brig_session_counts kept = BRIG_SESSION_COUNTS_INIT;
  brig_sandbox_counts(sandbox, &counts);
  if (sessions != NULL) brig_sessions_counts(sessions, &kept);
  brig__metrics_set(metrics, METRIC_workers, counts.working);
  brig__metrics_set(metrics, METRIC_queue_length, counts.waiting);
  brig__metrics_set(metrics, METRIC_zygotes, counts.zygotes);
  brig__metrics_set(metrics, METRIC_zygotes_died, counts.zygotes_died);
  brig__metrics_set(metrics, METRIC_templates, counts.templates);
  brig__metrics_set(metrics, METRIC_sessions_live, kept.live);
  brig__metrics_set(metrics, METRIC_sessions_saved, kept.saved);
}

/* --- The text format ------------------------------------------------------------ */

static void print_escaped(FILE *stream, const char *text, bool quotes) {
  for (; *text != '\0'; text++) {
    if (*text == '\n')
      fputs("\\n", stream);
    else if (*text == '\\' || (quotes && *text == '"'))
      fprintf(stream, "\\%c", *text);
    else
      fputc(*text, stream);
  }
}

/* As few digits as say it exactly. */
static void format_number(double value, char ret_text[32]) {
  for (int digits = 15; digits <= 17; digits++) {
    snprintf(ret_text, 32, "%.*g", digits, value);
    if (strtod(ret_text, NULL) == value) return;
  }
}

/* NAME_suffix{label="value",le="bound"} and a space. */
static void print_name(FILE *stream, const struct definition *definition,
                       const struct series *series, const char *suffix, const char *bound) {
  char separator = '{';
  fprintf(stream, "%s%s", definition->name, suffix);
  for (int i = 0; i < LABELS_MAX && definition->labels[i] != NULL; i++) {
    fprintf(stream, "%c%s=\"", separator, definition->labels[i]);
    print_escaped(stream, series->values[i], true);
    fputc('"', stream);
    separator = ',';
  }
  if (bound != NULL) fprintf(stream, "%cle=\"%s\"", separator, bound);
  fputs(separator == '{' && bound == NULL ? " " : "} ", stream);
}

static void print_histogram(FILE *stream, const struct definition *definition,
                            const struct series *series) {
  const double *bound = bounds[definition->buckets];
  uint64_t below = 0;
  char text[32];
  for (size_t i = 0; bound[i] != 0; i++) {
    below += series->buckets[i];
    format_number(bound[i], text);
    print_name(stream, definition, series, "_bucket", text);
    fprintf(stream, "%" PRIu64 "\n", below);
  }
  print_name(stream, definition, series, "_bucket", "+Inf");
  fprintf(stream, "%" PRIu64 "\n", series->count);
  format_number(series->sum, text);
  print_name(stream, definition, series, "_sum", NULL);
  fprintf(stream, "%s\n", text);
  print_name(stream, definition, series, "_count", NULL);
  fprintf(stream, "%" PRIu64 "\n", series->count);
}

static void print_metric(FILE *stream, const struct metrics *metrics, int metric) {
  const struct definition *definition = &definitions[metric];
  if (metrics->of[metric].count == 0) return;
  fprintf(stream, "# HELP %s ", definition->name);
  print_escaped(stream, definition->help, false);
  fprintf(stream, "\n# TYPE %s %s\n", definition->name, type_names[definition->type]);
  for (size_t i = 0; i < metrics->of[metric].count; i++) {
    const struct series *series = &metrics->of[metric].series[i];
    if (definition->type == HISTOGRAM) {
      print_histogram(stream, definition, series);
    } else {
      print_name(stream, definition, series, "", NULL);
      fprintf(stream, "%" PRIu64 "\n", series->count);
    }
  }
}

char *brig__metrics_text(const struct metrics *metrics, size_t *ret_size) {
  char *text = NULL;
  FILE *stream = open_memstream(&text, ret_size);
  if (stream == NULL) return NULL;
  for (int i = 0; i < METRIC_COUNT; i++) print_metric(stream, metrics, i);
  bool failed = ferror(stream) != 0;
  if (fclose(stream) == 0 && !failed) return text;
  free(text);
  return NULL;
}
