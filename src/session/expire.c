/* Which saved sessions are removed: those that were not used for too long, and, where the
 * store has no room, those used least recently. One that is in memory never is. */
#include "session/session.h"

#define SWEEP_US UINT64_C(3600000000)

/* With its turn, so that a turn that is asked for meanwhile waits, and begins anew. */
static bool remove_saved(struct brig_sessions *sessions, const struct session_record *record) {
  struct session *session = brig__session_enter_saved(sessions, record->owner, record->id);
  bool removed = false;
  if (session == NULL) return false;
  brig__store_remove_unused(sessions->store, record, &removed, NULL);
  if (removed && !sessions->settings->session_keep_workspaces)
    brig__workspace_remove(sessions->workspaces, record->owner, record->id);
  brig__session_leave(sessions, session);
  return removed;
}

static int remove_old(const struct session_record *record, void *sessions) {
  remove_saved(sessions, record);
  return 0;
}

/* Workspaces that nobody can be using any more: for as long as a session is kept, after as
 * long as one may be live, or a run may take. */
static void sweep(struct brig_sessions *sessions, uint64_t now_us) {
  const struct brig_settings *settings = sessions->settings;
  uint64_t unused_ms = settings->session_kept_ms + settings->session_timeout_ms +
                       settings->ceiling_execution_timeout_ms;
  if (settings->session_keep_workspaces || now_us < unused_ms * 1000 ||
      (sessions->swept_us != 0 && now_us < sessions->swept_us + SWEEP_US))
    return;
  sessions->swept_us = now_us;
  brig__workspace_sweep(sessions->workspaces, (time_t)(now_us / 1000000 - unused_ms / 1000));
}

void brig__sessions_expire(struct brig_sessions *sessions) {
  uint64_t now_us = brig__real_us(), kept_us = sessions->settings->session_kept_ms * 1000;
  if (now_us > kept_us)
    brig__store_list(sessions->store, NULL, now_us - kept_us, remove_old, sessions, NULL);
  sweep(sessions, now_us);
}

struct room {
  struct brig_sessions *sessions;
  const struct session_record *wanted;
  struct brig_error err;
  int rc;
};

/* Not 0 ends it: the record is in, or would not be with more room. */
static int make_room(const struct session_record *record, void *context) {
  struct room *room = context;
  if (record->state_size == 0 || !remove_saved(room->sessions, record)) return 0;
  room->rc = brig__store_put(room->sessions->store, room->wanted, &room->err);
  return room->rc != BRIG_E_LIMIT;
}

int brig__session_put(struct brig_sessions *sessions, const struct session_record *record,
                      struct brig_error *err) {
  struct room room = {.sessions = sessions, .wanted = record};
  room.rc = brig__store_put(sessions->store, record, &room.err);
  if (room.rc == BRIG_E_LIMIT) {
    int rc = brig__store_list(sessions->store, NULL, 0, make_room, &room, err);
    if (rc < 0) return rc;
  }
  if (room.rc < 0 && err != NULL) *err = room.err;
  return room.rc;
}
