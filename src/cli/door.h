/* cli/door.h - where the commands that use sessions find them: in a running server, if one
 * listens on server.socket; else in this process, which brings a session back from the store and
 * saves it there. What takes a struct brig_error returns as the library does; what else returns an
 * int returns 0 or an exit status, and has told why.
 */
#ifndef BRIG_CLI_DOOR_H
#define BRIG_CLI_DOOR_H

#include <jansson.h>
#include "cli/cli.h"
#include "guest/guest.h"

struct door {
  struct brig_config *config;
  bool no_server; /* none is looked for */
  char *server;   /* the path of its socket; NULL: there is none, and these are open: */
  struct brig_sandbox *sandbox;
  struct brig_sessions *sessions;
  struct brig_turn turn;  /* also whose sessions are meant, and which */
  const char *stdin_path; /* of a turn; NULL: Brig's own */
  bool json, stats;
};

#define DOOR_SERVER_HELP \
  "use the store, though a server may listen (default: go through the server)"

/* Options: of every command (first), of one that makes a session, of one that runs a turn.
 * `context` of their rows is a struct door, which must come first in a bigger context. */
enum {
  DOOR_ROW_USER,
  DOOR_ROW_SERVER,
  DOOR_ROW_JSON,
  DOOR_ROW_GUEST,
  DOOR_ROW_STDIN,
  DOOR_ROW_STATS,
  DOOR_ROWS
};
extern const struct option_row brig__cli_door_rows[DOOR_ROWS];

/* Take a configuration; or load it, for options to change. */
void brig__cli_door_init(struct door *door, struct brig_config *config);
int brig__cli_door_load(struct door *door);
/* Find the server; or start Brig, for sessions that come and go with this process. `once`: for a
 * command that runs one turn at most and saves it, so that nothing else does. */
int brig__cli_door_open(struct door *door, bool once);
void brig__cli_door_close(struct door *door);

struct brig_session_name brig__cli_door_name(const struct door *door);

/* As brig_session_...(), of the session that is meant. Through a server a turn's input is
 * `input`: a descriptor's is not read. */
int brig__cli_door_run(struct door *door, const struct brig_turn *turn,
                       struct brig_turn_result **ret_result, struct brig_error *err);
void brig__cli_door_result_free(const struct door *door, struct brig_turn_result *result);
int brig__cli_door_undo(struct door *door, struct brig_error *err);
int brig__cli_door_drop(struct door *door, struct brig_error *err);
int brig__cli_door_list(struct door *door,
                        void (*each)(void *context, const struct brig_session_info *info),
                        void *context, struct brig_error *err);
/* What it holds, as JSON, and its workspace, in fresh memory; what could not be kept. */
int brig__cli_door_show(struct door *door, char **ret_json, char **ret_workspace,
                        void (*each)(void *context, const struct brig_lost *lost), void *context,
                        struct brig_error *err);

/* The interpreter that the session has. A new one gets what was asked for, else `usual`. */
int brig__cli_door_guest(struct door *door, const char *usual, const struct guest **ret_guest);

/* Save the session, end its process, and tell what could not be kept: on stderr, or as names and
 * reasons in `lost`, an array, if that is not NULL. */
int brig__cli_save(struct door *door, json_t *lost);

/* The same where the session would end with this process; a server has it, and saves it itself. */
int brig__cli_keep(struct door *door, json_t *lost);

/* Make the session `to` (NULL: an id that cannot be guessed) from it, keep that one, and print its
 * id. */
int brig__cli_branch(struct door *door, const char *to);

#endif
