/* cli/show.h - what a session holds. */
#ifndef BRIG_CLI_SHOW_H
#define BRIG_CLI_SHOW_H

#include "cli/door.h"

/* Print it, as JSON if door->json. 0 or an exit status. */
int brig__cli_show(struct door *door);

/* A user's sessions, the one used last first. */
int brig__cli_show_all(struct door *door);

#endif
