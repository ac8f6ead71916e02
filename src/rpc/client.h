/* rpc/client.h - one gRPC call over a Unix socket, from a program without an event loop.
 *
 * It blocks, and ends whatever the server does: it may be dead, hang, or be none at all. A
 * server that says nothing for some seconds is asked whether it lives (HTTP/2's PING), and
 * is given up on if it does not answer. Each call has a connection of its own.
 *
 * Threads: any. SIGPIPE is not raised.
 */
#ifndef BRIG_RPC_CLIENT_H
#define BRIG_RPC_CLIENT_H

#include "rpc/rpc.h"

struct rpc_client_call {
  const char *path; /* of the socket */
  const char *service, *name;
  const ProtobufCMessage *request;
  const ProtobufCMessageDescriptor *reply;
  /* Each reply, freed afterwards; what of it is taken away is set to NULL. */
  void (*each)(void *context, ProtobufCMessage *reply);
  void *context;
  uint64_t timeout_us; /* which the server is told, too; 0: none */
  int cancel_fd;       /* readable: the call is cancelled. -1: none */
};

/* How the server ended the call. `message` is its own, UTF-8 or not. */
struct rpc_client_end {
  enum rpc_status status;
  char message[1000];
};

/* Whether somebody listens: 0; BRIG_E_NOT_FOUND if there is no socket, or nobody behind it;
 * BRIG_E_PERMISSION, BRIG_E_SYSTEM. */
int brig__rpc_client_probe(const char *path, struct brig_error *err);

/* 0 and how the server, or the call's cancellation or its time, ended it. Else a negative
 * code: as of the probe, and BRIG_E_LOST for a server that went away, that does not answer, or
 * that does not speak gRPC. */
int brig__rpc_client_call(const struct rpc_client_call *call, struct rpc_client_end *ret_end,
                          struct brig_error *err);

#endif
