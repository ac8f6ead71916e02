#include "pool/zygote_process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/error.h"
#include "base/fd.h"

#define GREETING_TIMEOUT_MS 20000

/* POSIX leaves the order of file actions to us: the socket first, so that its
 * number cannot be overwritten by what follows. */
static int add_files(posix_spawn_file_actions_t *actions, int socket) {
  int rc = posix_spawn_file_actions_adddup2(actions, socket, WIRE_SOCKET);
  if (rc == 0) rc = posix_spawn_file_actions_addopen(actions, 0, "/dev/null", O_RDWR, 0);
  if (rc == 0) rc = posix_spawn_file_actions_adddup2(actions, 0, 1);
  return rc;
}

/* A session of its own, so that the terminal's signals are not for it, and no
 * signal mask or disposition of the host's. */
static int set_attributes(posix_spawnattr_t *attributes) {
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  int rc = posix_spawnattr_setsigmask(attributes, &none);
  if (rc == 0) rc = posix_spawnattr_setsigdefault(attributes, &all);
  if (rc == 0)
    rc = posix_spawnattr_setflags(
        attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
  return rc;
}

static int spawn_helper(const char *helper, int socket, pid_t *ret_pid) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  char name[] = "brig-helper";
  char *argv[] = {name, NULL}, *env[] = {NULL};
  int rc = posix_spawn_file_actions_init(&actions);
  if (rc != 0) return -rc;
  rc = posix_spawnattr_init(&attributes);
  if (rc == 0) {
    rc = add_files(&actions, socket);
    if (rc == 0) rc = set_attributes(&attributes);
    if (rc == 0) rc = posix_spawn(ret_pid, helper, &actions, &attributes, argv, env);
    posix_spawnattr_destroy(&attributes);
  }
  posix_spawn_file_actions_destroy(&actions);
  return -rc;
}

static int greet(struct zygote_process *process, const struct pool_options *options,
                 struct brig_error *err) {
  struct wire_setup setup = {.magic = WIRE_MAGIC,
                             .version = WIRE_VERSION,
                             .uid = options->uid,
                             .required = options->required};
  size_t count = 0;
  int rc = brig__wire_send(process->socket, &setup, sizeof setup, NULL, 0, 0);
  struct pollfd answer = {.fd = process->socket, .events = POLLIN};
  if (rc == 0 && poll(&answer, 1, GREETING_TIMEOUT_MS) == 0) rc = -ETIMEDOUT;
  if (rc == 0)
    rc = brig__wire_receive(process->socket, &process->hello, sizeof process->hello,
                            &process->id_map, 1, &count);
  if (rc == 0 && (process->hello.magic != WIRE_MAGIC || process->hello.version != WIRE_VERSION))
    rc = -EPROTO;
  if (rc == -EPROTO)
    return brig__fail(err, BRIG_E_SYSTEM, "start",
                      "%s is of another version than this library, "
                      "which is " BRIG_VERSION,
                      options->helper);
  if (rc < 0) return brig__fail_errno(err, -rc, "start", "the zygote did not start");
  return 0;
}

/* Of nothing yet, with one reference; or NULL. */
static struct zygote_process *new_process(void) {
  struct zygote_process *process = calloc(1, sizeof *process);
  if (process == NULL) return NULL;
  *process = (struct zygote_process){.references = 1, .launcher = -1, .socket = -1, .id_map = -1};
  pthread_mutex_init(&process->lock, NULL);
  for (int i = 0; i < WIRE_OFFER_FDS; i++) process->expecting[i] = -1;
  return process;
}

int brig__zygote_process_start(const struct pool_options *options,
                               struct zygote_process **ret_process, struct brig_error *err) {
  struct zygote_process *process = new_process();
  if (process == NULL) return brig__fail(err, BRIG_E_MEMORY, "start", "out of memory");
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
    brig__zygote_process_unref(process);
    return brig__fail_errno(err, errno, "start", "a socket for the zygote");
  }
  process->socket = pair[0];
  /* dup2 to the same number would leave it close-on-exec. */
  int theirs = fcntl(pair[1], F_DUPFD_CLOEXEC, WIRE_SOCKET + 1);
  close(pair[1]);
  int rc = theirs < 0 ? -errno : spawn_helper(options->helper, theirs, &process->launcher);
  if (theirs >= 0) close(theirs);
  if (rc < 0)
    rc = brig__fail_errno(err, -rc, "start",
                          "%s does not start (set sandbox.helper to where "
                          "brig-helper is)",
                          options->helper);
  else
    rc = greet(process, options, err);
  if (rc < 0)
    brig__zygote_process_unref(process);
  else
    *ret_process = process;
  return rc;
}

struct zygote_process *brig__zygote_process_state(struct zygote_process *process, int socket) {
  struct zygote_process *state = new_process();
  if (state == NULL) {
    close(socket);
    return NULL;
  }
  state->root = brig__zygote_process_ref(process->root != NULL ? process->root : process);
  state->socket = socket;
  state->memory_bytes = process->memory_bytes;
  state->metered = process->metered;
  return state;
}

struct zygote_process *brig__zygote_process_ref(struct zygote_process *process) {
  atomic_fetch_add(&process->references, 1);
  return process;
}

/* Its children, the zygote and the workers, follow: by the socket's end, the pid
 * namespace, or PR_SET_PDEATHSIG. */
void brig__zygote_process_kill(struct zygote_process *process) {
  shutdown(process->socket, SHUT_RDWR);
  if (process->launcher > 0) kill(process->launcher, SIGKILL);
}

void brig__zygote_process_unref(struct zygote_process *process) {
  if (process == NULL || atomic_fetch_sub(&process->references, 1) != 1) return;
  if (process->socket >= 0) close(process->socket);
  if (process->id_map >= 0) close(process->id_map);
  brig__wire_close_offer(process->expecting);
  /* The launcher ends with its zygote; a host that ignores SIGCHLD has none to
   * wait for, which is as well. */
  if (process->launcher > 0)
    while (waitpid(process->launcher, NULL, 0) < 0 && errno == EINTR) continue;
  brig__zygote_process_unref(process->root);
  pthread_mutex_destroy(&process->lock);
  free(process);
}
