/* server/tenants.h - who a caller is: by bearer token, TLS client certificate, or the user
 * at the other end of a Unix socket.
 *
 * The file server.tokens_file has a line for each way in, `TENANT:` and one of
 *   TOKEN                what follows "Bearer " (RFC 6750), at least 16 characters
 *   sha256:HEX           the digest of such a token, so that the file holds no secret
 *   uid:NUMBER           a user, at a Unix socket
 *   certificate:SUBJECT  the subject of a verified client certificate, as rpc_peer has it
 * and comments, which begin with #. A tenant's name is 1 to 64 of A-Z a-z 0-9 . _ -; one may
 * have several lines. Others than its owner and group must not be able to read the file, and
 * no one but its owner to write it.
 *
 * A caller with a token is whom the token says, or nobody: a wrong one is refused whatever
 * else speaks for him. Then the certificate counts, then the uid. The server's own user at a
 * Unix socket is the operator, who needs no line. Without a file whoever can connect may
 * call, as no tenant in particular.
 *
 * Threads: one, the loop's.
 */
#ifndef BRIG_SERVER_TENANTS_H
#define BRIG_SERVER_TENANTS_H

#include <brig/error.h>
#include "rpc/rpc.h"

/* Lives as long as its struct tenants, over reloads too. */
struct caller {
  const char *tenant; /* for brig_request.tenant and the like; NULL: none in particular */
  bool is_operator;   /* the server's own user, over a Unix socket */
};

struct tenants;

/* `path` NULL or empty: no file. BRIG_E_CONFIG names the file and line, never a token. */
int brig__tenants_open(const char *path, struct tenants **ret_tenants, struct brig_error *err);
/* Accepts NULL. */
void brig__tenants_close(struct tenants *tenants);
/* Read the file again; one that is bad changes nothing. */
int brig__tenants_reload(struct tenants *tenants, struct brig_error *err);

/* RPC_OK and the caller; or RPC_UNAUTHENTICATED and why, a static string. */
enum rpc_status brig__tenants_admit(struct tenants *tenants, const struct rpc_peer *peer,
                                    const struct caller **ret_caller, const char **ret_message);

#endif
