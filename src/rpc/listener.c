#include <errno.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include "base/error.h"
#include "base/fd.h"
#include "rpc/internal.h"

#define BACKLOG     1024
#define PAUSE_US    100000
#define SOCKET_KIND (SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK)

static int failed(struct brig_error *err, const char *name) {
  return brig__fail_errno(err, errno, "rpc", "listening on %s", name);
}

static void free_addresses(struct addrinfo **address) {
  if (*address != NULL) freeaddrinfo(*address);
}

/* "HOST:PORT", both numbers, a host with colons in brackets; NULL: it is not. */
static struct addrinfo *parse_address(const char *text) {
  static const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
                                        .ai_socktype = SOCK_STREAM};
  CLEANUP_FREE char *copy = strdup(text);
  char *colon = copy == NULL ? NULL : strrchr(copy, ':'), *host = copy;
  struct addrinfo *found;
  if (colon == NULL || colon == host || colon[1] == '\0') return NULL;
  *colon = '\0';
  if (host[0] == '[' && colon[-1] == ']') {
    colon[-1] = '\0';
    host++;
  } else if (strchr(host, ':') != NULL) {
    return NULL;
  }
  return getaddrinfo(host, colon + 1, &hints, &found) == 0 ? found : NULL;
}

static int listen_tcp(const char *text, struct brig_error *err) {
  CLEANUP(free_addresses) struct addrinfo *address = parse_address(text);
  int one = 1;
  if (address == NULL)
    return brig__fail(err, BRIG_E_CONFIG, "rpc",
                      "%s is no address to listen on: 127.0.0.1:50051 and [::1]:50051 are", text);
  CLEANUP_FD int fd = socket(address->ai_family, SOCKET_KIND, 0);
  if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0 ||
      bind(fd, address->ai_addr, address->ai_addrlen) < 0)
    return failed(err, text);
  return STEAL_FD(fd);
}

/* A socket that nobody listens on any more is removed; 0, or -1 with errno. */
static int make_way(const struct sockaddr_un *address) {
  struct stat there;
  if (lstat(address->sun_path, &there) < 0) return errno == ENOENT ? 0 : -1;
  errno = EADDRINUSE;
  if (!S_ISSOCK(there.st_mode)) return -1;
  CLEANUP_FD int fd = socket(AF_UNIX, SOCKET_KIND, 0);
  if (fd < 0) return -1;
  if (connect(fd, (const struct sockaddr *)address, sizeof *address) == 0 ||
      errno != ECONNREFUSED) {
    errno = EADDRINUSE;
    return -1;
  }
  return unlink(address->sun_path);
}

static int listen_unix(const char *path, struct brig_error *err) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof address.sun_path)
    return brig__fail(err, BRIG_E_CONFIG, "rpc", "%s is too long for the path of a socket", path);
  memcpy(address.sun_path, path, strlen(path));
  CLEANUP_FD int fd = socket(AF_UNIX, SOCKET_KIND, 0);
  /* Nobody connects before it listens, so that its mode is right in time. */
  if (fd < 0 || make_way(&address) < 0 ||
      bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || chmod(path, 0600) < 0)
    return failed(err, path);
  return STEAL_FD(fd);
}

static int adopt(int fd, struct brig_error *err) {
  if (evutil_make_socket_nonblocking(fd) < 0 || evutil_make_socket_closeonexec(fd) < 0)
    return brig__fail_errno(err, errno, "rpc", "the socket that was passed");
  return fd;
}

void brig__rpc_format_address(const struct sockaddr *address, socklen_t size,
                              char ret_text[ADDRESS_BYTES]) {
  char host[INET6_ADDRSTRLEN + IF_NAMESIZE], port[6];
  if (address->sa_family == AF_UNIX) {
    snprintf(ret_text, ADDRESS_BYTES, "unix");
  } else if (getnameinfo(address, size, host, sizeof host, port, sizeof port,
                         NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
    snprintf(ret_text, ADDRESS_BYTES, "unknown");
  } else {
    bool six = address->sa_family == AF_INET6;
    snprintf(ret_text, ADDRESS_BYTES, six ? "[%s]:%s" : "%s:%s", host, port);
  }
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address,
                      int size, void *context) {
  (void)listener;
  brig__rpc_connection_open(context, fd, address, (socklen_t)size);
}

static void on_again(evutil_socket_t fd, short what, void *context) {
  const struct rpc_bound *bound = context;
  (void)fd, (void)what;
  if (!bound->server->draining) evconnlistener_enable(bound->listener);
}

/* Without a pause the loop would be told again and again of who cannot be let in. */
static void on_accept_error(struct evconnlistener *listener, void *context) {
  struct rpc_bound *bound = context;
  brig__rpc_note(bound->server, "refused", bound->address, strerror(EVUTIL_SOCKET_ERROR()));
  evconnlistener_disable(listener);
  brig__rpc_timer_set(&bound->again, PAUSE_US);
}

static void bound_free(struct rpc_bound *bound) {
  if (bound->listener != NULL) evconnlistener_free(bound->listener);
  event_del(&bound->again);
  free(bound->path);
  free(bound);
}

static int bind_it(struct rpc_bound *bound, int fd, struct brig_error *err) {
  struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
  socklen_t size = sizeof address;
  getsockname(fd, (struct sockaddr *)&address, &size);
  if (address.ss_family == AF_UNIX) bound->plain = true;
  if (bound->path != NULL)
    snprintf(bound->address, sizeof bound->address, "%s", bound->path);
  else
    brig__rpc_format_address((struct sockaddr *)&address, size, bound->address);
  bound->listener = evconnlistener_new(bound->server->base, on_accept, bound,
                                       LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, BACKLOG, fd);
  if (bound->listener == NULL) return failed(err, bound->address);
  evconnlistener_set_error_cb(bound->listener, on_accept_error);
  return 0;
}

static int listening_socket(const struct rpc_listener *listener, struct brig_error *err) {
  if (listener->from_fd) return adopt(listener->fd, err);
  return listener->path != NULL ? listen_unix(listener->path, err)
                                : listen_tcp(listener->address, err);
}

static struct rpc_bound *bound_new(struct rpc_server *server, const struct rpc_listener *listener) {
  struct rpc_bound *bound = calloc(1, sizeof *bound);
  struct rpc_bound **all = realloc(server->listeners, (server->listener_count + 1) * sizeof *all);
  if (all != NULL) server->listeners = all;
  if (bound == NULL || all == NULL) {
    free(bound);
    return NULL;
  }
  bound->server = server;
  bound->plain = listener->plain || listener->path != NULL;
  evtimer_assign(&bound->again, server->base, on_again, bound);
  return bound;
}

int brig__rpc_listen(struct rpc_server *server, const struct rpc_listener *listener,
                     struct brig_error *err) {
  CLEANUP_FD int fd = listening_socket(listener, err);
  if (fd < 0) return fd;
  struct rpc_bound *bound = bound_new(server, listener);
  if (bound == NULL) return brig__fail(err, BRIG_E_MEMORY, "rpc", "out of memory");
  if (listener->path != NULL) bound->path = strdup(listener->path);
  int rc = bind_it(bound, fd, err);
  if (rc < 0) {
    bound_free(bound);
    return rc;
  }
  fd = -1;
  server->listeners[server->listener_count++] = bound;
  return 0;
}

const char *brig__rpc_address(const struct rpc_server *server, size_t listener) {
  return server->listeners[listener]->address;
}

void brig__rpc_listeners_stop(struct rpc_server *server) {
  for (size_t i = 0; i < server->listener_count; i++) {
    struct rpc_bound *bound = server->listeners[i];
    if (bound->listener == NULL) continue;
    evconnlistener_free(bound->listener); /* closes: clients are refused, and go elsewhere */
    bound->listener = NULL;
    if (bound->path != NULL) unlink(bound->path);
  }
}

void brig__rpc_listeners_free(struct rpc_server *server) {
  for (size_t i = 0; i < server->listener_count; i++) bound_free(server->listeners[i]);
  free(server->listeners);
}
