/* A gRPC client that costs little: one connection, so many calls on it at once, each followed
 * by the next. Prints how long each took, in milliseconds, one a line; then "total" and the
 * seconds. What load/main.go does with grpc-go, where the client is not to be what is measured.
 *
 *   calls HOST:PORT METHOD REQUEST CALLERS COUNT
 *
 * REQUEST is a file with the message as it is on the wire.
 */
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PREFIX_BYTES 5
#define REQUEST_MAX  65536

struct call {
  double begun;
  size_t sent;
  bool well; /* grpc-status 0 */
};

static struct {
  const char *address, *method;
  uint8_t request[PREFIX_BYTES + REQUEST_MAX];
  size_t request_size;
  double *times;
  int begun, ended, count;
  nghttp2_session *session;
} all;

static double now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void fail(const char *what) {
  fprintf(stderr, "calls: %s\n", what);
  exit(1);
}

static ssize_t read_request(nghttp2_session *session, int32_t stream, uint8_t *buffer, size_t room,
                            uint32_t *flags, nghttp2_data_source *source, void *context) {
  struct call *call = source->ptr;
  size_t left = all.request_size - call->sent, size = left < room ? left : room;
  (void)session, (void)stream, (void)context;
  memcpy(buffer, all.request + call->sent, size);
  call->sent += size;
  if (call->sent == all.request_size) *flags |= NGHTTP2_DATA_FLAG_EOF;
  return (ssize_t)size;
}

static nghttp2_nv header(const char *name, const char *value) {
  return (nghttp2_nv){(uint8_t *)name, (uint8_t *)value, strlen(name), strlen(value),
                      NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE};
}

static void begin_call(void) {
  if (all.begun == all.count) return;
  struct call *call = calloc(1, sizeof *call);
  nghttp2_data_provider body = {.source.ptr = call, .read_callback = read_request};
  const nghttp2_nv headers[] = {
      header(":method", "POST"),       header(":scheme", "http"),
      header(":path", all.method),     header(":authority", all.address),
      header("te", "trailers"),        header("content-type", "application/grpc"),
  };
  if (call == NULL) fail("out of memory");
  call->begun = now_ms();
  all.begun++;
  if (nghttp2_submit_request(all.session, NULL, headers, sizeof headers / sizeof *headers, &body,
                             call) < 0)
    fail("no request");
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_size, const uint8_t *value, size_t size, uint8_t flags,
                     void *context) {
  struct call *call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
  (void)flags, (void)context;
  if (call != NULL && name_size == 11 && memcmp(name, "grpc-status", 11) == 0)
    call->well = size == 1 && value[0] == '0';
  return 0;
}

static int on_close(nghttp2_session *session, int32_t stream, uint32_t error, void *context) {
  struct call *call = nghttp2_session_get_stream_user_data(session, stream);
  (void)error, (void)context;
  if (!call->well) fail("a call failed");
  all.times[all.ended++] = now_ms() - call->begun;
  free(call);
  begin_call();
  return 0;
}

static int connect_to(const char *address) {
  char host[256];
  const char *colon = strrchr(address, ':');
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
  if (colon == NULL) fail("HOST:PORT");
  snprintf(host, sizeof host, "%.*s", (int)(colon - address), address);
  if (getaddrinfo(host, colon + 1, &hints, &found) != 0) fail("no such address");
  int fd = socket(found->ai_family, SOCK_STREAM, 0), one = 1;
  if (fd < 0 || connect(fd, found->ai_addr, found->ai_addrlen) < 0) fail("nobody there");
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  freeaddrinfo(found);
  return fd;
}

static void read_file(const char *path) {
  FILE *file = fopen(path, "rb");
  if (file == NULL) fail(path);
  size_t size = fread(all.request + PREFIX_BYTES, 1, REQUEST_MAX, file);
  fclose(file);
  for (int i = 0; i < 4; i++) all.request[1 + i] = (uint8_t)(size >> (24 - 8 * i));
  all.request_size = PREFIX_BYTES + size;
}

static void send_frames(int fd) {
  const uint8_t *data;
  ssize_t size;
  uint8_t batch[65536];
  size_t held = 0;
  while ((size = nghttp2_session_mem_send(all.session, &data)) > 0) {
    if (held + (size_t)size > sizeof batch) fail("too much at once");
    memcpy(batch + held, data, (size_t)size);
    held += (size_t)size;
  }
  for (size_t sent = 0; sent < held;) {
    ssize_t wrote = write(fd, batch + sent, held - sent);
    if (wrote <= 0) fail("the connection is gone");
    sent += (size_t)wrote;
  }
}

int main(int argc, char **argv) {
  if (argc != 6) fail("HOST:PORT METHOD REQUEST CALLERS COUNT");
  all.address = argv[1];
  all.method = argv[2];
  read_file(argv[3]);
  all.count = atoi(argv[5]);
  all.times = calloc((size_t)all.count, sizeof *all.times);
  nghttp2_session_callbacks *callbacks;
  nghttp2_session_callbacks_new(&callbacks);
  nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
  nghttp2_session_client_new(&all.session, callbacks, NULL);
  nghttp2_submit_settings(all.session, NGHTTP2_FLAG_NONE, NULL, 0);
  int fd = connect_to(argv[1]);
  double begun = now_ms();
  for (int i = 0; i < atoi(argv[4]); i++) begin_call();
  while (all.ended < all.count) {
    uint8_t buffer[65536];
    send_frames(fd);
    ssize_t got = read(fd, buffer, sizeof buffer);
    if (got <= 0 || nghttp2_session_mem_recv(all.session, buffer, (size_t)got) < 0)
      fail("the connection is gone");
  }
  double seconds = (now_ms() - begun) / 1e3;
  for (int i = 0; i < all.count; i++) printf("%.4f\n", all.times[i]);
  printf("total %.4f\n", seconds);
  return 0;
}
