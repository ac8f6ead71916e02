/* brig/session.h - sessions: an interpreter that lives between calls, as a notebook's does.
 *
 * A session's state is a process, parked where it wants its next turn. A turn forks it.
 * If the turn ends well, the fork is the new state; if it traps, runs out of fuel,
 * memory or time, exits or is cancelled, the state is exactly what it was. A Python
 * exception is a turn that ended well: what ran before it stays.
 *
 *   struct brig_turn turn = BRIG_TURN_INIT;
 *   struct brig_turn_result *result = NULL;
 *   turn.session = "notebook-1";
 *   turn.code = "x = 6 * 7\nx";
 *   if (brig_session_run(sessions, &turn, &result, &err) == 0) {
 *     puts(result->value);
 *     brig_turn_result_free(result);
 *   }
 *
 * Each session has a directory, read-write at /workspace and as ".", and each user one
 * at /memory. They are shared by all states of a session: undoing a turn does not undo
 * what it wrote to files.
 *
 * Either may hold `session.workspace_bytes` in `session.workspace_files` files. A turn's
 * quota is what its limits say, and no more than is left in the fuller of the two. In a
 * full one turns still read and remove, and write as much as they have removed; what is
 * refused for it sets `quota_exceeded`. What a program beside Brig puts there counts a
 * turn later, and sessions of one user whose turns overlap may fill /memory beyond by
 * what was left when each began.
 *
 * A session is its tenant's and user's: for others there is none of that name. It is
 * made by its first turn. One that is idle for `session.timeout_secs`, or that others
 * need the place of, is ended; it was saved as data, and comes back at its next turn,
 * also in another process, later: values that pickle, imports, functions and classes.
 * What could not be kept is listed in the result of that turn.
 *
 * A turn is saved before its result is given (`session.save_at_once`), so that nothing
 * that was told is lost with the calling process, however that ends. If that takes more
 * than a second or fails, the result says so, the session is saved beside its turns, and
 * what it did since is lost with the process. What is saved is removed when
 * it was not used for `session.kept_secs`, or if it is what was used least recently when
 * others need its place (`session.store_bytes`); then there is no such session.
 *
 * Several processes may have the same store. A session that is in one's memory is that
 * one's alone: another waits some seconds for it, and is BRIG_E_BUSY.
 *
 * Threads: all of this may be called from any number of threads at once; turns of one
 * session, and what else is asked of it, take place one after the other, in the order
 * they came. Who would wait behind `session.queue_length` others, or has waited for
 * `pool.queue_timeout_secs`, gets BRIG_E_BUSY, from any call. Opening and closing must
 * not overlap with other calls. There is one thread that saves and expires.
 * Fork: as for a sandbox.
 */
#ifndef BRIG_SESSION_H
#define BRIG_SESSION_H

#include <brig/sandbox.h>

#ifdef __cplusplus
extern "C" {
#endif

struct brig_sessions;

/* The sessions of a sandbox, which must outlive them. `config` is copied; its section
 * `session` says where they are kept, how many and how long. BRIG_E_CONFIG,
 * BRIG_E_INTEGRITY if the store cannot be used. Close with brig_sessions_close(). */
BRIG_API int brig_sessions_open(struct brig_sandbox *sandbox, const struct brig_config *config,
                                struct brig_sessions **ret_sessions, struct brig_error *err);

/* Save what is not saved yet, end all states, and free. Accepts NULL. */
BRIG_API void brig_sessions_close(struct brig_sessions *sessions);

/* Which session: everything is borrowed for the call. */
struct brig_session_name {
  const char *tenant; /* NULL: nobody's in particular */
  const char *user;   /* NULL: likewise */
  const char *id;     /* [A-Za-z0-9._-]{1,128}, without "..", not beginning with "." */
};

/* One turn. Everything is borrowed until the call returns. Zero means "default" or
 * "none" everywhere. */
struct brig_turn {
  size_t size; /* sizeof(struct brig_turn): use BRIG_TURN_INIT */
  const char *tenant, *user;
  const char *session; /* NULL: a new one, with an id that cannot be guessed */
  const char *code;    /* UTF-8 */
  const char *guest;   /* of a new session; NULL: "python". Of one that is there it is
                          NULL or the same, or it is BRIG_E_INVALID */
  const void *input;   /* the turn's standard input */
  size_t input_size;
  struct brig_limits limits; /* fuel: with a session's first turn, or BRIG_E_INVALID */
  brig_output_fn on_output;  /* NULL: none. Gets all, up to the limits */
  void *on_output_context;
  struct brig_cancel *cancel; /* also while the turn waits for others */
  int once; /* 1, without `session`: it ends with this turn, and nothing is kept of it */
  int input_fd; /* instead of `input`: a descriptor, if input_from_fd is 1 */
  int input_from_fd;
};
#define BRIG_TURN_INIT \
  { .size = sizeof(struct brig_turn), .limits = BRIG_LIMITS_INIT }

struct brig_file {
  const char *path; /* below the workspace; the guest's bytes */
  uint64_t size;
};

/* What could not be kept when the session was saved. */
struct brig_lost {
  const char *name, *reason;
};

/* What a turn did. Strings are the guest's UTF-8. Made by the library, freed with
 * brig_turn_result_free(); fields may be added at its end. */
struct brig_turn_result {
  const char *session;
  uint64_t turn;           /* how many turns of the session have ended well */
  struct brig_result *run; /* output, outcome and accounting. EXITED with 0: it ended well */
  int ended_well;          /* 1: the state is the turn's; 0: it is as it was before */

  const char *value; /* repr of a last expression that is not None, or NULL */
  const char *error_type, *error_message, *traceback; /* of an exception, or NULL */
  const char *const *names;                           /* bound by the turn; NULL-terminated */
  const struct brig_file *files; /* made or changed in the workspace, at most 100 */
  size_t file_count;
  uint64_t files_more;     /* that many are not listed */
  const char *output_file; /* below the workspace: all of an output that was cut, or NULL */

  int restored; /* 1: the session came back from its store, */
  const struct brig_lost *lost; /* without these */
  size_t lost_count;

  int saved;           /* 1: the session is in its store as it is now; 0: not yet, */
  const char *unsaved; /* or why it could not be, when that was last tried, or NULL */
};

/* Run a turn, after those that came before it. 0 and a result whatever the guest did.
 * BRIG_E_INVALID for an id; BRIG_E_LOST, from this and other calls, if the state's
 * process had died: what comes next begins with what was saved, or anew. */
BRIG_API int brig_session_run(struct brig_sessions *sessions, const struct brig_turn *turn,
                              struct brig_turn_result **ret_result, struct brig_error *err);
BRIG_API void brig_turn_result_free(struct brig_turn_result *result);

/* Go back to the state before the last turn, as often as `session.undo` says.
 * BRIG_E_NOT_FOUND without such a session, or such a state. */
BRIG_API int brig_session_undo(struct brig_sessions *sessions, const struct brig_session_name *name,
                               struct brig_error *err);

/* A second session, in the same state, with a copy of nothing else: its workspace is
 * new. `to` is its id, or NULL for one that cannot be guessed; `ret_id`, which may be
 * NULL, gets it in fresh memory. BRIG_E_INVALID if `to` is there already, or in use. */
BRIG_API int brig_session_branch(struct brig_sessions *sessions,
                                 const struct brig_session_name *name, const char *to,
                                 char **ret_id, struct brig_error *err);

/* Save it now, and let its process go if `leave` is 1. */
BRIG_API int brig_session_save(struct brig_sessions *sessions, const struct brig_session_name *name,
                               int leave, struct brig_error *err);

/* What could not be kept when it was last saved, as the turn that brings it back will
 * tell. What is shown is valid during the call of `each`. BRIG_E_NOT_FOUND if it was
 * never saved. */
BRIG_API int brig_session_lost(struct brig_sessions *sessions, const struct brig_session_name *name,
                               void (*each)(void *context, const struct brig_lost *lost),
                               void *context, struct brig_error *err);

/* The host's path of its workspace, in fresh memory. */
BRIG_API int brig_session_workspace(struct brig_sessions *sessions,
                                    const struct brig_session_name *name, char **ret_path,
                                    struct brig_error *err);

/* End it and remove what is kept of it, its workspace too. */
BRIG_API int brig_session_drop(struct brig_sessions *sessions, const struct brig_session_name *name,
                               struct brig_error *err);

struct brig_session_info {
  const char *id, *guest;
  uint64_t turns;
  uint64_t created_us, used_us; /* CLOCK_REALTIME */
  int live;                     /* 1: it has a process; 0: it is saved */
  uint64_t memory_bytes;        /* live: of its processes, each beside its template's */
  uint64_t saved_bytes;
};

/* A user's sessions (tenant and user of `name`; its id is left out), the one used last
 * first. What is shown is valid during the call of `each`. */
BRIG_API int brig_session_list(struct brig_sessions *sessions, const struct brig_session_name *name,
                               void (*each)(void *context, const struct brig_session_info *info),
                               void *context, struct brig_error *err);

/* How many sessions there are, whoever's they are. */
struct brig_session_counts {
  size_t size;    /* sizeof(struct brig_session_counts): use BRIG_SESSION_COUNTS_INIT */
  uint64_t live;  /* have a process */
  uint64_t saved; /* are in the store, some of the live ones too, when that was last tidied */
};
#define BRIG_SESSION_COUNTS_INIT \
  { .size = sizeof(struct brig_session_counts) }

/* Does not block. Fields that this version of the library does not know are left alone. */
BRIG_API void brig_sessions_counts(struct brig_sessions *sessions,
                                   struct brig_session_counts *counts);

/* What a session holds, as JSON in fresh memory: {"variables": [...], "imports": [...],
 * "functions": [...], "classes": [...]}, by the word of its guest. */
BRIG_API int brig_session_show(struct brig_sessions *sessions, const struct brig_session_name *name,
                               char **ret_json, struct brig_error *err);

#ifdef __cplusplus
}
#endif
#endif
