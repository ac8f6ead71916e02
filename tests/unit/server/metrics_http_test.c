/* The metrics port as scrapers and others find it: a real loop, real connections. The loop
 * is this thread's; clients are threads of their own. */
#include <arpa/inet.h>
#include <brig/brig.h>
#include <event2/event.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/fd.h"
#include "server/metrics_http.h"
#include "support/count_entries.h"

static struct event_base *base;
static struct metrics *metrics;
static struct metrics_http *http;

static void refresh(void *context) { brig__metrics_set(metrics, *(enum metric *)context, 42); }

static enum metric workers = METRIC_workers;

static int start(uint64_t timeout_us) {
  struct metrics_http_settings settings = {.address = "127.0.0.1",
                                           .metrics = metrics,
                                           .refresh = refresh,
                                           .context = &workers,
                                           .timeout_us = timeout_us,
                                           .max_connections = 4};
  return brig__metrics_http_open(base, &settings, &http, NULL);
}

static int setup(void **state) {
  (void)state;
  base = event_base_new();
  metrics = brig__metrics_new();
  return base == NULL || metrics == NULL || start(30000000) < 0;
}

static int teardown(void **state) {
  (void)state;
  brig__metrics_http_close(http);
  event_base_free(base);
  brig__metrics_free(metrics);
  return 0;
}

static int reach(void) {
  struct sockaddr_in address = {.sin_family = AF_INET,
                                .sin_port = htons(brig__metrics_http_port(http)),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) abort();
  return fd;
}

/* A client that says this, and reads up to the end. */
struct client {
  const char *says;
  char *reply; /* fresh memory */
  size_t size;
  pthread_t thread;
};

static void *ask(void *context) {
  struct client *client = context;
  CLEANUP_FD int fd = reach();
  client->reply = calloc(1, 1 << 20);
  send(fd, client->says, strlen(client->says), MSG_NOSIGNAL);
  ssize_t got = brig__read_all(fd, client->reply, (1 << 20) - 1);
  client->size = got > 0 ? (size_t)got : 0;
  return NULL;
}

static void turn(void) {
  const struct timeval soon = {.tv_usec = 10000};
  event_base_loopexit(base, &soon);
  event_base_dispatch(base);
}

static void begin(struct client *client, const char *says) {
  *client = (struct client){.says = says};
  assert_int_equal(pthread_create(&client->thread, NULL, ask, client), 0);
}

static void finish(struct client *client) {
  while (pthread_tryjoin_np(client->thread, NULL) != 0) turn();
}

static void expect_reply(const char *says, const char *status, const char *has) {
  struct client client;
  begin(&client, says);
  finish(&client);
  if (strncmp(client.reply, status, strlen(status)) != 0 || strstr(client.reply, has) == NULL)
    fail_msg("%s: %s", says, client.reply);
  free(client.reply);
}

#define HOST "Host: h\r\n\r\n"

static void pages_are_what_they_say(void **state) {
  (void)state;
  expect_reply("GET /metrics HTTP/1.1\r\n" HOST, "HTTP/1.1 200 OK\r\n",
               "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n");
  expect_reply("GET /metrics?x=1 HTTP/1.1\r\n" HOST, "HTTP/1.1 200 OK\r\n", "\nbrig_workers 42\n");
  expect_reply("GET /health HTTP/1.1\r\n" HOST, "HTTP/1.1 200 OK\r\n", "\r\n\r\nOK\n");
  expect_reply("GET /ready HTTP/1.1\r\n" HOST, "HTTP/1.1 503 ", "\r\n\r\nNot Ready\n");
  brig__metrics_http_set_ready(http, true);
  expect_reply("GET /ready HTTP/1.0\r\n\r\n", "HTTP/1.0 200 ", "\r\n\r\nOK\n");
  brig__metrics_http_set_ready(http, false);
  expect_reply("GET /ready HTTP/1.1\r\n" HOST, "HTTP/1.1 503 ", "Connection: close\r\n");
}

static void a_head_has_no_body(void **state) {
  (void)state;
  struct client client;
  begin(&client, "HEAD /health HTTP/1.1\r\n" HOST);
  finish(&client);
  assert_int_equal(strncmp(client.reply, "HTTP/1.1 200 ", 13), 0);
  assert_non_null(strstr(client.reply, "\r\nContent-Length: 3\r\n"));
  assert_memory_equal(client.reply + client.size - 4, "\r\n\r\n", 4);
  free(client.reply);
}

static void what_is_not_there_or_not_done_is_said(void **state) {
  (void)state;
  expect_reply("GET / HTTP/1.1\r\n" HOST, "HTTP/1.1 404 Not Found\r\n", "");
  expect_reply("GET /metrics/ HTTP/1.1\r\n" HOST, "HTTP/1.1 404 ", "");
  expect_reply("GET /metrics%00 HTTP/1.1\r\n" HOST, "HTTP/1.1 404 ", "");
  expect_reply("POST /metrics HTTP/1.1\r\nContent-Length: 0\r\n" HOST, "HTTP/1.1 405 ",
               "Allow: GET, HEAD\r\n");
  expect_reply("DELETE /ready HTTP/1.1\r\n" HOST, "HTTP/1.1 405 ", "Allow: GET, HEAD\r\n");
  expect_reply("EVIL /ready HTTP/1.1\r\n" HOST, "HTTP/1.1 405 ", "");
}

static void what_is_hostile_gets_nothing(void **state) {
  (void)state;
  brig__metrics_http_close(http);
  assert_int_equal(start(300000), 0); /* some would wait for more */
  static char large[16384 + 64];
  struct client client;
  snprintf(large, sizeof large, "GET /health HTTP/1.1\r\nX: %016383d\r\n" HOST, 0);
  static const char *const hostile[] = {
      large,
      "GET /health HTTP/1.1\r\nContent-Length: 99999999999\r\n" HOST,
      "GET /health HTTP/1.1\r\nContent-Length: -1\r\n" HOST,
      "GET /health HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n",
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
      "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
      "GET /health\r\n\r\n",
      "GET /health HTTP/1.1\r\nno colon\r\n\r\n",
  };
  for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
    begin(&client, hostile[i]);
    finish(&client);
    assert_null(strstr(client.reply, "200 OK"));
    free(client.reply);
  }
}

static void who_says_nothing_is_let_go_of(void **state) {
  (void)state;
  struct client clients[2];
  brig__metrics_http_close(http);
  assert_int_equal(start(50000), 0);
  begin(&clients[0], "");
  begin(&clients[1], "GET /health HTTP/1.1\r\nHo");
  for (int i = 0; i < 2; i++) {
    finish(&clients[i]); /* though they would read for ever */
    free(clients[i].reply);
  }
}

/* A byte now and then, until it is not taken. */
static void *trickle(void *context) {
  CLEANUP_FD int fd = reach();
  for (int i = 0; i < 3000; i++) { /* fewer than headers may have */
    if (send(fd, i < 2 ? "G" : "x", 1, MSG_NOSIGNAL) != 1) return context;
    usleep(5000);
  }
  return NULL;
}

static void who_says_little_is_let_go_of_too(void **state) {
  (void)state;
  pthread_t thread;
  void *cut_off = NULL;
  brig__metrics_http_close(http);
  assert_int_equal(start(300000), 0);
  assert_int_equal(pthread_create(&thread, NULL, trickle, http), 0);
  while (pthread_tryjoin_np(thread, &cut_off) != 0) turn();
  assert_non_null(cut_off);
}

static void only_so_many_connect_at_once(void **state) {
  (void)state;
  struct client client;
  int idle[4];
  for (int i = 0; i < 4; i++) idle[i] = reach();
  for (int i = 0; i < 5; i++) turn();
  begin(&client, "GET /health HTTP/1.1\r\n" HOST);
  for (int i = 0; i < 20; i++) turn();
  assert_int_not_equal(pthread_tryjoin_np(client.thread, NULL), 0);
  close(idle[0]);
  finish(&client);
  assert_non_null(strstr(client.reply, "200 OK"));
  free(client.reply);
  for (int i = 1; i < 4; i++) close(idle[i]);
}

static void nothing_is_left_open(void **state) {
  (void)state;
  size_t before = count_entries("/proc/self/fd");
  for (int i = 0; i < 20; i++)
    expect_reply("GET /health HTTP/1.1\r\n" HOST, "HTTP/1.1 200 ", "");
  for (int i = 0; i < 1000 && count_entries("/proc/self/fd") > before; i++) turn();
  assert_int_equal(count_entries("/proc/self/fd"), before);
  CLEANUP_FD int idle = reach();
  turn();
  brig__metrics_http_close(http); /* with a connection there */
  http = NULL;
  turn();
  assert_int_equal(count_entries("/proc/self/fd"), before); /* one less, and `idle` */
}

static void want_of_descriptors_passes(void **state) {
  (void)state;
  static const char request[] = "GET /health HTTP/1.1\r\n" HOST;
  struct rlimit before, none;
  char reply[256] = "";
  CLEANUP_FD int client = reach();
  int free_one = dup(client);
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
  none = before;
  none.rlim_cur = (rlim_t)free_one;
  close(free_one);
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
  for (int i = 0; i < 5; i++) turn();
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
  assert_int_equal(send(client, request, sizeof request - 1, MSG_NOSIGNAL), sizeof request - 1);
  while (recv(client, reply, sizeof reply - 1, MSG_DONTWAIT) <= 0) turn();
  assert_non_null(strstr(reply, "200 OK"));
}

static void an_address_must_be_one_that_can_be_had(void **state) {
  (void)state;
  struct metrics_http *second = NULL;
  struct brig_error err;
  struct metrics_http_settings settings = {.address = "localhost", .metrics = metrics};
  assert_int_equal(brig__metrics_http_open(base, &settings, &second, &err), BRIG_E_CONFIG);
  settings.address = "127.0.0.1";
  settings.port = brig__metrics_http_port(http);
  assert_int_equal(brig__metrics_http_open(base, &settings, &second, &err), BRIG_E_SYSTEM);
  assert_non_null(strstr(err.message, "metrics.port"));
  assert_null(second);
}

static void *scrape(void *ret_status) {
  char command[200];
  snprintf(command, sizeof command,
           "python3 -c 'import sys, urllib.request as r; "
           "sys.stdout.write(r.urlopen(\"http://127.0.0.1:%u/metrics\").read().decode())' "
           "| python3 -B tests/support/prometheus.py",
           brig__metrics_http_port(http));
  *(int *)ret_status = system(command);
  return NULL;
}

static void a_scraper_reads_it(void **state) {
  (void)state;
  pthread_t scraper;
  int status = -1;
  brig__metrics_observe(metrics, METRIC_tool_duration, 1, "wasi");
  assert_int_equal(pthread_create(&scraper, NULL, scrape, &status), 0);
  while (pthread_tryjoin_np(scraper, NULL) != 0) turn();
  assert_int_equal(status, 0);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(pages_are_what_they_say),
      TEST(a_head_has_no_body),
      TEST(what_is_not_there_or_not_done_is_said),
      TEST(what_is_hostile_gets_nothing),
      TEST(who_says_nothing_is_let_go_of),
      TEST(who_says_little_is_let_go_of_too),
      TEST(only_so_many_connect_at_once),
      TEST(nothing_is_left_open),
      TEST(want_of_descriptors_passes),
      TEST(an_address_must_be_one_that_can_be_had),
      TEST(a_scraper_reads_it),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
