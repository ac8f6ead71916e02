/* server/enforcement.h - who may call how often: per user of a tenant a token bucket and a
 * circuit breaker; and how long a request may be, and last.
 *
 * A key is a tenant and metadata.user_id, or "anonymous". Clients invent user ids: there are
 * at most enforcement.max_keys, the one used least recently leaves. A call costs constant
 * time, and no memory once there is room for its key.
 *
 * What fails is counted as the replaced system counts: a call that ends with a status other
 * than OK is an error of its key's, one that was cancelled is nothing, and a guest that fails
 * is no error, since its call succeeds. A circuit opens when as many calls as
 * circuit_breaker_min_requests have ended within the window and the threshold's share of them
 * were errors. After a window's time one call is let through: if it goes well the circuit
 * closes, else it stays open for as long again.
 *
 * Threads: one, the loop's, but for the checks of workspaces, which are for any.
 * Times are microseconds of one clock, brig__now_us() or a test's.
 */
#ifndef BRIG_SERVER_ENFORCEMENT_H
#define BRIG_SERVER_ENFORCEMENT_H

#include <brig/error.h>
#include "config/config.h"
#include "rpc/rpc.h"
#include "server/metrics.h"

/* Why a call is refused, or ends. X(NAME, status, message, reason in the metrics), all but
 * the names by contract. */
#define ENFORCEMENT_LIST(X)                                              \
  X(TOKEN_LIMIT, RPC_RESOURCE_EXHAUSTED, "token_limit", "token_limit")   \
  X(RATE_LIMIT, RPC_RESOURCE_EXHAUSTED, "rate_limited", "rate_limit")    \
  X(CIRCUIT_OPEN, RPC_UNAVAILABLE, "circuit_open", "circuit_open")       \
  X(TIMEOUT, RPC_DEADLINE_EXCEEDED, "timeout", "timeout")

enum enforcement_verdict {
  ENFORCEMENT_ALLOWED,
#define ENFORCEMENT_ENUM(name, status, message, reason) ENFORCEMENT_##name,
  ENFORCEMENT_LIST(ENFORCEMENT_ENUM)
#undef ENFORCEMENT_ENUM
};

/* What the client is told. RPC_OK and "" for ENFORCEMENT_ALLOWED. Static. */
enum rpc_status brig__enforcement_status(enum enforcement_verdict verdict);
const char *brig__enforcement_message(enum enforcement_verdict verdict);

struct enforcement;

/* `metrics`, which may be NULL, gets what is allowed and dropped; it must outlive it. */
int brig__enforcement_open(const struct brig_settings *settings, struct metrics *metrics,
                           struct enforcement **ret_enforcement, struct brig_error *err);
/* Accepts NULL. */
void brig__enforcement_close(struct enforcement *enforcement);
/* Other limits from now on; keys keep what they have done, and their number stays. */
void brig__enforcement_configure(struct enforcement *enforcement,
                                 const struct brig_settings *settings);

struct enforcement_request {
  const char *tenant; /* or NULL */
  const void *user;   /* metadata.user_id: any bytes, any length */
  size_t user_size;
  uint64_t query_bytes; /* taken for four a token */
};

/* Of one call, the caller's; nothing to free. */
struct enforcement_ticket {
  uint32_t slot;
  bool probe;
  uint64_t generation;
};

/* May it run? If ENFORCEMENT_ALLOWED, brig__enforcement_end() is owed. */
enum enforcement_verdict brig__enforcement_begin(struct enforcement *enforcement,
                                                 const struct enforcement_request *request,
                                                 uint64_t now_us,
                                                 struct enforcement_ticket *ret_ticket);
/* How long it may take: then it is ended with ENFORCEMENT_TIMEOUT's status and message. */
uint64_t brig__enforcement_timeout_us(const struct enforcement *enforcement);
/* `status`: what its client is told. */
void brig__enforcement_end(struct enforcement *enforcement,
                           const struct enforcement_ticket *ticket, enum rpc_status status,
                           uint64_t now_us);

/* Whether a workspace holds no more than it may (session.workspace_bytes and
 * session.workspace_files): 0, or BRIG_E_LIMIT with the message for the client, whose status
 * is RPC_RESOURCE_EXHAUSTED. Walks the directory, so not on the loop; follows no link. */
int brig__enforcement_check_workspace(const char *workspace, const struct brig_settings *settings,
                                      struct brig_error *err);

/* The same, with `more` bytes that are about to be written into it. */
int brig__enforcement_check_growth(const char *workspace, uint64_t more,
                                   const struct brig_settings *settings, struct brig_error *err);

#endif
