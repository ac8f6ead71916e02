/* cli/remote.h - sessions of a running server, at its socket: as <brig/session.h> has them, with
 * the server's path for the sessions. Errors are the server's own, or tell that it is gone.
 */
#ifndef BRIG_CLI_REMOTE_H
#define BRIG_CLI_REMOTE_H

#include <brig/session.h>

/* A turn's input is `input`, of no descriptor; its result is freed by
 * brig__cli_remote_result_free(). One that is cancelled has no result, and is BRIG_E_SYSTEM. */
int brig__cli_remote_run(const char *server, const struct brig_turn *turn,
                         struct brig_turn_result **ret_result, struct brig_error *err);
void brig__cli_remote_result_free(struct brig_turn_result *result);

int brig__cli_remote_undo(const char *server, const struct brig_session_name *name,
                          struct brig_error *err);
int brig__cli_remote_branch(const char *server, const struct brig_session_name *name,
                            const char *to, char **ret_id, struct brig_error *err);
/* Ends its process, too. `each` gets what could not be kept. */
int brig__cli_remote_save(const char *server, const struct brig_session_name *name,
                          void (*each)(void *context, const struct brig_lost *lost), void *context,
                          struct brig_error *err);
int brig__cli_remote_drop(const char *server, const struct brig_session_name *name,
                          struct brig_error *err);
int brig__cli_remote_list(const char *server, const struct brig_session_name *name,
                          void (*each)(void *context, const struct brig_session_info *info),
                          void *context, struct brig_error *err);
/* What it holds, as JSON, and its workspace, both in fresh memory; `each` as above. */
int brig__cli_remote_show(const char *server, const struct brig_session_name *name,
                          char **ret_json, char **ret_workspace,
                          void (*each)(void *context, const struct brig_lost *lost), void *context,
                          struct brig_error *err);

#endif
