/* server/server.h - `brig serve`: the whole of it, on one event loop of its caller's thread.
 *
 * It listens at once, says NOT_SERVING until the walls are up and the named templates warm,
 * and then SERVING. SIGTERM and SIGINT drain it: no new calls; those there are may go on for
 * server.drain_grace_secs; sessions are saved. SIGHUP, or a change of its files, has it load its
 * configuration again: it takes over tokens, certificates, the log's level and enforcement; what is bad changes
 * nothing, and is told in the log.
 */
#ifndef BRIG_SERVER_SERVER_H
#define BRIG_SERVER_SERVER_H

#include <brig/config.h>
#include <brig/error.h>

struct server;

/* How the configuration is made, now and whenever it is loaded again. */
struct server_source {
  int (*load)(void *context, struct brig_config **ret_config, struct brig_error *err);
  const char *(*file)(void *context); /* that it is read from, or NULL */
  void *context;
};

/* `source` must live as long. SIGPIPE is ignored from then on. */
int brig__server_open(const struct server_source *source, struct server **ret_server,
                      struct brig_error *err);
/* Until a signal ends it. A negative code if it could not come to serve. */
int brig__server_run(struct server *server, struct brig_error *err);
/* Accepts NULL. */
void brig__server_close(struct server *server);

#endif
