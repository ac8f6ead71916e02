/* HTTP by libevent's evhttp, with what it leaves out: a bound on connections, and on how long
 * one may last however little it says. It tells nobody when one ends, so a reference to each
 * is kept, and given back once evhttp is seen to have let go of it. */
#include "server/metrics_http.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"

#define TIMEOUT_US      UINT64_C(5000000)
#define CONNECTIONS     16
#define CONNECTIONS_MAX 1024
#define HEADERS_MAX     8192
#define LOOK_US         250000
#define ALL_METHODS     0xffff /* so that we say 405, and not evhttp 501 */

struct connection {
  struct bufferevent *events; /* a reference */
  uint64_t end_us;
};

struct metrics_http {
  struct metrics_http_settings settings;
  struct evhttp *http;
  struct evconnlistener *listener; /* evhttp's */
  struct event *look;
  struct connection *connections;
  unsigned count;
  uint16_t port;
  bool ready;
};

/* --- Connections ------------------------------------------------------------------ */

/* bufferevent_free() takes the callbacks away, and the rest once nobody refers to it. */
static bool is_over(const struct connection *connection) {
  bufferevent_data_cb read = NULL, write = NULL;
  bufferevent_event_cb event = NULL;
  bufferevent_getcb(connection->events, &read, &write, &event, NULL);
  return read == NULL && write == NULL && event == NULL;
}

static void forget_those_over(struct metrics_http *http) {
  for (unsigned i = 0; i < http->count;) {
    struct connection *connection = &http->connections[i];
    if (is_over(connection)) {
      bufferevent_decref(connection->events);
      *connection = http->connections[--http->count];
    } else {
      i++;
    }
  }
}

static void listen_if_there_is_room(struct metrics_http *http) {
  if (http->count < http->settings.max_connections)
    evconnlistener_enable(http->listener);
  else
    evconnlistener_disable(http->listener);
}

/* evhttp asks for what the connection that it has accepted is to be. */
static struct bufferevent *connection_come(struct event_base *base, void *context) {
  struct metrics_http *http = context;
  forget_those_over(http);
  struct bufferevent *events = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
  if (events == NULL || http->count == CONNECTIONS_MAX) return events;
  bufferevent_incref(events);
  http->connections[http->count++] = (struct connection){
      .events = events, .end_us = brig__now_us() + http->settings.timeout_us};
  listen_if_there_is_room(http);
  return events;
}

/* What has lasted too long is shut down, which evhttp takes for its client's end. */
static void look_at_connections(int fd, short what, void *context) {
  struct metrics_http *http = context;
  uint64_t now_us = brig__now_us();
  (void)fd, (void)what;
  forget_those_over(http);
  for (unsigned i = 0; i < http->count; i++)
    if (now_us >= http->connections[i].end_us)
      shutdown(bufferevent_getfd(http->connections[i].events), SHUT_RDWR);
  listen_if_there_is_room(http); /* also where accepting failed */
}

/* Without descriptors, say: the loop would ask again and again. */
static void accept_failed(struct evconnlistener *listener, void *evhttps) {
  (void)evhttps;
  evconnlistener_disable(listener);
}

/* --- Requests --------------------------------------------------------------------- */

/* evhttp would send the body of a reply to HEAD too, and without it no length. */
static void reply(struct evhttp_request *request, int code, const char *reason, const char *type,
                  const void *body, size_t size) {
  struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
  bool head = evhttp_request_get_command(request) == EVHTTP_REQ_HEAD;
  struct evbuffer *buffer = head ? NULL : evbuffer_new();
  char length[24];
  snprintf(length, sizeof length, "%zu", size);
  if (buffer != NULL) evbuffer_add(buffer, body, size);
  if (head) evhttp_add_header(headers, "Content-Length", length);
  evhttp_add_header(headers, "Content-Type", type);
  evhttp_add_header(headers, "Connection", "close");
  evhttp_send_reply(request, code, reason, buffer);
  if (buffer != NULL) evbuffer_free(buffer);
}

static void say(struct evhttp_request *request, int code, const char *reason) {
  char body[64];
  int size = snprintf(body, sizeof body, "%s\n", reason);
  reply(request, code, reason, "text/plain; charset=utf-8", body, (size_t)size);
}

static void give_metrics(struct metrics_http *http, struct evhttp_request *request) {
  size_t size = 0;
  if (http->settings.refresh != NULL) http->settings.refresh(http->settings.context);
  CLEANUP_FREE char *text = brig__metrics_text(http->settings.metrics, &size);
  if (text == NULL)
    say(request, HTTP_SERVUNAVAIL, "Out of Memory");
  else
    reply(request, HTTP_OK, "OK", "text/plain; version=0.0.4; charset=utf-8", text, size);
}

static void give_health(struct metrics_http *http, struct evhttp_request *request) {
  (void)http;
  say(request, HTTP_OK, "OK");
}

static void give_ready(struct metrics_http *http, struct evhttp_request *request) {
  if (http->ready)
    say(request, HTTP_OK, "OK");
  else
    say(request, HTTP_SERVUNAVAIL, "Not Ready");
}

static void serve(struct evhttp_request *request, void *context) {
  static const struct {
    const char *path;
    void (*give)(struct metrics_http *http, struct evhttp_request *request);
  } pages[] = {{"/metrics", give_metrics}, {"/health", give_health}, {"/ready", give_ready}};
  const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(request);
  const char *path = uri == NULL ? NULL : evhttp_uri_get_path(uri);
  enum evhttp_cmd_type method = evhttp_request_get_command(request);
  size_t i = 0, count = sizeof pages / sizeof *pages;
  while (i < count && (path == NULL || strcmp(path, pages[i].path) != 0)) i++;
  if (i == count) {
    say(request, HTTP_NOTFOUND, "Not Found");
  } else if (method != EVHTTP_REQ_GET && method != EVHTTP_REQ_HEAD) {
    evhttp_add_header(evhttp_request_get_output_headers(request), "Allow", "GET, HEAD");
    say(request, HTTP_BADMETHOD, "Method Not Allowed");
  } else {
    pages[i].give(context, request);
  }
}

/* --- Life ------------------------------------------------------------------------- */

static void free_addresses(struct addrinfo **list) {
  if (*list != NULL) freeaddrinfo(*list);
}

static int listen_there(struct metrics_http *http, struct event_base *base,
                        struct brig_error *err) {
  const struct metrics_http_settings *settings = &http->settings;
  const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
                                 .ai_socktype = SOCK_STREAM};
  CLEANUP(free_addresses) struct addrinfo *found = NULL;
  char port[8];
  snprintf(port, sizeof port, "%u", settings->port);
  if (getaddrinfo(settings->address, port, &hints, &found) != 0)
    return brig__fail(err, BRIG_E_CONFIG, "server",
                      "metrics.address: \"%.100s\" is no address, such as 127.0.0.1 or ::1",
                      settings->address);
  http->listener = evconnlistener_new_bind(
      base, NULL, NULL, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE, -1,
      found->ai_addr, (int)found->ai_addrlen);
  if (http->listener == NULL)
    return brig__fail_errno(err, EVUTIL_SOCKET_ERROR(), "server",
                            "cannot listen on metrics.address %.100s, metrics.port %u",
                            settings->address, settings->port);
  return 0;
}

static uint16_t port_of(struct evconnlistener *listener) {
  struct sockaddr_storage address = {0};
  socklen_t size = sizeof address;
  getsockname(evconnlistener_get_fd(listener), (struct sockaddr *)&address, &size);
  return ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
                                             : ((struct sockaddr_in *)&address)->sin_port);
}

static int start(struct metrics_http *http, struct event_base *base, struct brig_error *err) {
  const struct timeval look = {.tv_usec = LOOK_US};
  http->http = evhttp_new(base);
  http->look = event_new(base, -1, EV_PERSIST, look_at_connections, http);
  http->connections = calloc(CONNECTIONS_MAX, sizeof *http->connections);
  if (http->http == NULL || http->look == NULL || http->connections == NULL)
    return brig__fail(err, BRIG_E_MEMORY, "server", "out of memory");
  int rc = listen_there(http, base, err);
  if (rc < 0) return rc;
  if (evhttp_bind_listener(http->http, http->listener) == NULL) {
    evconnlistener_free(http->listener);
    return brig__fail(err, BRIG_E_MEMORY, "server", "out of memory");
  }
  evconnlistener_set_error_cb(http->listener, accept_failed);
  http->port = port_of(http->listener);
  evhttp_set_max_headers_size(http->http, HEADERS_MAX);
  evhttp_set_max_body_size(http->http, 0);
  evhttp_set_allowed_methods(http->http, ALL_METHODS);
  evhttp_set_bevcb(http->http, connection_come, http);
  evhttp_set_gencb(http->http, serve, http);
  if (event_add(http->look, &look) == 0) return 0;
  return brig__fail(err, BRIG_E_MEMORY, "server", "out of memory");
}

int brig__metrics_http_open(struct event_base *base, const struct metrics_http_settings *settings,
                            struct metrics_http **ret_http, struct brig_error *err) {
  struct metrics_http *http = calloc(1, sizeof *http);
  if (http == NULL) return brig__fail(err, BRIG_E_MEMORY, "server", "out of memory");
  http->settings = *settings;
  if (settings->timeout_us == 0) http->settings.timeout_us = TIMEOUT_US;
  if (settings->max_connections == 0) http->settings.max_connections = CONNECTIONS;
  if (settings->max_connections > CONNECTIONS_MAX)
    http->settings.max_connections = CONNECTIONS_MAX;
  int rc = start(http, base, err);
  if (rc < 0)
    brig__metrics_http_close(http);
  else
    *ret_http = http;
  return rc;
}

void brig__metrics_http_close(struct metrics_http *http) {
  if (http == NULL) return;
  if (http->http != NULL) evhttp_free(http->http); /* and the listener */
  if (http->look != NULL) event_free(http->look);
  while (http->count > 0) bufferevent_decref(http->connections[--http->count].events);
  free(http->connections);
  free(http);
}

void brig__metrics_http_set_ready(struct metrics_http *http, bool ready) { http->ready = ready; }

uint16_t brig__metrics_http_port(const struct metrics_http *http) { return http->port; }
