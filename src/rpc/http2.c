#include <string.h>
#include "base/error.h"
#include "rpc/internal.h"

/* What a client may send unasked, of one call and of all of a connection. */
#define STREAM_WINDOW     (1 << 20)
#define CONNECTION_WINDOW (4 << 20)

static struct rpc_call *call_of(nghttp2_session *session, int32_t stream) {
  return stream == 0 ? NULL : nghttp2_session_get_stream_user_data(session, stream);
}

/* A header block that is never completed holds up its connection: it has as long as a
 * handshake. */
static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *context) {
  struct rpc_connection *connection = context;
  brig__rpc_connection_wait(connection, "headers are not completed",
                            connection->server->settings.handshake_us);
  if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
  struct rpc_call *call = brig__rpc_call_begin(connection, frame->hd.stream_id);
  if (call == NULL) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, call);
  return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_size, const uint8_t *value, size_t value_size, uint8_t flags,
                     void *context) {
  struct rpc_call *call = call_of(session, frame->hd.stream_id);
  (void)flags, (void)context;
  if (call != NULL)
    brig__rpc_call_header(call, (const char *)name, name_size, (const char *)value, value_size);
  return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream, const uint8_t *data,
                   size_t size, void *context) {
  struct rpc_call *call = call_of(session, stream);
  (void)flags, (void)context;
  if (call != NULL) brig__rpc_call_data(call, data, size);
  return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *context) {
  struct rpc_connection *connection = context;
  struct rpc_call *call = call_of(session, frame->hd.stream_id);
  if (frame->hd.type == NGHTTP2_SETTINGS && !connection->greeted) {
    connection->greeted = true;
    brig__rpc_connection_quiet(connection);
  }
  if (frame->hd.type == NGHTTP2_HEADERS) brig__rpc_connection_quiet(connection);
  if (call == NULL) return 0;
  if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
    brig__rpc_call_headers_done(call);
  if ((frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) &&
      (frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
    brig__rpc_call_half_closed(call);
  return 0;
}

static int on_sent(nghttp2_session *session, const nghttp2_frame *frame, void *context) {
  const struct rpc_connection *connection = context;
  const struct rpc_call *call = call_of(session, frame->hd.stream_id);
  if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code != NGHTTP2_NO_ERROR)
    brig__rpc_note(connection->server, "protocol", connection->address,
                   nghttp2_http2_strerror(frame->goaway.error_code));
  /* Answered before all of the request was here: no more of it is wanted. */
  if (call != NULL && frame->hd.type == NGHTTP2_HEADERS &&
      (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) && !call->half_closed)
    nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_NO_ERROR);
  return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t stream, uint32_t error_code,
                           void *context) {
  struct rpc_call *call = call_of(session, stream);
  struct rpc_connection *connection = context;
  (void)error_code;
  if (call == NULL) return 0;
  nghttp2_session_set_stream_user_data(session, stream, NULL);
  brig__rpc_call_closed(call);
  brig__rpc_connection_quiet(connection);
  return 0;
}

int brig__rpc_http2_open(struct rpc_server *server, struct brig_error *err) {
  if (nghttp2_session_callbacks_new(&server->callbacks) != 0)
    return brig__fail(err, BRIG_E_MEMORY, "rpc", "out of memory");
  nghttp2_session_callbacks *callbacks = server->callbacks;
  nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
  nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
  nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
  nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_sent);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
  return 0;
}

void brig__rpc_http2_close(struct rpc_server *server) {
  nghttp2_session_callbacks_del(server->callbacks);
}

int brig__rpc_http2_session(struct rpc_connection *connection) {
  struct rpc_server *server = connection->server;
  const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS,
                                              (uint32_t)server->settings.max_calls_per_connection},
                                             {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW},
                                             {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HEADER_BYTES}};
  int rc = nghttp2_session_server_new(&connection->session, server->callbacks, connection);
  if (rc != 0) return rc;
  rc = nghttp2_submit_settings(connection->session, NGHTTP2_FLAG_NONE, settings,
                               sizeof settings / sizeof *settings);
  if (rc == 0)
    rc = nghttp2_session_set_local_window_size(connection->session, NGHTTP2_FLAG_NONE, 0,
                                               CONNECTION_WINDOW);
  if (rc != 0) nghttp2_session_del(connection->session);
  return rc;
}
