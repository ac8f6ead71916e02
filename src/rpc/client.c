#include "rpc/client.h"

#include <errno.h>
#include <inttypes.h>
#include <nghttp2/nghttp2.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "rpc/headers.h"
#include "rpc/message_check.h"

#define PREFIX_BYTES  5
#define WINDOW_BYTES  (1 << 20)
#define READ_BYTES    65536
#define REPLY_MAX     ((size_t)600 << 20) /* both streams at their ceiling, and the rest */
#define PARTS_MAX     UINT64_C(1000000)
#define SILENCE_US    UINT64_C(5000000)  /* then it is asked whether it lives, */
#define PATIENCE_US   UINT64_C(15000000) /* and given up on */
#define DIGITS_MAX_MS UINT64_C(99999999)

struct exchange {
  const struct rpc_client_call *call;
  struct rpc_client_end *end;
  int fd;
  nghttp2_session *session;
  int32_t stream;
  uint8_t *out; /* the request, behind its prefix */
  size_t out_size, out_sent;
  uint8_t *in; /* what came of a reply */
  size_t in_size, in_capacity;
  const uint8_t *unsent; /* of the session's */
  size_t unsent_size;
  uint64_t heard_us, ends_us;
  bool asked_for_life;
  bool has_status, closed, over;
  const char *broken; /* what is wrong with what came */
};

/* --- What comes ---------------------------------------------------------------------------- */

static int broken(struct exchange *exchange, const char *why) {
  if (exchange->broken == NULL) exchange->broken = why;
  return NGHTTP2_ERR_CALLBACK_FAILURE;
}

static bool is(const char *name, const uint8_t *text, size_t size) {
  return size == strlen(name) && memcmp(name, text, size) == 0;
}

static int take_status(struct exchange *exchange, const uint8_t *value, size_t size) {
  unsigned status = 0;
  for (size_t i = 0; i < size && i < 3; i++) status = status * 10 + (unsigned)(value[i] - '0');
  if (size == 0 || size > 2 || status > RPC_UNAUTHENTICATED)
    return broken(exchange, "its grpc-status is none");
  exchange->end->status = status;
  exchange->has_status = true;
  return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_size, const uint8_t *value, size_t size, uint8_t flags,
                     void *context) {
  struct exchange *exchange = context;
  (void)session, (void)flags;
  if (frame->hd.stream_id != exchange->stream) return 0;
  if (is(":status", name, name_size) && !is("200", value, size))
    return broken(exchange, "it is no gRPC server");
  if (is("grpc-status", name, name_size)) return take_status(exchange, value, size);
  if (is("grpc-message", name, name_size))
    brig__rpc_percent_decode((const char *)value, size, exchange->end->message,
                             sizeof exchange->end->message);
  return 0;
}

static int deliver(struct exchange *exchange, const uint8_t *data, size_t size) {
  const struct rpc_client_call *call = exchange->call;
  const char *reason;
  if (brig__rpc_check_message(call->reply, data, size, PARTS_MAX, &reason) != RPC_OK)
    return broken(exchange, reason);
  ProtobufCMessage *reply = protobuf_c_message_unpack(call->reply, NULL, size, data);
  if (reply == NULL) return broken(exchange, "a reply cannot be read");
  if (call->each != NULL) call->each(call->context, reply);
  protobuf_c_message_free_unpacked(reply, NULL);
  return 0;
}

/* The messages that are whole; the rest moves to the front. */
static int deliver_all(struct exchange *exchange) {
  size_t at = 0;
  while (exchange->in_size - at >= PREFIX_BYTES) {
    const uint8_t *prefix = exchange->in + at;
    size_t size = (size_t)prefix[1] << 24 | (size_t)prefix[2] << 16 | (size_t)prefix[3] << 8 |
                  (size_t)prefix[4];
    if (prefix[0] != 0) return broken(exchange, "a reply is compressed");
    if (size > REPLY_MAX) return broken(exchange, "a reply is too long");
    if (exchange->in_size - at - PREFIX_BYTES < size) break;
    int rc = deliver(exchange, prefix + PREFIX_BYTES, size);
    if (rc != 0) return rc;
    at += PREFIX_BYTES + size;
  }
  exchange->in_size -= at;
  if (at > 0) memmove(exchange->in, exchange->in + at, exchange->in_size);
  return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream, const uint8_t *data,
                   size_t size, void *context) {
  struct exchange *exchange = context;
  (void)session, (void)flags;
  if (stream != exchange->stream || exchange->over) return 0;
  if (exchange->in_size + size > exchange->in_capacity) {
    size_t capacity = 2 * (exchange->in_size + size);
    uint8_t *more = realloc(exchange->in, capacity);
    if (more == NULL) return broken(exchange, "there is no memory for a reply");
    exchange->in = more;
    exchange->in_capacity = capacity;
  }
  memcpy(exchange->in + exchange->in_size, data, size);
  exchange->in_size += size;
  return deliver_all(exchange);
}

static int on_close(nghttp2_session *session, int32_t stream, uint32_t code, void *context) {
  struct exchange *exchange = context;
  (void)session, (void)code;
  if (stream == exchange->stream) exchange->closed = true;
  return 0;
}

/* --- What goes ----------------------------------------------------------------------------- */

static ssize_t read_out(nghttp2_session *session, int32_t stream, uint8_t *to, size_t size,
                        uint32_t *flags, nghttp2_data_source *source, void *context) {
  struct exchange *exchange = source->ptr;
  size_t left = exchange->out_size - exchange->out_sent;
  (void)session, (void)stream, (void)context;
  if (size > left) size = left;
  memcpy(to, exchange->out + exchange->out_sent, size);
  exchange->out_sent += size;
  if (size == left) *flags |= NGHTTP2_DATA_FLAG_EOF;
  return (ssize_t)size;
}

static bool pack(struct exchange *exchange) {
  size_t size = protobuf_c_message_get_packed_size(exchange->call->request);
  if (size > UINT32_MAX) return false;
  exchange->out = malloc(size + PREFIX_BYTES);
  if (exchange->out == NULL) return false;
  exchange->out[0] = 0;
  for (size_t i = 1; i < PREFIX_BYTES; i++)
    exchange->out[i] = (uint8_t)(size >> 8 * (PREFIX_BYTES - 1 - i));
  protobuf_c_message_pack(exchange->call->request, exchange->out + PREFIX_BYTES);
  exchange->out_size = size + PREFIX_BYTES;
  return true;
}

static nghttp2_nv header(const char *name, const char *value) {
  return (nghttp2_nv){(uint8_t *)name, (uint8_t *)value, strlen(name), strlen(value),
                      NGHTTP2_NV_FLAG_NONE};
}

static bool submit(struct exchange *exchange) {
  const struct rpc_client_call *call = exchange->call;
  nghttp2_data_provider provider = {.source.ptr = exchange, .read_callback = read_out};
  nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
                                       {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW_BYTES}};
  CLEANUP_FREE char *path = brig__format("/%s/%s", call->service, call->name);
  char timeout[24];
  if (path == NULL || !pack(exchange)) return false;
  nghttp2_nv headers[] = {
      header(":method", "POST"),
      header(":scheme", "http"),
      header(":path", path),
      header(":authority", "localhost"),
      header("content-type", "application/grpc"),
      header("te", "trailers"),
      header("grpc-timeout", timeout), /* last: not always there */
  };
  size_t count = sizeof headers / sizeof *headers;
  uint64_t ms = call->timeout_us / 1000;
  int length =
      snprintf(timeout, sizeof timeout, "%" PRIu64 "m", ms < DIGITS_MAX_MS ? ms : DIGITS_MAX_MS);
  headers[count - 1].valuelen = (size_t)length;
  if (call->timeout_us == 0) count--;
  if (nghttp2_submit_settings(exchange->session, NGHTTP2_FLAG_NONE, settings, 2) != 0 ||
      nghttp2_session_set_local_window_size(exchange->session, NGHTTP2_FLAG_NONE, 0,
                                            WINDOW_BYTES) != 0)
    return false;
  exchange->stream =
      nghttp2_submit_request(exchange->session, NULL, headers, count, &provider, NULL);
  return exchange->stream > 0;
}

/* --- The socket ---------------------------------------------------------------------------- */

static int lost(struct brig_error *err, const char *path, const char *why) {
  return brig__fail(err, BRIG_E_LOST, "rpc", "the server at %s: %s", path, why);
}

/* Never waits: a server that takes no connections is as good as dead. */
static int connect_to(const char *path, struct brig_error *err) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof address.sun_path)
    return brig__fail(err, BRIG_E_NOT_FOUND, "rpc", "%s is too long for a socket's path", path);
  memcpy(address.sun_path, path, strlen(path));
  CLEANUP_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return brig__fail_errno(err, errno, "rpc", "a socket");
  if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0) return STEAL_FD(fd);
  switch (errno) {
    case ENOENT:
    case ENOTDIR:
    case ECONNREFUSED:
      return brig__fail(err, BRIG_E_NOT_FOUND, "rpc", "no server listens on %s", path);
    case EACCES:
      return brig__fail(err, BRIG_E_PERMISSION, "rpc", "the server at %s is another user's", path);
    case EAGAIN:
      return lost(err, path, "it takes no connections");
    default:
      return brig__fail_errno(err, errno, "rpc", "connecting to %s", path);
  }
}

int brig__rpc_client_probe(const char *path, struct brig_error *err) {
  int fd = connect_to(path, err);
  if (fd < 0) return fd;
  close(fd);
  return 0;
}

/* As much as the socket takes. False: it is broken. */
static bool send_some(struct exchange *exchange) {
  for (;;) {
    if (exchange->unsent_size == 0) {
      ssize_t size = nghttp2_session_mem_send(exchange->session, &exchange->unsent);
      if (size <= 0) return size == 0;
      exchange->unsent_size = (size_t)size;
    }
    ssize_t sent = send(exchange->fd, exchange->unsent, exchange->unsent_size, MSG_NOSIGNAL);
    if (sent < 0) return errno == EAGAIN || errno == EINTR;
    exchange->unsent += sent;
    exchange->unsent_size -= (size_t)sent;
  }
}

/* False: there will be no more, or it is no HTTP/2. */
static bool receive_some(struct exchange *exchange) {
  uint8_t data[READ_BYTES];
  ssize_t size = recv(exchange->fd, data, sizeof data, 0);
  if (size < 0) return errno == EAGAIN || errno == EINTR;
  if (size == 0) return false;
  exchange->heard_us = brig__now_us();
  exchange->asked_for_life = false;
  ssize_t taken = nghttp2_session_mem_recv(exchange->session, data, (size_t)size);
  if (taken < 0) broken(exchange, "it does not speak HTTP/2");
  return taken >= 0;
}

/* --- Its course ---------------------------------------------------------------------------- */

/* From our side: whatever comes now is not heard, and the connection is closed next. */
static void stop(struct exchange *exchange, enum rpc_status status, const char *message) {
  exchange->over = true;
  *exchange->end = (struct rpc_client_end){.status = status};
  snprintf(exchange->end->message, sizeof exchange->end->message, "%s", message);
  nghttp2_submit_rst_stream(exchange->session, NGHTTP2_FLAG_NONE, exchange->stream, NGHTTP2_CANCEL);
  send_some(exchange);
}

static bool waits_for_life(struct exchange *exchange) {
  uint64_t silent_us = brig__now_us() - exchange->heard_us;
  if (silent_us >= PATIENCE_US) {
    broken(exchange, "it does not answer");
    return false;
  }
  if (silent_us >= SILENCE_US && !exchange->asked_for_life) {
    exchange->asked_for_life = true;
    nghttp2_submit_ping(exchange->session, NGHTTP2_FLAG_NONE, NULL);
  }
  return true;
}

static int wait_ms(const struct exchange *exchange) {
  uint64_t now_us = brig__now_us();
  uint64_t until_us =
      exchange->heard_us + (exchange->asked_for_life ? PATIENCE_US : SILENCE_US);
  if (exchange->ends_us < until_us) until_us = exchange->ends_us;
  return until_us <= now_us ? 0 : (int)((until_us - now_us + 999) / 1000);
}

/* False: it is over, one way or the other. */
static bool step(struct exchange *exchange) {
  struct pollfd fds[] = {{.fd = exchange->fd, .events = POLLIN},
                         {.fd = exchange->call->cancel_fd, .events = POLLIN}};
  if (!waits_for_life(exchange) || !send_some(exchange)) return false;
  if (!nghttp2_session_want_read(exchange->session) &&
      !nghttp2_session_want_write(exchange->session)) {
    broken(exchange, "it does not speak HTTP/2"); /* and has been told so */
    return false;
  }
  if (exchange->unsent_size > 0) fds[0].events |= POLLOUT;
  int count = poll(fds, 2, wait_ms(exchange));
  if (count < 0 && errno != EINTR) return false;
  if (count > 0 && fds[1].revents != 0) {
    stop(exchange, RPC_CANCELLED, "cancelled");
  } else if (brig__now_us() >= exchange->ends_us) {
    stop(exchange, RPC_DEADLINE_EXCEEDED, "the server did not answer in time");
  } else if (count > 0 && fds[0].revents & ~POLLOUT && !receive_some(exchange)) {
    return false;
  }
  return !exchange->over && !exchange->closed;
}

static int open_session(struct exchange *exchange) {
  nghttp2_session_callbacks *callbacks;
  int rc = nghttp2_session_callbacks_new(&callbacks);
  if (rc != 0) return rc;
  nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
  rc = nghttp2_session_client_new(&exchange->session, callbacks, exchange);
  nghttp2_session_callbacks_del(callbacks);
  return rc;
}

static int converse(struct exchange *exchange, struct brig_error *err) {
  const struct rpc_client_call *call = exchange->call;
  exchange->fd = connect_to(call->path, err);
  if (exchange->fd < 0) return exchange->fd;
  if (open_session(exchange) != 0 || !submit(exchange))
    return brig__fail(err, BRIG_E_MEMORY, "rpc", "out of memory");
  exchange->heard_us = brig__now_us();
  exchange->ends_us =
      call->timeout_us == 0 ? UINT64_MAX : exchange->heard_us + call->timeout_us;
  while (step(exchange)) continue;
  if (exchange->over || (exchange->closed && exchange->has_status && exchange->broken == NULL))
    return 0;
  return lost(err, call->path,
              exchange->broken != NULL ? exchange->broken : "it ended before it had answered");
}

int brig__rpc_client_call(const struct rpc_client_call *call, struct rpc_client_end *ret_end,
                          struct brig_error *err) {
  struct rpc_client_end end = {.status = RPC_UNKNOWN};
  struct exchange exchange = {.call = call, .end = &end, .fd = -1};
  int rc = converse(&exchange, err);
  nghttp2_session_del(exchange.session);
  if (exchange.fd >= 0) close(exchange.fd);
  free(exchange.out);
  free(exchange.in);
  if (rc == 0) *ret_end = end;
  return rc;
}
