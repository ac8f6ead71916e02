#include "cli/door.h"

#include <stdlib.h>
#include <string.h>
#include "base/fd.h"
#include "cli/remote.h"
#include "cli/result_json.h"
#include "config/config.h"
#include "rpc/client.h"

static int take_user(void *context, const char *value) {
  ((struct door *)context)->turn.user = value;
  return 0;
}

static int take_no_server(void *context, const char *value) {
  (void)value;
  ((struct door *)context)->no_server = true;
  return 0;
}

static int take_json(void *context, const char *value) {
  (void)value;
  ((struct door *)context)->json = true;
  return 0;
}

static int take_guest(void *context, const char *value) {
  ((struct door *)context)->turn.guest = value;
  return 0;
}

static int take_stdin(void *context, const char *value) {
  ((struct door *)context)->stdin_path = value;
  return 0;
}

static int take_stats(void *context, const char *value) {
  (void)value;
  ((struct door *)context)->stats = true;
  return 0;
}

const struct option_row brig__cli_door_rows[DOOR_ROWS] = {
    [DOOR_ROW_USER] = {"--user", 0, "NAME", "whose sessions; else those of nobody in particular",
                       take_user, false},
    [DOOR_ROW_SERVER] = {"--no-server", 0, NULL, DOOR_SERVER_HELP, take_no_server, false},
    [DOOR_ROW_JSON] = {"--json", 0, NULL, "print JSON", take_json, false},
    [DOOR_ROW_GUEST] = {"--guest", 0, "NAME", "the interpreter of a new session (default python)",
                        take_guest, false},
    [DOOR_ROW_STDIN] = {"--stdin", 0, "FILE", "standard input; else Brig's own", take_stdin, false},
    [DOOR_ROW_STATS] = {"--stats", 0, NULL, "print a line of accounting to stderr at the end",
                        take_stats, false},
};

void brig__cli_door_init(struct door *door, struct brig_config *config) {
  static const struct brig_turn fresh = BRIG_TURN_INIT;
  *door = (struct door){.config = config, .turn = fresh};
}

int brig__cli_door_load(struct door *door) {
  brig__cli_door_init(door, NULL);
  return brig__cli_load_config(&door->config);
}

static int adapt(struct brig_config *config, bool once, struct brig_error *err) {
  char most[32];
  snprintf(most, sizeof most, "%llu",
           (unsigned long long)brig__config_settings(config)->ceiling_max_fuel);
  const char *const changes[][2] = {
      /* For those that stay: this process is over soon. */
      {"templates.named", ""},
      {"templates.ready_workers", "0"},
      /* A session has its own directories. */
      {"wasi.allowed_paths", ""},
      /* --fuel is for turns: an interpreter's start may need more. */
      {"wasi.max_fuel", most},
      /* The last two if it is for one turn, which its command saves. */
      {"session.save_interval_secs", "86400"},
      {"session.save_at_once", "false"},
  };
  size_t count = sizeof changes / sizeof *changes - (once ? 0 : 2);
  for (size_t i = 0; i < count; i++) {
    int rc = brig_config_set(config, changes[i][0], changes[i][1], err);
    if (rc < 0) return rc;
  }
  return 0;
}

/* --- The server ---------------------------------------------------------------- */

/* A flag's value, or 0: what no flag says is the server's to say. */
static int take_limit(void *context, const struct brig_config_entry *entry) {
  struct door *door = context;
  const struct brig_settings *settings = brig__config_settings(door->config);
  struct brig_limits *limits = &door->turn.limits;
  const struct {
    const char *key;
    uint64_t *to, value;
  } rows[] = {
      {"wasi.execution_timeout_secs", &limits->timeout_ms, settings->wasi_execution_timeout_ms},
      {"wasi.memory_limit_bytes", &limits->memory_bytes, settings->wasi_memory_limit_bytes},
      {"wasi.interpreter_max_fuel", &limits->fuel, settings->wasi_interpreter_max_fuel},
      {"wasi.stdout_limit_bytes", &limits->stdout_bytes, settings->wasi_stdout_limit_bytes},
      {"wasi.stderr_limit_bytes", &limits->stderr_bytes, settings->wasi_stderr_limit_bytes},
      {"wasi.quota_bytes", &limits->quota_bytes, settings->wasi_quota_bytes},
      {"wasi.quota_files", &limits->quota_files, settings->wasi_quota_files},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    if (strcmp(entry->origin, "flag") == 0 && strcmp(entry->key, rows[i].key) == 0)
      *rows[i].to = rows[i].value;
  return 0;
}

/* 0, with door->server if there is one. */
static int find_server(struct door *door, struct brig_error *err) {
  CLEANUP_FREE char *path = NULL;
  int rc = brig__config_socket(door->config, &path, err);
  if (rc < 0 || path == NULL) return rc;
  rc = brig__rpc_client_probe(path, err);
  if (rc == 0) door->server = STEAL_PTR(path);
  if (rc == 0) brig_config_each(door->config, take_limit, door);
  return rc == BRIG_E_NOT_FOUND ? 0 : rc;
}

/* The store cannot tell who has a session; that there is a server can be told. */
static int from_store(struct door *door, int rc, struct brig_error *err) {
  CLEANUP_FREE char *path = NULL;
  if (rc != BRIG_E_BUSY || !door->no_server || err == NULL ||
      brig__config_socket(door->config, &path, NULL) < 0 || path == NULL ||
      brig__rpc_client_probe(path, NULL) < 0)
    return rc;
  size_t length = strlen(err->message);
  snprintf(err->message + length, sizeof err->message - length,
           ". A server listens on %s, and may have it: leave --no-server away", path);
  return rc;
}

int brig__cli_door_open(struct door *door, bool once) {
  struct brig_error err;
  if (!door->no_server && find_server(door, &err) < 0) {
    int status = brig__cli_fail(&err);
    brig__cli_say("with --no-server the store is used instead");
    return status;
  }
  if (door->server != NULL) return 0;
  if (adapt(door->config, once, &err) < 0 ||
      brig_sandbox_open(door->config, &door->sandbox, &err) < 0 ||
      brig_sessions_open(door->sandbox, door->config, &door->sessions, &err) < 0)
    return brig__cli_fail(&err);
  return 0;
}

void brig__cli_door_close(struct door *door) {
  brig_sessions_close(door->sessions);
  brig_sandbox_close(door->sandbox);
  brig_config_free(door->config);
  free(door->server);
}

struct brig_session_name brig__cli_door_name(const struct door *door) {
  return (struct brig_session_name){door->turn.tenant, door->turn.user, door->turn.session};
}

/* --- One door or the other ----------------------------------------------------- */

int brig__cli_door_run(struct door *door, const struct brig_turn *turn,
                       struct brig_turn_result **ret_result, struct brig_error *err) {
  if (door->server != NULL) return brig__cli_remote_run(door->server, turn, ret_result, err);
  return from_store(door, brig_session_run(door->sessions, turn, ret_result, err), err);
}

void brig__cli_door_result_free(const struct door *door, struct brig_turn_result *result) {
  if (door->server != NULL)
    brig__cli_remote_result_free(result);
  else
    brig_turn_result_free(result);
}

int brig__cli_door_undo(struct door *door, struct brig_error *err) {
  const struct brig_session_name name = brig__cli_door_name(door);
  if (door->server != NULL) return brig__cli_remote_undo(door->server, &name, err);
  return from_store(door, brig_session_undo(door->sessions, &name, err), err);
}

int brig__cli_door_drop(struct door *door, struct brig_error *err) {
  const struct brig_session_name name = brig__cli_door_name(door);
  if (door->server != NULL) return brig__cli_remote_drop(door->server, &name, err);
  return from_store(door, brig_session_drop(door->sessions, &name, err), err);
}

int brig__cli_door_list(struct door *door,
                        void (*each)(void *context, const struct brig_session_info *info),
                        void *context, struct brig_error *err) {
  const struct brig_session_name name = brig__cli_door_name(door);
  if (door->server != NULL)
    return brig__cli_remote_list(door->server, &name, each, context, err);
  return brig_session_list(door->sessions, &name, each, context, err);
}

static int show(struct door *door, char **ret_json, char **ret_workspace,
                void (*each)(void *context, const struct brig_lost *lost), void *context,
                struct brig_error *err) {
  const struct brig_session_name name = brig__cli_door_name(door);
  CLEANUP_FREE char *json = NULL;
  int rc = brig_session_show(door->sessions, &name, &json, err);
  if (rc == 0) rc = brig_session_workspace(door->sessions, &name, ret_workspace, err);
  if (rc < 0) return rc;
  brig_session_lost(door->sessions, &name, each, context, NULL); /* nothing, if not saved yet */
  *ret_json = STEAL_PTR(json);
  return 0;
}

int brig__cli_door_show(struct door *door, char **ret_json, char **ret_workspace,
                        void (*each)(void *context, const struct brig_lost *lost), void *context,
                        struct brig_error *err) {
  const struct brig_session_name name = brig__cli_door_name(door);
  if (door->server != NULL)
    return brig__cli_remote_show(door->server, &name, ret_json, ret_workspace, each, context, err);
  return from_store(door, show(door, ret_json, ret_workspace, each, context, err), err);
}

/* --- The interpreter ----------------------------------------------------------- */

struct search {
  const char *id;
  char *guest;
};

static void look_at(void *context, const struct brig_session_info *info) {
  struct search *search = context;
  if (search->guest == NULL && strcmp(info->id, search->id) == 0)
    search->guest = strdup(info->guest);
}

static int find_guest(struct door *door, const char *name, const struct guest **ret_guest) {
  CLEANUP_FREE char *directory = NULL;
  struct brig_error err;
  if (brig__config_guests_directory(door->config, &directory, &err) < 0 ||
      brig__guest_find(directory, name, GUEST_ANY, ret_guest, &err) < 0)
    return brig__cli_fail(&err);
  return 0;
}

int brig__cli_door_guest(struct door *door, const char *usual, const struct guest **ret_guest) {
  struct search search = {.id = door->turn.session == NULL ? "" : door->turn.session};
  struct brig_error err;
  if (brig__cli_door_list(door, look_at, &search, &err) < 0) return brig__cli_fail(&err);
  CLEANUP_FREE char *has = search.guest;
  if (has == NULL && door->turn.guest == NULL) door->turn.guest = usual;
  return find_guest(door, has != NULL ? has : door->turn.guest, ret_guest);
}

/* --- Saving -------------------------------------------------------------------- */

static void tell_lost(void *context, const struct brig_lost *lost) {
  if (context == NULL)
    brig__cli_say_plain("not kept: %s: %s", lost->name, lost->reason);
  else
    json_array_append_new(context,
                          json_pack("{s:s, s:s}", "name", lost->name, "reason", lost->reason));
}

static int save_remotely(const struct door *door, const struct brig_session_name *name,
                         json_t *lost) {
  struct brig_error err;
  int rc = brig__cli_remote_save(door->server, name, tell_lost, lost, &err);
  return rc < 0 ? brig__cli_fail(&err) : 0;
}

static int save(struct door *door, const struct brig_session_name *name, json_t *lost) {
  struct brig_error err;
  if (door->server != NULL) return save_remotely(door, name, lost);
  if (brig__config_settings(door->config)->session_in_memory) {
    brig__cli_say("session.in_memory is set: the session %s ends with this command", name->id);
    return EXIT_BRIG;
  }
  if (from_store(door, brig_session_save(door->sessions, name, 1, &err), &err) < 0 ||
      brig_session_lost(door->sessions, name, tell_lost, lost, &err) < 0)
    return brig__cli_fail(&err);
  return 0;
}

int brig__cli_save(struct door *door, json_t *lost) {
  const struct brig_session_name name = brig__cli_door_name(door);
  return save(door, &name, lost);
}

int brig__cli_keep(struct door *door, json_t *lost) {
  return door->server != NULL ? 0 : brig__cli_save(door, lost);
}

static int make_branch(struct door *door, const struct brig_session_name *name, const char *to,
                       char **ret_id, struct brig_error *err) {
  if (door->server != NULL) return brig__cli_remote_branch(door->server, name, to, ret_id, err);
  return from_store(door, brig_session_branch(door->sessions, name, to, ret_id, err), err);
}

int brig__cli_branch(struct door *door, const char *to) {
  struct brig_session_name name = brig__cli_door_name(door);
  CLEANUP_FREE char *id = NULL;
  struct brig_error err;
  if (make_branch(door, &name, to, &id, &err) < 0) return brig__cli_fail(&err);
  name.id = id;
  int status = door->server != NULL ? 0 : save(door, &name, NULL);
  if (status != 0) return status;
  if (door->json)
    brig__cli_print_json(json_pack("{s:s}", "id", id));
  else
    puts(id);
  return 0;
}
