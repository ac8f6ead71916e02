/* cli/door.h - where the commands that use sessions find them: in this process, which brings a
 * session back from the store and saves it there. What returns an int returns 0 or an exit status,
 * and has told why.
 */
#ifndef BRIG_CLI_DOOR_H
#define BRIG_CLI_DOOR_H

#include <jansson.h>
#include "cli/cli.h"
#include "guest/guest.h"

struct door {
  struct brig_config *config;
  struct brig_sandbox *sandbox;
  struct brig_sessions *sessions;
  struct brig_turn turn;  /* also whose sessions are meant, and which */
  const char *stdin_path; /* of a turn; NULL: Brig's own */
  bool json, stats;
};

/* Options: of every command (first), of one that makes a session, of one that runs a turn.
 * `context` of their rows is a struct door, which must come first in a bigger context. */
enum { DOOR_ROW_USER, DOOR_ROW_JSON, DOOR_ROW_GUEST, DOOR_ROW_STDIN, DOOR_ROW_STATS, DOOR_ROWS };
extern const struct option_row brig__cli_door_rows[DOOR_ROWS];

/* Take a configuration; or load it, for options to change. */
void brig__cli_door_init(struct door *door, struct brig_config *config);
int brig__cli_door_load(struct door *door);
/* Start Brig with it, for sessions that come and go with this process. `once`: for a command that
 * runs one turn at most and saves it, so that nothing else does. */
int brig__cli_door_open(struct door *door, bool once);
void brig__cli_door_close(struct door *door);

struct brig_session_name brig__cli_door_name(const struct door *door);

/* The interpreter that the session has. A new one gets what was asked for, else `usual`. */
int brig__cli_door_guest(struct door *door, const char *usual, const struct guest **ret_guest);

/* Save the session, end its process, and tell what could not be kept: on stderr, or as names and
 * reasons in `lost`, an array, if that is not NULL. */
int brig__cli_save(struct door *door, json_t *lost);

/* Make the session `to` (NULL: an id that cannot be guessed) from it, save that one, and print its
 * id. */
int brig__cli_branch(struct door *door, const char *to);

#endif
