/* server/log.h - what happens, one line of JSON an event:
 *
 *   {"time":"2026-01-31T12:00:00.000001Z","level":"info","event":"call","request":"7"}
 *
 *   LOG(log, LOG_INFO, "call", LOG_TEXT("tenant", tenant), LOG_COUNT("wall_us", wall_us));
 *
 * Texts may be a client's or a guest's: what is not UTF-8 becomes U+FFFD, all but ASCII is
 * escaped (and DEL is a question mark), and no line is longer than LOG_LINE_MAX, for which
 * texts are cut. Lines are whole: one goes out in one write, or not at all where it would have
 * to wait; how many were left out is told as "lost" by the next that goes out.
 *
 * Threads: any. Never waits for who reads it; fails silently. SIGPIPE is the program's to
 * ignore.
 */
#ifndef BRIG_SERVER_LOG_H
#define BRIG_SERVER_LOG_H

#include <brig/error.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define LOG_LINE_MAX 4096 /* PIPE_BUF: more might be torn, or wait */
#define LOG_TEXT_MAX 512  /* bytes of one text, before it is escaped */

/* X(NAME, name), the gravest first: log.level */
#define LOG_LEVEL_LIST(X) \
  X(ERROR, "error")       \
  X(WARNING, "warning")   \
  X(INFO, "info")         \
  X(DEBUG, "debug")

enum log_level {
#define LOG_LEVEL_ENUM(name, text) LOG_##name,
  LOG_LEVEL_LIST(LOG_LEVEL_ENUM)
#undef LOG_LEVEL_ENUM
};

struct log;

/* `path`: a file to append to, made 0600; NULL or empty: standard error. `level`: log.level,
 * BRIG_E_CONFIG if there is none of that name. */
int brig__log_open(const char *path, const char *level, struct log **ret_log,
                   struct brig_error *err);
/* Another level, and the file of that name anew, for who has moved the old one. On failure
 * nothing has changed. */
int brig__log_reload(struct log *log, const char *level, struct brig_error *err);
/* Nobody may be in it. Accepts NULL. */
void brig__log_close(struct log *log);

struct log_field {
  const char *name; /* ours; NULL ends them */
  enum { LOG_IS_TEXT, LOG_IS_COUNT } kind;
  const void *text; /* NULL: the field is left out */
  size_t size;      /* SIZE_MAX: it ends with a 0 byte */
  uint64_t count;
};

#define LOG_BYTES(field, data, length) \
  { .name = (field), .kind = LOG_IS_TEXT, .text = (data), .size = (length) }
#define LOG_TEXT(field, string) LOG_BYTES(field, string, SIZE_MAX)
#define LOG_COUNT(field, number) \
  { .name = (field), .kind = LOG_IS_COUNT, .count = (number) }

#define LOG(log, level, event, ...)                                                        \
  brig__log_write(log, level, event,                                                       \
                  (const struct log_field[]){__VA_ARGS__ __VA_OPT__(, ) { .name = NULL }})

/* `log` may be NULL: then nothing is written. */
void brig__log_write(struct log *log, enum log_level level, const char *event,
                     const struct log_field *fields);

#endif
