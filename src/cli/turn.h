/* cli/turn.h - one turn of a session on the command line. */
#ifndef BRIG_CLI_TURN_H
#define BRIG_CLI_TURN_H

#include "cli/door.h"

/* Run door->turn; its output comes as it is made, unless door->json. A signal cancels it. 0, or an
 * exit status, and then it has been told why. */
int brig__cli_turn(struct door *door, struct brig_turn_result **ret_result);

/* Tell what there is to tell beside the output: the value as a notebook shows it on stdout, all
 * else on stderr. */
void brig__cli_turn_report(const struct brig_turn_result *result);

/* The exit status of a command that ran just this turn. */
int brig__cli_turn_status(const struct brig_turn_result *result);

/* Whether it ended as a program does: by SystemExit. */
bool brig__cli_turn_exited(const struct brig_turn_result *result);

/* A command: run the turn, keep the session, report. */
int brig__cli_turn_command(struct door *door);

#endif
