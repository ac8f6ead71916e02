/* server/metrics_http.h - /metrics, /health and /ready over HTTP/1.1, on the server's loop.
 *
 * GET and HEAD alone. /health says that the loop turns; /ready is 503 until the server says
 * that it is. One request a connection, few connections, small requests, short times: what a
 * scraper needs. No one is asked who he is, so it listens on metrics.address, which is this
 * machine's loopback unless the operator says otherwise.
 *
 * Threads: one, the loop's.
 */
#ifndef BRIG_SERVER_METRICS_HTTP_H
#define BRIG_SERVER_METRICS_HTTP_H

#include <brig/error.h>
#include <stdbool.h>
#include <stdint.h>
#include "server/metrics.h"

struct event_base;
struct metrics_http;

struct metrics_http_settings {
  const char *address; /* "127.0.0.1", "::" */
  uint16_t port;       /* 0: any that is free */
  struct metrics *metrics;
  void (*refresh)(void *context); /* called before they are given out; or NULL */
  void *context;
  uint64_t timeout_us; /* how long a connection may last; 0: 5 s */
  unsigned max_connections; /* others wait to be accepted; 0: 16; at most 1024 */
};

/* BRIG_E_CONFIG for an address that is none, BRIG_E_SYSTEM if it cannot be had. */
int brig__metrics_http_open(struct event_base *base, const struct metrics_http_settings *settings,
                            struct metrics_http **ret_http, struct brig_error *err);
/* Drops its connections. Accepts NULL. */
void brig__metrics_http_close(struct metrics_http *http);

/* For /ready. */
void brig__metrics_http_set_ready(struct metrics_http *http, bool ready);
uint16_t brig__metrics_http_port(const struct metrics_http *http);

#endif
