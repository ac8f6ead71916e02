#include "cli/door.h"

#include <stdlib.h>
#include <string.h>
#include "base/fd.h"
#include "cli/result_json.h"
#include "config/config.h"

static int take_user(void *context, const char *value) {
  ((struct door *)context)->turn.user = value;
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

int brig__cli_door_open(struct door *door, bool once) {
  struct brig_error err;
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
}

struct brig_session_name brig__cli_door_name(const struct door *door) {
  return (struct brig_session_name){door->turn.tenant, door->turn.user, door->turn.session};
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
  const struct brig_session_name name = brig__cli_door_name(door);
  struct search search = {.id = name.id == NULL ? "" : name.id};
  struct brig_error err;
  if (brig_session_list(door->sessions, &name, look_at, &search, &err) < 0)
    return brig__cli_fail(&err);
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

static int save(struct door *door, const struct brig_session_name *name, json_t *lost) {
  struct brig_error err;
  if (brig__config_settings(door->config)->session_in_memory) {
    brig__cli_say("session.in_memory is set: the session %s ends with this command", name->id);
    return EXIT_BRIG;
  }
  if (brig_session_save(door->sessions, name, 1, &err) < 0 ||
      brig_session_lost(door->sessions, name, tell_lost, lost, &err) < 0)
    return brig__cli_fail(&err);
  return 0;
}

int brig__cli_save(struct door *door, json_t *lost) {
  const struct brig_session_name name = brig__cli_door_name(door);
  return save(door, &name, lost);
}

int brig__cli_branch(struct door *door, const char *to) {
  struct brig_session_name name = brig__cli_door_name(door);
  CLEANUP_FREE char *id = NULL;
  struct brig_error err;
  if (brig_session_branch(door->sessions, &name, to, &id, &err) < 0) return brig__cli_fail(&err);
  name.id = id;
  int status = save(door, &name, NULL);
  if (status != 0) return status;
  if (door->json)
    brig__cli_print_json(json_pack("{s:s}", "id", id));
  else
    puts(id);
  return 0;
}
