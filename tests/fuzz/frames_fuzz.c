/* Frames of any kind to a connection of a whole server, with handlers that reply at once, go
 * on for long, or never finish before they are cancelled. What a call or connection takes is
 * given back at its end.
 *
 * The input is a list of steps: a byte that says what kind, a stream, a length, and as many
 * bytes. Mere bytes would hardly ever get past HTTP/2's compressed headers. Requests have new
 * streams, and messages are of the last one. */
#include <agent/agent.pb-c.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "rpc/health.h"
#include "rpc/internal.h"
#include "rpc/reflection.h"

#define FRAME_HEADER 9

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct event_base *base;
static struct rpc_health *health;
static unsigned echoed;
static uint8_t last_stream;

static void echo(struct rpc_call *call, void *context, ProtobufCMessage *message) {
  const Shannon__Agent__ExecuteTaskRequest *request =
      (const Shannon__Agent__ExecuteTaskRequest *)message;
  Shannon__Agent__ExecuteTaskResponse reply = SHANNON__AGENT__EXECUTE_TASK_RESPONSE__INIT;
  (void)context;
  echoed++;
  reply.result = request->query;
  reply.metadata = request->context;
  brig__rpc_reply(call, &reply.base);
}

static void give_up(struct rpc_call *call, void *context) {
  (void)context;
  brig__rpc_finish(call, RPC_CANCELLED, NULL);
}

/* Many replies, and no end. */
static void go_on(struct rpc_call *call, void *context, ProtobufCMessage *message) {
  Shannon__Agent__TaskUpdate update = SHANNON__AGENT__TASK_UPDATE__INIT;
  static uint8_t text[3000];
  (void)context, (void)message;
  update.delta = (ProtobufCBinaryData){sizeof text, text};
  brig__rpc_on_cancel(call, give_up, NULL);
  for (int i = 0; i < 100 && !brig__rpc_is_cancelled(call); i++) brig__rpc_send(call, &update.base);
}

static struct rpc_method methods[2 + RPC_HEALTH_METHODS + RPC_REFLECTION_METHODS] = {
    {"shannon.agent.AgentService", "ExecuteTask", .message = echo,
     .request = &shannon__agent__execute_task_request__descriptor},
    {"shannon.agent.AgentService", "StreamExecuteTask", .message = go_on,
     .request = &shannon__agent__execute_task_request__descriptor},
};
#define METHODS (sizeof methods / sizeof *methods)

static const struct rpc_settings settings = {.methods = methods,
                                             .method_count = METHODS,
                                             .max_request_bytes = 10000,
                                             .max_parts = 1000,
                                             .max_connections = 1,
                                             .max_calls_per_connection = 10,
                                             .max_buffered_bytes = 500000,
                                             .handshake_us = 1000000,
                                             .idle_us = 1000000};

static void set_up(void) {
  base = event_base_new();
  health = brig__rpc_health_new();
  brig__rpc_health_set(health, "", true);
  brig__rpc_health_methods(health, methods + 2);
  memcpy(methods + 2 + RPC_HEALTH_METHODS, brig__rpc_reflection_methods,
         sizeof brig__rpc_reflection_methods);
}

static void turn(void) {
  for (int i = 0; i < 4; i++) event_base_loop(base, EVLOOP_NONBLOCK);
}

static void send_bytes(int fd, const void *data, size_t size) {
  char ignored[65536];
  ssize_t sent = send(fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
  turn();
  if (sent >= 0)
    while (recv(fd, ignored, sizeof ignored, MSG_DONTWAIT) > 0) turn();
}

static void send_frame(int fd, uint8_t type, uint8_t flags, uint8_t stream, const uint8_t *data,
                       size_t size) {
  uint8_t frame[FRAME_HEADER + 1024] = {0, (uint8_t)(size >> 8), (uint8_t)size, type, flags};
  frame[8] = stream;
  if (size > 0) memcpy(frame + FRAME_HEADER, data, size);
  send_bytes(fd, frame, FRAME_HEADER + size);
}

static uint8_t *literal(uint8_t *at, const char *name, const void *value, size_t size) {
  size_t length = strlen(name);
  *at++ = 0;
  *at++ = (uint8_t)length;
  at = (uint8_t *)memcpy(at, name, length) + length;
  *at++ = (uint8_t)size;
  return (uint8_t *)memcpy(at, value, size) + size;
}

/* A good request's headers; the bytes choose the method, and are a header of it. */
static void send_request(int fd, const uint8_t *data, size_t size) {
  static const char *const names[] = {"grpc-timeout", "grpc-encoding", "x-any", "authorization"};
  uint8_t block[700], *at = block;
  char path[100];
  const struct rpc_method *method = &methods[size > 0 ? data[0] % METHODS : 0];
  int length = snprintf(path, sizeof path, "/%s/%s", method->service, method->name);
  at = literal(at, ":method", "POST", 4);
  at = literal(at, ":scheme", "http", 4);
  at = literal(at, ":path", path, (size_t)length);
  at = literal(at, ":authority", "x", 1);
  at = literal(at, "content-type", "application/grpc", 16);
  if (size > 2) at = literal(at, names[data[1] % 4], data + 2, size < 100 ? size - 2 : 98);
  send_frame(fd, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, last_stream += 2, block,
             (size_t)(at - block));
}

/* A message behind its prefix, and the end of the request. */
static void send_message(int fd, const uint8_t *data, size_t size) {
  uint8_t body[5 + 255] = {0, 0, 0, 0, (uint8_t)size};
  if (size > 0) memcpy(body + 5, data, size);
  send_frame(fd, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, last_stream, body, size + 5);
}

static void step(int fd, uint8_t kind, uint8_t stream, const uint8_t *data, size_t size) {
  switch (kind >> 6) {
    case 0:
      send_request(fd, data, size);
      break;
    case 1:
      send_message(fd, data, size);
      break;
    case 2:
      send_frame(fd, kind & 15, (kind >> 4 & 3) * 5 % 16, stream, data, size);
      break;
    default:
      send_bytes(fd, data, size);
  }
}

static void play(int fd, const uint8_t *data, size_t size) {
  send_bytes(fd, NGHTTP2_CLIENT_MAGIC, NGHTTP2_CLIENT_MAGIC_LEN);
  send_frame(fd, NGHTTP2_SETTINGS, NGHTTP2_FLAG_NONE, 0, NULL, 0);
  last_stream = UINT8_MAX; /* the first is 1 */
  while (size >= 3) {
    size_t length = data[2] < size - 3 ? data[2] : size - 3;
    step(fd, data[0], data[1], data + 3, length);
    data += 3 + length;
    size -= 3 + length;
  }
}

static void run(const uint8_t *data, size_t size) {
  const struct sockaddr_un address = {.sun_family = AF_UNIX};
  struct rpc_bound bound = {.plain = true};
  struct rpc_counts counts;
  int fds[2];
  if (brig__rpc_open(base, &settings, &bound.server, NULL) < 0) abort();
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) < 0) abort();
  brig__rpc_connection_open(&bound, fds[0], (const struct sockaddr *)&address, sizeof address);
  play(fds[1], data, size);
  close(fds[1]);
  turn();
  brig__rpc_counts(bound.server, &counts);
  if (counts.connections != 0 || counts.calls != 0 || counts.buffered_bytes != 0) abort();
  brig__rpc_close(bound.server);
  turn();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const uint8_t good[] = {0, 0, 0, 64, 0, 0}; /* a request, its message */
  if (base == NULL) {
    set_up();
    run(good, sizeof good);
    if (echoed != 1) abort(); /* or all that follows would be in vain */
  }
  run(data, size);
  return 0;
}
