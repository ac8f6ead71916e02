/* pool/wire.h - what the host, a zygote and its workers say to each other.
 *
 * Fixed-size frames over SOCK_SEQPACKET, descriptors by SCM_RIGHTS, between
 * builds of one version only (both sides check). A task travels
 *
 *   host --wire_task + fds--> zygote --fork--> worker --wire_report--> host (status)
 *                             zygote --wire_exit--> host (control), when it is reaped
 *
 * `control` is a socket of the task's own: if the host shuts it, the zygote kills
 * the worker. The worker never holds it. What a worker reports is a hostile
 * process's word; what the zygote reports is not.
 */
#ifndef BRIG_POOL_WIRE_H
#define BRIG_POOL_WIRE_H

#include <brig/error.h>
#include <brig/limits.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "engine/facts.h"
#include "jail/walls.h"

#define WIRE_MAGIC   UINT32_C(0x47495242)
#define WIRE_VERSION 1
#define WIRE_SOCKET  3 /* the helper's descriptor of the socket to the host */

struct wire_setup { /* host -> launcher, once */
  uint32_t magic, version;
  uint32_t uid;     /* for workers, if the host is root */
  walls_t required; /* without these no task is run */
};

/* The memfd that compiled code travels in, which has the module's image, too. */
#define WIRE_CODE_NAME "brig-code"

struct wire_hello { /* zygote -> host, once; with `id_map` one descriptor: a user
                       namespace that maps root's files to the workers' uid */
  uint32_t magic, version;
  uint32_t id_map;
  char engine[192]; /* what compiled code depends on beside the processor */
  struct jail_report report;
};

/* WIRE_WARM makes a fresh zygote a template's: it runs the guest of the task up
 * to its first wish for input, says struct wire_warmed, and from then on forks
 * for WIRE_RESUME. RUN, COMPILE and PROBE are for workers of a bare zygote.
 *
 * Where `session` is set, the program comes over the guest's control descriptor, and a
 * worker that asks for the next one has done its turn: it reports WIRE_PARKED and is
 * from then on the session's state, which serves its own socket as a template's
 * zygote serves its. WIRE_BRANCH makes a state's fork a state at once.
 *
 * WIRE_EXPECT tells a ready worker that its task will be there in a moment, or never. */
enum wire_operation {
  WIRE_RUN,
  WIRE_COMPILE,
  WIRE_PROBE,
  WIRE_WARM,
  WIRE_RESUME,
  WIRE_BRANCH,
  WIRE_EXPECT,
};

/* The descriptors of a task, in order. */
enum {
  WIRE_FD_CONTROL,
  WIRE_FD_STATUS,
  WIRE_FD_STDIN,  /* WIRE_COMPILE: the module */
  WIRE_FD_STDOUT, /* WIRE_COMPILE: where its code goes */
  WIRE_FD_STDERR,
  WIRE_FD_COMMON,
  WIRE_FD_PROGRAM = WIRE_FD_COMMON, /* what stdin gives first; anything if none */
  WIRE_FD_MOUNTS,                   /* `mounts` directories; anything for placeholders */
  /* then, for WIRE_RUN and WIRE_WARM: the strings, and compiled code, sealed; for a
     session's others: where replies go, and the new state's socket */
};
#define WIRE_FD_REPLY(task) (WIRE_FD_MOUNTS + (task)->mounts)
#define WIRE_FD_STATE(task) (WIRE_FD_MOUNTS + (task)->mounts + 1)
#define WIRE_EXTRA_FDS      2
#define WIRE_MAX_MOUNTS     32
#define WIRE_MAX_FDS        (WIRE_FD_MOUNTS + WIRE_MAX_MOUNTS + WIRE_EXTRA_FDS)

struct wire_task { /* host -> zygote */
  uint32_t magic;
  uint32_t operation; /* enum wire_operation */
  struct engine_settings settings;
  uint64_t timeout_us;
  struct brig_limits limits; /* WIRE_RUN: effective ones */
  uint64_t held_bytes, held_files; /* what is in the read-write mounts, beside the quota */
  uint64_t memory_bytes;     /* WIRE_COMPILE: for the compiler */
  /* The block holds this many strings, each with its 0 byte, in this order. */
  uint32_t arguments, variables, entries, mounts;
  uint32_t writable;     /* bit i: mount i is read-write */
  uint32_t placeholders; /* WIRE_WARM: bit i: mount i is any directory yet */
  uint32_t program;      /* 1: there is a program */
  uint32_t program_size; /* to a ready worker: its bytes come behind, PROGRAM does not */
  uint32_t session;      /* 1: see enum wire_operation */
  uint32_t ready;        /* WIRE_WARM: workers to keep forked ahead of demand */
  uint32_t wall;         /* WIRE_PROBE: enum jail_wall */
  int32_t host_pid;
};

/* zygote -> host: a ready worker, with these descriptors. Its task goes to
 * STATUS, as a struct wire_order with the descriptors STDIN, PROGRAM and MOUNTS;
 * its time to CONTROL. */
struct wire_offer {
  uint32_t magic;
};
enum {
  WIRE_OFFER_CONTROL,
  WIRE_OFFER_STATUS,
  WIRE_OFFER_STDOUT,
  WIRE_OFFER_STDERR,
  WIRE_OFFER_FDS
};

/* Those of them that are not -1, which all are then. */
void brig__wire_close_offer(int fds[WIRE_OFFER_FDS]);

/* host -> ready worker: no longer than its `task.program_size` bytes. No zygote sees one:
 * it would hold a request's data. */
#define WIRE_PROGRAM_MAX 16384
struct wire_order {
  struct wire_task task;
  char program[WIRE_PROGRAM_MAX];
};

/* host -> zygote, on a worker's control; all else, and its end, mean "stop". */
enum wire_word_kind {
  WIRE_WORD_START, /* a ready worker has been given its task: its time runs */
  WIRE_WORD_KEEP,  /* it has parked, and is not the zygote's any more */
};
struct wire_word {
  uint32_t magic;
  uint32_t kind;       /* enum wire_word_kind */
  uint64_t timeout_us; /* WIRE_WORD_START */
};

enum wire_report_kind {
  WIRE_ENDED,
  WIRE_PARKED,
  WIRE_COMPILED,
  WIRE_PROVED,
  WIRE_WARMED,
  WIRE_FAILED
};

/* A turn's deadline is the host's to keep, so that none that was told to have ended
 * well is killed after; the zygote's comes so much later. */
#define WIRE_TURN_GRACE_US UINT64_C(5000000)

struct wire_report { /* worker -> host, at most one, on the status pipe */
  uint32_t magic;
  uint32_t kind;       /* enum wire_report_kind */
  uint64_t started_us; /* the guest's first instruction; CLOCK_MONOTONIC */
  uint64_t ended_us;
  uint64_t cpu_us, rss_bytes; /* its own */
  union {
    struct {         /* WIRE_PARKED too */
      uint32_t kind; /* enum engine_end_kind */
      uint32_t exit_code;
      char trap[48];
      char message[256];
      uint64_t fuel_used, memory_bytes, written_bytes, written_files;
      uint32_t quota_exceeded;
    } ended;
    struct module_facts facts;
    struct {
      uint64_t memory_bytes;   /* of the guest's linear memory, as it parked */
      uint64_t resident_bytes; /* what the zygote has in memory of its own */
    } warmed;
    struct {
      int32_t proved;
      char text[120];
    } proof;
    struct brig_error error;
  };
};

enum wire_cause { WIRE_CAUSE_NONE, WIRE_CAUSE_DEADLINE, WIRE_CAUSE_CANCELLED };

struct wire_exit { /* zygote -> host, exactly one, on the control socket */
  uint32_t magic;
  int32_t fork_errno;  /* not 0: there was no worker */
  int32_t wait_status; /* as waitpid() gives it */
  uint32_t cause;      /* enum wire_cause: why the zygote killed it */
  uint64_t forked_us, exited_us;
  uint64_t cpu_us;
  uint64_t rss_bytes;
};

/* Send one frame. 0 or -errno; -EAGAIN if it would block and `flags` says so.
 * Never raises SIGPIPE. */
int brig__wire_send(int socket, const void *frame, size_t size, const int *fds, size_t fd_count,
                    int flags);

/* The descriptors a task of this operation comes with. */
size_t brig__wire_fd_count(const struct wire_task *task);

/* Receive one frame of exactly `size` bytes and up to `max_fds` descriptors, which
 * are the caller's, close-on-exec. 0, -errno, -EPIPE at the end, -EPROTO for
 * anything else (nothing is leaked). */
int brig__wire_receive(int socket, void *frame, size_t size, int *fds, size_t max_fds,
                       size_t *ret_fd_count);

/* The same, but -EAGAIN if there is none yet. */
int brig__wire_receive_now(int socket, void *frame, size_t size, int *fds, size_t max_fds,
                           size_t *ret_fd_count);

/* An order, of its size; `flags` as for recvmsg(2). */
int brig__wire_receive_order(int socket, struct wire_order *ret_order, int *fds, size_t max_fds,
                             size_t *ret_fd_count, int flags);
int brig__wire_send_order(int socket, const struct wire_order *order, const int *fds,
                          size_t fd_count, int flags);

#endif
