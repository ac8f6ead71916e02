#include "server/log.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>
#include "base/error.h"
#include "base/fd.h"
#include "base/utf8.h"

_Static_assert(LOG_LINE_MAX <= PIPE_BUF, "a line is one write");

#define TEXT_MIN 8 /* texts are not cut to less: then the line is lost */

struct log {
  char *path; /* NULL: standard error */
  pthread_mutex_t lock; /* of all below */
  int fd;
  enum log_level level;
  bool torn; /* the last line was cut short */
  uint64_t lost;
};

static const char *const level_names[] = {
#define NAME(name, text) [LOG_##name] = text,
    LOG_LEVEL_LIST(NAME)
#undef NAME
};

/* --- Life ------------------------------------------------------------------------- */

static int find_level(const char *name, enum log_level *ret_level, struct brig_error *err) {
  for (size_t i = 0; i < sizeof level_names / sizeof *level_names; i++) {
    if (strcmp(level_names[i], name) != 0) continue;
    *ret_level = (enum log_level)i;
    return 0;
  }
  return brig__fail(err, BRIG_E_CONFIG, "log",
                    "log.level: expected error, warning, info or debug, got another word");
}

/* A pipe without a reader is an error, and nothing waits for it. */
static int open_file(const char *path, int *ret_fd, struct brig_error *err) {
  int fd = path == NULL ? fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0)
                        : open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY |
                                         O_NONBLOCK, 0600);
  if (fd < 0)
    return brig__fail_errno(err, errno, "log", "log.file %.300s",
                            path == NULL ? "(standard error)" : path);
  *ret_fd = fd;
  return 0;
}

int brig__log_open(const char *path, const char *level, struct log **ret_log,
                   struct brig_error *err) {
  bool file = path != NULL && *path != '\0';
  struct log *log = calloc(1, sizeof *log);
  if (log == NULL) return brig__fail(err, BRIG_E_MEMORY, "log", "out of memory");
  log->fd = -1;
  pthread_mutex_init(&log->lock, NULL);
  log->path = file ? strdup(path) : NULL;
  int rc = file && log->path == NULL ? brig__fail(err, BRIG_E_MEMORY, "log", "out of memory") : 0;
  if (rc == 0) rc = brig__log_reload(log, level, err);
  if (rc < 0)
    brig__log_close(log);
  else
    *ret_log = log;
  return rc;
}

int brig__log_reload(struct log *log, const char *level, struct brig_error *err) {
  enum log_level wanted;
  CLEANUP_FD int fd = -1;
  int rc = find_level(level, &wanted, err);
  if (rc == 0) rc = open_file(log->path, &fd, err);
  if (rc < 0) return rc;
  pthread_mutex_lock(&log->lock);
  int old = log->fd;
  log->fd = STEAL_FD(fd);
  log->level = wanted;
  pthread_mutex_unlock(&log->lock);
  if (old >= 0) close(old);
  return 0;
}

void brig__log_close(struct log *log) {
  if (log == NULL) return;
  if (log->fd >= 0) close(log->fd);
  pthread_mutex_destroy(&log->lock);
  free(log->path);
  free(log);
}

/* --- A line ----------------------------------------------------------------------- */

static json_t *time_text(void) {
  struct timespec now;
  struct tm utc;
  char text[40], whole[64];
  clock_gettime(CLOCK_REALTIME, &now);
  gmtime_r(&now.tv_sec, &utc);
  strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
  snprintf(whole, sizeof whole, "%s.%06ldZ", text, now.tv_nsec / 1000);
  return json_string(whole);
}

/* At most `limit` bytes, and no part of a character that was one. */
static size_t cut(const char *text, size_t size, size_t limit) {
  if (size <= limit) return size;
  size_t at = limit;
  while (at > 0 && limit - at < 3 && ((unsigned char)text[at] & 0xc0) == 0x80) at--;
  return at;
}

static json_t *text_value(const struct log_field *field, size_t limit) {
  const char *text = field->text;
  size_t size = field->size == SIZE_MAX ? strnlen(text, limit + 4) : field->size;
  json_t *value = json_stringn(text, size = cut(text, size, limit));
  if (value != NULL) return value;
  CLEANUP_FREE char *repaired = brig__utf8_repair(text, size, &size);
  return repaired == NULL ? NULL : json_stringn(repaired, size);
}

static char *make_line(enum log_level level, const char *event, const struct log_field *fields,
                       uint64_t lost, size_t limit) {
  json_t *line = json_object();
  json_object_set_new(line, "time", time_text());
  json_object_set_new(line, "level", json_string(level_names[level]));
  json_object_set_new(line, "event", json_string(event));
  for (; fields->name != NULL; fields++) {
    if (fields->kind == LOG_IS_COUNT)
      json_object_set_new(line, fields->name, json_integer((json_int_t)fields->count));
    else if (fields->text != NULL)
      json_object_set_new(line, fields->name, text_value(fields, limit));
  }
  if (lost > 0) json_object_set_new(line, "lost", json_integer((json_int_t)lost));
  char *text = json_dumps(line, JSON_COMPACT | JSON_ENSURE_ASCII);
  json_decref(line);
  /* DEL is the one control character that is not escaped. */
  for (char *at = text; at != NULL && (at = strchr(at, 127)) != NULL;) *at = '?';
  return text;
}

/* Nothing waits: what is not ready for a whole line gets none. Returns how much of it went. */
static ssize_t send_line(int fd, struct iovec *parts, int count) {
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = (size_t)count};
  struct pollfd ready = {.fd = fd, .events = POLLOUT};
  ssize_t sent = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent >= 0 || errno != ENOTSOCK) return sent;
  return poll(&ready, 1, 0) == 1 && (ready.revents & POLLOUT) != 0 ? writev(fd, parts, count) : -1;
}

/* With the lock. */
static void put_line(struct log *log, char *text, size_t size) {
  char end[] = "\n";
  struct iovec parts[] = {{end, log->torn ? 1 : 0}, {text, size}, {end, 1}};
  ssize_t whole = (ssize_t)(parts[0].iov_len + size + 1), sent = send_line(log->fd, parts, 3);
  if (sent == whole) {
    log->torn = false;
    log->lost = 0;
    return;
  }
  if (sent > 0) log->torn = true;
  log->lost++;
}

void brig__log_write(struct log *log, enum log_level level, const char *event,
                     const struct log_field *fields) {
  if (log == NULL) return;
  pthread_mutex_lock(&log->lock);
  if (level <= log->level) {
    CLEANUP_FREE char *text = NULL;
    for (size_t limit = LOG_TEXT_MAX; limit >= TEXT_MIN; limit /= 2) {
      free(text);
      text = make_line(level, event, fields, log->lost, limit);
      if (text == NULL || strlen(text) + 2 <= LOG_LINE_MAX) break;
    }
    if (text != NULL && strlen(text) + 2 <= LOG_LINE_MAX)
      put_line(log, text, strlen(text));
    else
      log->lost++;
  }
  pthread_mutex_unlock(&log->lock);
}
