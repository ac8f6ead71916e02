#include "pool/template.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/fd.h"
#include "pool/hot_pages.h"
#include "pool/worker_internal.h"

/* A sample that takes longer is not waited for. */
#define SAMPLE_SECONDS 1

/* How long a task that is expected may be in coming and still find us awake. */
#define EXPECT_US 200

/* One a process: the zygote's, and a copy in each of its forks. */
struct template {
  struct worker_context *context;
  int socket, statm;
  struct worker worker;   /* the start's, then, in a fork, the task's */
  struct wire_task start; /* the WIRE_WARM: what the template is of */
  struct worker_strings strings;
  struct worker_mounts mounts;
  uint64_t data_bytes, memory_bytes; /* in use as it parked; the latter within the former */
  struct zygote_job job;
  struct wire_order order; /* a ready worker's */
  struct engine_run run; /* what a fork goes on with */
  struct hot_pages hot;
  int sample; /* in the fork that runs the sample: where it says that it has */
};

/* /proc/self/statm: column 2 is resident, 3 of it shared, 6 data; in pages. */
static void read_statm(const struct template *template, uint64_t *ret_data,
                       uint64_t *ret_resident) {
  char text[128] = "";
  unsigned long long resident = 0, shared = 0, data = 0;
  uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
  if (pread(template->statm, text, sizeof text - 1, 0) > 0)
    sscanf(text, "%*u %llu %llu %*u %*u %llu", &resident, &shared, &data);
  *ret_data = data * page;
  *ret_resident = (resident - shared) * page;
}

/* What a worker may write, of what was there before its task and beside. */
static uint64_t data_allowed(const struct template *template, uint64_t memory_bytes) {
  uint64_t more = memory_bytes > template->memory_bytes ? memory_bytes - template->memory_bytes : 0;
  return template->data_bytes + more;
}

static const struct engine_run *turn_ended(void *context, const struct engine_end *so_far);

static void close_inherited(struct template *template) {
  int keep[WIRE_MAX_FDS + WORKER_KEPT];
  struct zygote_job *job = &template->job;
  size_t count = brig__wasi_opened(template->worker.wasi, keep, WORKER_KEPT);
  if (count > WORKER_KEPT) _exit(1);
  count = brig__worker_keep(&job->task, job->fds, job->fd_count, keep, count);
  dup2(job->fds[WIRE_FD_STDERR], STDERR_FILENO); /* an engine's last words */
  brig__worker_close_others(keep, count);
}

/* It ended, which no template's start may. */
__attribute__((noreturn)) static void ended(void *context, const struct engine_end *end) {
  brig__worker_ended(&((struct template *)context)->worker, end);
}

/* The task's own streams, directories and limits, under the guest's descriptors. */
static void go_on(struct template *template) {
  struct worker *worker = &template->worker;
  struct wasi_options options = brig__worker_wasi_options(worker, &template->mounts);
  brig__wasi_resume(worker->wasi, &options);
  template->run = (struct engine_run){.wasi = worker->wasi,
                                      .limits = &worker->task->limits,
                                      .ended = ended,
                                      .context = template,
                                      .parked = worker->task->session ? turn_ended : NULL};
  worker->report.started_us = brig__now_us();
}

static struct jail_worker plan(struct template *template) {
  struct worker worker = template->worker;
  struct wire_task task = *worker.task;
  brig__worker_mounts(&worker, template->strings.mounts, &template->mounts);
  /* A session's later turns inherit the walls, and may be allowed more than its first. */
  if (task.session) {
    task.limits = template->start.limits;
    task.timeout_us = template->start.timeout_us;
  }
  worker.task = &task;
  return brig__worker_plan_jail(&worker, &template->mounts,
                                data_allowed(template, task.limits.memory_bytes));
}

static void check_task(struct template *template) {
  const struct wire_task *task = &template->job.task, *start = &template->start;
  if (task->mounts != start->mounts || task->writable != start->writable ||
      task->program != start->program || task->session != start->session ||
      task->placeholders != 0)
    brig__worker_fail_errno(&template->worker, -EPROTO, "a task of another template");
}

/* Forked on demand: the task is known. */
static void begin_task(struct template *template) {
  struct worker *worker = &template->worker;
  check_task(template);
  struct jail_worker jail = plan(template);
  brig__worker_check_walls(worker, brig__jail_worker(template->context->jail, &jail));
  go_on(template);
}

/* Awake for a while: others have the processor before us. */
static int receive_expected(struct template *template, int link, int fds[WIRE_MAX_FDS],
                            size_t *ret_count) {
  uint64_t until_us = brig__now_us() + EXPECT_US;
  int rc;
  brig__hot_pages_touch(&template->hot);
  do {
    rc = brig__wire_receive_order(link, &template->order, fds, WIRE_MAX_FDS, ret_count,
                                  MSG_DONTWAIT);
  } while (rc == -EAGAIN && sched_yield() == 0 && brig__now_us() < until_us);
  return rc;
}

/* STDIN, PROGRAM if no bytes come for it, and what follows; the rest is here. */
static void take_order(struct template *template, const int *fds, size_t count) {
  struct zygote_job *job = &template->job;
  struct worker *worker = &template->worker;
  const struct wire_order *order = &template->order;
  size_t next = 0;
  job->task = order->task;
  job->fd_count = brig__wire_fd_count(&job->task);
  worker->task = &job->task;
  worker->fd_count = job->fd_count;
  worker->program = order->program;
  worker->program_size = order->task.program_size;
  size_t wanted = job->fd_count - WIRE_FD_MOUNTS + (worker->program_size > 0 ? 1 : 2);
  if (job->task.mounts > WIRE_MAX_MOUNTS || count != wanted)
    brig__worker_fail_errno(worker, -EPROTO, "a ready worker's task");
  job->fds[WIRE_FD_STDIN] = fds[next++];
  job->fds[WIRE_FD_PROGRAM] = worker->program_size > 0 ? -1 : fds[next++];
  for (size_t i = WIRE_FD_MOUNTS; i < job->fd_count; i++) job->fds[i] = fds[next++];
}

/* Returns false if a task that is expected has not come yet. */
static bool receive_task(struct template *template, int link) {
  struct wire_order *order = &template->order;
  int fds[WIRE_MAX_FDS];
  size_t count = 0;
  int rc = brig__wire_receive_order(link, order, fds, WIRE_MAX_FDS, &count, 0);
  if (rc == 0 && count == 0 && order->task.operation == WIRE_EXPECT)
    rc = receive_expected(template, link, fds, &count);
  if (rc == -EAGAIN) return false;
  if (rc < 0) _exit(0); /* the host is gone, or wants it no more */
  take_order(template, fds, count);
  return true;
}

/* Fenced for any task of the template, then told which. */
static void wait_for_task(struct template *template) {
  struct worker *worker = &template->worker;
  worker->task = &template->start;
  struct jail_worker ceilings = plan(template);
  ceilings.mount_count = 0;
  ceilings.open_files += WIRE_MAX_FDS;
  brig__hot_pages_copy(&template->hot);
  brig__hot_pages_map(&template->hot);
  brig__worker_check_walls(worker, brig__jail_ready(template->context->jail, &ceilings));
  while (!receive_task(template, JAIL_LINK)) continue;
  check_task(template);
  struct jail_worker jail = plan(template);
  brig__worker_check_walls(worker, brig__jail_narrow(template->context->jail, &jail));
  go_on(template);
}

static void begin_worker(struct template *template, bool ready) {
  struct zygote_job *job = &template->job;
  struct worker *worker = &template->worker;
  brig__worker_begin(template->context->zygote);
  if (ready) {
    job->fd_count = WIRE_FD_COMMON;
    job->fds[WIRE_FD_STATUS] = dup2(job->fds[WIRE_FD_STATUS], JAIL_LINK);
  }
  worker->fds = job->fds;
  worker->fd_count = job->fd_count;
  worker->task = &job->task;
  worker->report = (struct wire_report){0};
  close_inherited(template);
  if (ready)
    wait_for_task(template);
  else
    begin_task(template);
}

/* The sample is over: to be looked at, as it is, until the zygote kills it. */
__attribute__((noreturn)) static void sample_ended(void *context, const struct engine_end *end) {
  struct template *template = context;
  char byte = 0;
  (void)end;
  brig__write_all(template->sample, &byte, 1);
  brig__read_all(template->sample, &byte, 1);
  _exit(0);
}

static const struct engine_run *sample_parked(void *context, const struct engine_end *so_far) {
  sample_ended(context, so_far);
}

/* The start's program, or no input at all, fenced as any worker. */
static void begin_sample(struct template *template, int fds[WIRE_MAX_FDS]) {
  struct worker *worker = &template->worker;
  brig__worker_begin(template->context->zygote);
  fds[WIRE_FD_STDOUT] = fds[WIRE_FD_STDERR] = fds[WIRE_FD_STDIN];
  worker->fds = fds;
  struct jail_worker jail = plan(template);
  brig__worker_check_walls(worker, brig__jail_worker(template->context->jail, &jail));
  go_on(template);
  template->run.ended = sample_ended;
  template->run.parked = sample_parked;
}

/* Returns true in the fork that is to run the sample. */
static bool find_hot_pages(struct template *template, int fds[WIRE_MAX_FDS]) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) return false;
  pid_t pid = fork();
  if (pid == 0) {
    close(pair[0]);
    template->sample = pair[1];
    begin_sample(template, fds);
    return true;
  }
  close(pair[1]);
  struct pollfd over = {pair[0], POLLIN, 0};
  char byte;
  /* Of one that died before its end nothing can be told: all pages are ours alone. */
  if (pid > 0 && ppoll(&over, 1, &(struct timespec){SAMPLE_SECONDS, 0}, NULL) > 0 &&
      read(pair[0], &byte, 1) == 1)
    brig__hot_pages_find(&template->hot);
  if (pid > 0) kill(pid, SIGKILL);
  while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR) continue;
  close(pair[0]);
  return false;
}

static void report_warm(struct template *template) {
  struct worker *worker = &template->worker;
  struct wire_report *report = &worker->report;
  *report = (struct wire_report){.magic = WIRE_MAGIC, .kind = WIRE_WARMED};
  read_statm(template, &template->data_bytes, &report->warmed.resident_bytes);
  report->warmed.memory_bytes = template->memory_bytes;
  if (brig__write_all(worker->fds[WIRE_FD_STATUS], report, sizeof *report) < 0) _exit(1);
  for (size_t i = 0; i < worker->fd_count; i++)
    if (worker->fds[i] >= 0) close(worker->fds[i]);
  close(template->statm);
}

static void begin_fork(struct template *template, pid_t parent, bool ready) {
  struct worker *worker = &template->worker;
  brig__worker_begin(parent);
  if (ready) template->job.fd_count = WIRE_FD_COMMON;
  worker->fd_count = template->job.fd_count;
  worker->program = NULL; /* the last turn's */
  worker->program_size = 0;
  worker->report = (struct wire_report){0};
  close_inherited(template);
}

/* For a while: that is for sessions in use, and there may be a thousand that are not. A
 * task that is sent after the shutdown is refused, and one before it is here. */
static void wait_for_turn(struct template *template) {
  int link = template->job.fds[WIRE_FD_STATUS];
  struct pollfd task = {link, POLLIN, 0};
  brig__hot_pages_copy(&template->hot);
  brig__hot_pages_map(&template->hot);
  do {
    if (ppoll(&task, 1, &(struct timespec){READY_TURN_SECONDS, 0}, NULL) == 0) {
      shutdown(link, SHUT_RD);
      if (poll(&task, 1, 0) == 0) _exit(0);
    }
  } while (!receive_task(template, link));
}

/* A turn of a session: the walls are up since the first. */
static void begin_turn(struct template *template) {
  struct worker *worker = &template->worker;
  check_task(template);
  brig__worker_mounts(worker, template->strings.mounts, &template->mounts);
  go_on(template);
}

/* What the turn was given is closed, but for the socket of the state to be. The
 * program is, since its end. */
static void close_turn(struct template *template) {
  struct zygote_job *job = &template->job;
  for (size_t i = WIRE_FD_STATUS; i < WIRE_FD_STATE(&job->task); i++)
    if (i != WIRE_FD_PROGRAM) close(job->fds[i]);
}

/* From here on this is no turn but a state: it outlives the one it came from, and
 * ends when the host closes its socket. */
static void become_state(struct template *template, const struct engine_end *so_far) {
  struct worker *worker = &template->worker;
  brig__worker_follow(0);
  brig__worker_account(worker, so_far);
  worker->report.kind = WIRE_PARKED;
  brig__worker_report(worker);
  template->socket = template->job.fds[WIRE_FD_STATE(&template->job.task)];
  close_turn(template);
}

/* Returns in the fork that has the next turn. */
static const struct engine_run *turn_ended(void *context, const struct engine_end *so_far) {
  struct template *template = context;
  become_state(template, so_far);
  for (;;) {
    struct zygote_options options = {.context = template->context,
                                     .socket = template->socket,
                                     .of_template = true,
                                     .ready = 1,
                                     .of_state = true};
    pid_t parent = getpid();
    enum zygote_role role = brig__zygote_serve(&options, &template->job);
    if (role != ZYGOTE_WORKER && role != ZYGOTE_READY) _exit(0);
    begin_fork(template, parent, role == ZYGOTE_READY);
    if (role == ZYGOTE_READY) wait_for_turn(template);
    if (template->job.task.operation == WIRE_RESUME) {
      begin_turn(template);
      return &template->run;
    }
    become_state(template, &(struct engine_end){.kind = ENGINE_END_EXITED});
  }
}

static const struct engine_run *parked(void *context, const struct engine_end *so_far) {
  struct template *template = context;
  struct zygote_options options = {.context = template->context,
                                   .socket = template->socket,
                                   .of_template = true,
                                   .ready = template->start.ready};
  int fds[WIRE_MAX_FDS];
  template->memory_bytes = so_far->memory_bytes;
  memcpy(fds, template->worker.fds, sizeof fds);
  if (find_hot_pages(template, fds)) return &template->run;
  brig__hot_pages_close(&template->hot);
  brig__hot_pages_settle(&template->hot, !template->start.session);
  report_warm(template);
  enum zygote_role role = brig__zygote_serve(&options, &template->job);
  if (role != ZYGOTE_WORKER && role != ZYGOTE_READY) _exit(0);
  begin_worker(template, role == ZYGOTE_READY);
  return &template->run;
}

static void create_wasi(struct template *template) {
  struct worker *worker = &template->worker;
  struct wasi_options options = brig__worker_wasi_options(worker, &template->mounts);
  options.argv = template->strings.arguments;
  options.env = template->strings.variables;
  options.parks = true;
  int rc = brig__wasi_create(&options, &worker->wasi);
  if (rc < 0) brig__worker_fail_errno(worker, rc, "setting up the host calls");
}

/* The guest's start may be anybody's code: nothing that it could reach is left. */
static void enter_jail(struct template *template) {
  struct worker *worker = &template->worker;
  uint64_t data = brig__worker_data_in_use(template->context) +
                  template->start.limits.memory_bytes + WORKER_HEADROOM;
  template->statm = openat(template->context->proc_fd, "self/statm", O_RDONLY | O_CLOEXEC);
  brig__hot_pages_open(&template->hot, template->context->proc_fd);
  close(template->context->proc_fd);
  template->context->proc_fd = -1;
  brig__worker_check_walls(worker, brig__jail_zygote(template->context->jail, data));
}

void brig__template_run(struct worker_context *context, int socket, const struct zygote_job *job) {
  static struct template template;
  struct worker *worker = &template.worker;
  int fds[WIRE_MAX_FDS];
  memcpy(fds, job->fds, sizeof fds);
  template.context = context;
  template.socket = socket;
  template.start = job->task;
  *worker = (struct worker){
      .context = context, .task = &template.start, .fds = fds, .fd_count = job->fd_count};
  brig__worker_strings(worker, &template.strings);
  brig__worker_mounts(worker, template.strings.mounts, &template.mounts);
  struct engine_module *module = brig__worker_load(worker);
  /* The strings and the code are closed. */
  fds[WIRE_FD_MOUNTS + template.start.mounts] = -1;
  fds[WIRE_FD_MOUNTS + template.start.mounts + 1] = -1;
  create_wasi(&template);
  enter_jail(&template);
  struct engine_run run = {.wasi = worker->wasi,
                           .entry = (const char *const *)template.strings.entries,
                           .limits = &template.start.limits,
                           .ended = ended,
                           .context = &template,
                           .parked = parked};
  brig__engine_run(module, &run);
}
