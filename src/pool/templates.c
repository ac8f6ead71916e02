#include "pool/templates.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "base/error.h"
#include "base/fd.h"
#include "base/thread.h"
#include "engine/end.h"

/* Keys that are only counted; the least recently seen are forgotten. */
#define COUNTED_MAX 1024

enum state { COUNTED, WANTED, WARM, REFUSED };

struct template {
  struct template *next; /* the most recently used first */
  struct brig_digest key;
  enum state state;
  uint64_t seen, forks;
  bool named;    /* the operator's: it stays */
  bool starting; /* the thread is at it, without the lock */
  struct wire_task task;
  int fds[WIRE_MAX_FDS]; /* ours, once there is a task */
  size_t fd_count;
  struct zygote_process *process;
  uint64_t resident_bytes;
};

struct templates {
  struct pool_options options; /* with a helper of our own */
  struct template_policy policy;
  pthread_mutex_t lock; /* of all below */
  pthread_cond_t changed;
  pthread_t thread;
  bool running, closing;
  int stop; /* an eventfd: readable once closing, for a start in progress */
  struct template *list;
  uint64_t died; /* zygotes */
};

static void unref(struct zygote_process *process) {
  if (process != NULL) brig__zygote_process_unref(process);
}

/* Only what may be started again holds descriptors. */
static void drop_task(struct template *template) {
  while (template->fd_count > 0) close(template->fds[--template->fd_count]);
}

static void free_template(struct template *template) {
  drop_task(template);
  unref(template->process);
  free(template);
}

/* With the lock: the template, moved to the front; made if need be. */
static struct template *get(struct templates *templates, const struct brig_digest *key, bool make) {
  for (struct template **at = &templates->list; *at != NULL; at = &(*at)->next) {
    struct template *template = *at;
    if (memcmp(&template->key, key, sizeof *key) != 0) continue;
    *at = template->next;
    template->next = templates->list;
    return templates->list = template;
  }
  struct template *template = make ? calloc(1, sizeof *template) : NULL;
  if (template == NULL) return NULL;
  template->key = *key;
  template->next = templates->list;
  return templates->list = template;
}

/* With the lock: forget what has long not been seen, and end zygotes, the least
 * recently used first, until the rest have room. */
static void trim(struct templates *templates) {
  uint64_t resident = 0;
  unsigned counted = 0;
  for (struct template **at = &templates->list; *at != NULL;) {
    struct template *template = *at;
    bool idle = template->process == NULL && !template->starting && !template->named &&
                template->state != WANTED;
    if (idle && ++counted > COUNTED_MAX) {
      *at = template->next;
      free_template(template);
      continue;
    }
    resident += template->process == NULL ? 0 : template->resident_bytes;
    if (resident > templates->policy.memory_bytes && template->process != NULL &&
        template != templates->list && !template->named) {
      resident -= template->resident_bytes;
      unref(template->process);
      template->process = NULL;
      template->state = COUNTED;
      template->seen = 0;
      drop_task(template);
    }
    at = &template->next;
  }
}

static bool set_task(struct template *template, const struct wire_task *task, const int *fds,
                     size_t fd_count) {
  if (template->fd_count > 0) return true;
  template->task = *task;
  for (size_t i = 0; i < fd_count; i++) {
    int fd = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);
    if (fd < 0) {
      drop_task(template);
      return false;
    }
    template->fds[template->fd_count++] = fd;
  }
  return true;
}

/* The start's last words, as one line. */
static void read_output(int fd, char *text, size_t size) {
  off_t end = lseek(fd, 0, SEEK_END), room = (off_t)size - 1;
  ssize_t got = pread(fd, text, size - 1, end > room ? end - room : 0);
  text[got > 0 ? got : 0] = '\0';
  for (char *at = text; *at != '\0'; at++)
    if ((unsigned char)*at < ' ' || *at == 127) *at = ' ';
}

static int refuse(struct brig_error *err, const char *why, const char *more) {
  return brig__fail(err, BRIG_E_MODULE, "template", "it is not made into a template: %s%s%s", why,
                    *more ? ": " : "", more);
}

static int judge(const struct wire_report *report, int output, struct brig_error *err) {
  char text[300];
  read_output(output, text, sizeof text);
  if (report->kind == WIRE_WARMED && text[0] == '\0') return 0;
  if (report->kind == WIRE_FAILED)
    return refuse(err, "it cannot be started", report->error.message);
  if (report->kind == WIRE_WARMED)
    return refuse(err, "it wrote output before it asked for input", text);
  if (report->ended.kind == ENGINE_END_TRAPPED)
    return refuse(err, "it trapped before it asked for input", text);
  return refuse(err, "it ended before it asked for input", text);
}

/* STDIN is nothing yet, and what is written goes to a file of ours. */
static int warm(struct templates *templates, struct zygote_process *process,
                const struct template *template, struct brig_error *err) {
  int ends[2], fds[WIRE_MAX_FDS];
  struct wire_report report = {0};
  CLEANUP_FD int output = brig__memfd("brig-start");
  CLEANUP_FD int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (output < 0 || null < 0 || pipe2(ends, O_CLOEXEC) < 0)
    return brig__fail_errno(err, errno, "template", "a zygote's descriptors");
  CLEANUP_FD int status = ends[0];
  memcpy(fds, template->fds, sizeof fds);
  /* An earlier start's sample has read it to its end. */
  if (template->task.program) lseek(fds[WIRE_FD_PROGRAM], 0, SEEK_SET);
  fds[WIRE_FD_CONTROL] = fds[WIRE_FD_STDIN] = null;
  fds[WIRE_FD_STATUS] = ends[1];
  fds[WIRE_FD_STDOUT] = fds[WIRE_FD_STDERR] = output;
  int rc = brig__wire_send(process->socket, &template->task, sizeof template->task, fds,
                           template->fd_count, 0);
  close(ends[1]);
  if (rc < 0) return brig__fail_errno(err, -rc, "template", "the zygote takes no task");
  struct pollfd either[] = {{status, POLLIN, 0}, {templates->stop, POLLIN, 0}};
  int ready = poll(either, 2, (int)(templates->policy.timeout_us / 1000));
  if (ready > 0 && either[1].revents != 0) return refuse(err, "Brig is being closed", "");
  if (ready == 0)
    return refuse(err, "it ran too long before it asked for input (templates.start_timeout_secs)",
                  "");
  if (read(status, &report, sizeof report) != (ssize_t)sizeof report || report.magic != WIRE_MAGIC)
    return refuse(err, "its zygote died", "");
  process->memory_bytes = report.warmed.memory_bytes;
  process->resident_bytes = report.warmed.resident_bytes;
  process->metered = template->task.settings.metered;
  return judge(&report, output, err);
}

/* Without the lock, by whoever set `starting`. */
static int start(struct templates *templates, const struct template *template,
                 struct zygote_process **ret_process, struct brig_error *err) {
  struct zygote_process *process = NULL;
  int rc = brig__zygote_process_start(&templates->options, &process, err);
  if (rc < 0) return rc;
  rc = warm(templates, process, template, err);
  if (rc == 0) {
    *ret_process = process;
    return 0;
  }
  brig__zygote_process_kill(process);
  unref(process);
  return rc;
}

/* With the lock, which is let go of meanwhile. */
static int start_unlocked(struct templates *templates, struct template *template,
                          struct brig_error *err) {
  struct zygote_process *process = NULL, *old;
  template->starting = true;
  pthread_mutex_unlock(&templates->lock);
  int rc = start(templates, template, &process, err);
  pthread_mutex_lock(&templates->lock);
  template->starting = false;
  /* What is wrong with the program stays wrong; want of memory or processes does not. */
  template->state = rc == 0 ? WARM : rc == BRIG_E_MODULE ? REFUSED : COUNTED;
  if (rc < 0) template->seen = 0;
  if (rc < 0) drop_task(template);
  template->forks = 0;
  template->resident_bytes = rc == 0 ? process->resident_bytes : 0;
  old = template->process;
  template->process = process;
  trim(templates);
  pthread_cond_broadcast(&templates->changed);
  unref(old); /* its workers keep it until they end */
  return rc;
}

static struct template *find_work(struct templates *templates) {
  for (struct template *at = templates->list; at != NULL; at = at->next)
    if (at->state == WANTED && !at->starting) return at;
  return NULL;
}

static void *work(void *context) {
  struct templates *templates = context;
  pthread_mutex_lock(&templates->lock);
  while (!templates->closing) {
    struct template *template = find_work(templates);
    struct brig_error ignored;
    if (template != NULL)
      start_unlocked(templates, template, &ignored);
    else
      pthread_cond_wait(&templates->changed, &templates->lock);
  }
  pthread_mutex_unlock(&templates->lock);
  return NULL;
}

int brig__templates_open(const struct pool_options *options, const struct template_policy *policy,
                         struct templates **ret_templates, struct brig_error *err) {
  struct templates *templates = calloc(1, sizeof *templates);
  char *helper = strdup(options->helper);
  if (templates == NULL || helper == NULL) {
    free(templates);
    free(helper);
    return brig__fail(err, BRIG_E_MEMORY, "start", "out of memory");
  }
  templates->options = *options;
  templates->options.helper = helper;
  templates->policy = *policy;
  pthread_mutex_init(&templates->lock, NULL);
  pthread_cond_init(&templates->changed, NULL);
  templates->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  int rc = templates->stop < 0 ? -errno
                               : brig__thread_start(&templates->thread, work, templates);
  templates->running = rc == 0;
  if (rc == 0) {
    *ret_templates = templates;
    return 0;
  }
  brig__templates_close(templates);
  return brig__fail_errno(err, -rc, "start", "a thread for templates");
}

void brig__templates_close(struct templates *templates) {
  if (templates == NULL) return;
  pthread_mutex_lock(&templates->lock);
  templates->closing = true;
  if (templates->stop >= 0) eventfd_write(templates->stop, 1);
  pthread_cond_broadcast(&templates->changed);
  pthread_mutex_unlock(&templates->lock);
  if (templates->running) pthread_join(templates->thread, NULL);
  while (templates->list != NULL) {
    struct template *template = templates->list;
    templates->list = template->next;
    free_template(template);
  }
  if (templates->stop >= 0) close(templates->stop);
  pthread_cond_destroy(&templates->changed);
  pthread_mutex_destroy(&templates->lock);
  free((char *)(uintptr_t)templates->options.helper);
  free(templates);
}

struct zygote_process *brig__templates_find(struct templates *templates,
                                            const struct brig_digest *key) {
  struct zygote_process *process = NULL;
  pthread_mutex_lock(&templates->lock);
  struct template *template = get(templates, key, true);
  if (template != NULL) template->seen++;
  if (template != NULL && template->process != NULL) {
    process = brig__zygote_process_ref(template->process);
    /* The next one is started while this one still serves. */
    if (++template->forks >= templates->policy.forks_per_zygote && template->state == WARM) {
      template->state = WANTED;
      pthread_cond_broadcast(&templates->changed);
    }
  }
  trim(templates);
  pthread_mutex_unlock(&templates->lock);
  return process;
}

static bool wanted(const struct templates *templates, const struct template *template) {
  uint64_t enough = templates->policy.seen;
  return template != NULL && template->state == COUNTED && enough != 0 && template->seen >= enough;
}

bool brig__templates_wanted(struct templates *templates, const struct brig_digest *key) {
  pthread_mutex_lock(&templates->lock);
  bool answer = wanted(templates, get(templates, key, false));
  pthread_mutex_unlock(&templates->lock);
  return answer;
}

void brig__templates_offer(struct templates *templates, const struct brig_digest *key,
                           const struct wire_task *warm, const int *fds, size_t fd_count) {
  pthread_mutex_lock(&templates->lock);
  struct template *template = get(templates, key, false);
  if (wanted(templates, template) && set_task(template, warm, fds, fd_count)) {
    template->task.ready = templates->policy.ready;
    template->state = WANTED;
    pthread_cond_broadcast(&templates->changed);
  }
  pthread_mutex_unlock(&templates->lock);
}

int brig__templates_warm(struct templates *templates, const struct brig_digest *key, bool named,
                         const struct wire_task *warm, const int *fds, size_t fd_count,
                         struct brig_error *err) {
  int rc = 0;
  pthread_mutex_lock(&templates->lock);
  struct template *template = get(templates, key, true);
  while (template != NULL && template->starting) {
    pthread_cond_wait(&templates->changed, &templates->lock);
    template = get(templates, key, true);
  }
  if (template == NULL || !set_task(template, warm, fds, fd_count)) {
    rc = brig__fail(err, BRIG_E_MEMORY, "template", "out of memory or descriptors");
  } else if (template->process == NULL) {
    template->named |= named;
    if (template->task.ready == 0 && !template->task.session) template->task.ready = templates->policy.ready;
    rc = start_unlocked(templates, template, err);
  }
  pthread_mutex_unlock(&templates->lock);
  return rc;
}

void brig__templates_done(struct templates *templates, const struct brig_digest *key,
                          struct zygote_process *process, enum call_state state) {
  struct zygote_process *dead = NULL;
  if (state != CALL_ANSWERED) {
    pthread_mutex_lock(&templates->lock);
    struct template *template = get(templates, key, false);
    if (template != NULL && template->process == process) {
      dead = process;
      template->process = NULL;
      template->state = WANTED;
      templates->died++;
      pthread_cond_broadcast(&templates->changed);
    }
    pthread_mutex_unlock(&templates->lock);
  }
  unref(dead);
  unref(process);
}

uint64_t brig__templates_died(struct templates *templates) {
  pthread_mutex_lock(&templates->lock);
  uint64_t died = templates->died;
  pthread_mutex_unlock(&templates->lock);
  return died;
}

uint64_t brig__templates_warm_count(struct templates *templates) {
  uint64_t count = 0;
  pthread_mutex_lock(&templates->lock);
  for (const struct template *at = templates->list; at != NULL; at = at->next)
    count += at->process != NULL;
  pthread_mutex_unlock(&templates->lock);
  return count;
}
