/* Who is let in, and as whom. */
#include <brig/brig.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/digest.h"
#include "server/tenants.h"

#define ALICE "alice-token-0123456789"
#define BOB   "bob.token~0123456789=="

static char path[] = "/tmp/brig-tenants-XXXXXX";
static struct tenants *tenants;

static int setup(void **state) {
  (void)state;
  strcpy(path + strlen(path) - 6, "XXXXXX");
  int fd = mkstemp(path);
  return fd < 0 ? -1 : close(fd);
}

static int teardown(void **state) {
  (void)state;
  brig__tenants_close(tenants);
  tenants = NULL;
  unlink(path);
  return 0;
}

static void write_bytes(const char *data, size_t size) {
  FILE *file = fopen(path, "we");
  assert_int_equal(fwrite(data, 1, size, file), size);
  fclose(file);
}

static void write_text(const char *text) { write_bytes(text, strlen(text)); }

static void start(const char *text) {
  struct brig_error err;
  write_text(text);
  if (brig__tenants_open(path, &tenants, &err) < 0) fail_msg("%s", err.message);
}

/* Its tenant; NULL: refused. */
static const char *admit(const struct rpc_peer *peer) {
  const struct caller *caller = NULL;
  const char *message = NULL;
  enum rpc_status status = brig__tenants_admit(tenants, peer, &caller, &message);
  if (status == RPC_OK) {
    assert_null(message);
    return caller->tenant != NULL ? caller->tenant : caller->is_operator ? "(operator)" : "(any)";
  }
  assert_int_equal(status, RPC_UNAUTHENTICATED);
  assert_non_null(message);
  assert_null(caller);
  return NULL;
}

static const char *with(const char *authorization) {
  struct rpc_peer peer = {.address = "127.0.0.1:1", .authorization = authorization};
  return admit(&peer);
}

static void a_token_says_who_calls(void **state) {
  (void)state;
  start("# tokens\n\n  alice:" ALICE "\r\nbob:" BOB "  \nalice:alice-second-token");
  assert_string_equal(with("Bearer " ALICE), "alice");
  assert_string_equal(with("bearer   " ALICE), "alice");
  assert_string_equal(with("Bearer " BOB), "bob");
  assert_string_equal(with("Bearer alice-second-token"), "alice");
}

static void a_digest_is_as_good_and_tells_nothing(void **state) {
  (void)state;
  struct brig_digest digest;
  char hex[BRIG_DIGEST_HEX], line[128];
  brig__digest(BOB, strlen(BOB), &digest);
  brig__digest_hex(&digest, hex);
  snprintf(line, sizeof line, "bob:sha256:%s\n", hex);
  start(line);
  assert_string_equal(with("Bearer " BOB), "bob");
  snprintf(line, sizeof line, "Bearer %s", hex);
  assert_null(with(line));
}

static void others_are_not_let_in(void **state) {
  (void)state;
  start("alice:" ALICE "\n");
  static const char *const wrong[] = {"Bearer alice-token-012345678",
                                      "Bearer " ALICE "0",
                                      "Bearer " ALICE " ",
                                      "Bearer " ALICE ",Bearer " ALICE,
                                      "Basic " ALICE,
                                      "Bearer" ALICE,
                                      "Bearer ",
                                      "Bearer",
                                      ALICE,
                                      "",
                                      "Bearer \xff\xfe"};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) assert_null(with(wrong[i]));
  assert_null(with(NULL));
}

static void users_and_certificates_are_mapped(void **state) {
  (void)state;
  start("ci:uid:4000000\nweb:certificate:CN=web,O=Example: it\nalice:" ALICE "\n");
  struct rpc_peer peer = {.address = "unix", .local = true, .uid = 4000000};
  assert_string_equal(admit(&peer), "ci");
  peer.uid = 4000001;
  assert_null(admit(&peer));
  peer.uid = geteuid();
  assert_string_equal(admit(&peer), "(operator)");
  peer.authorization = "Bearer wrong-wrong-wrong-wrong"; /* a wrong token is no one's */
  assert_null(admit(&peer));
  peer.authorization = "Bearer " ALICE;
  assert_string_equal(admit(&peer), "alice");
  peer = (struct rpc_peer){.address = "1.2.3.4:5", .certificate = "CN=web,O=Example: it"};
  assert_string_equal(admit(&peer), "web");
  peer.certificate = "CN=web,O=Example";
  assert_null(admit(&peer));
  peer = (struct rpc_peer){.address = "1.2.3.4:5", .uid = 4000000}; /* not at a Unix socket */
  assert_null(admit(&peer));
  assert_null(with("Bearer CN=web,O=Example: it"));
}

static void without_a_file_all_may_call_as_nobody_in_particular(void **state) {
  (void)state;
  assert_int_equal(brig__tenants_open("", &tenants, NULL), 0);
  assert_string_equal(with(NULL), "(any)");
  assert_string_equal(with("Bearer " ALICE), "(any)");
  struct rpc_peer peer = {.address = "unix", .local = true, .uid = geteuid()};
  assert_string_equal(admit(&peer), "(operator)");
  peer.uid = 4000000;
  assert_string_equal(admit(&peer), "(any)");
  assert_int_equal(brig__tenants_reload(tenants, NULL), 0);
}

static void refuse(const char *text, const char *says) {
  struct brig_error err = {0};
  struct tenants *opened = NULL;
  write_text(text);
  assert_int_equal(brig__tenants_open(path, &opened, &err), BRIG_E_CONFIG);
  assert_null(opened);
  if (strstr(err.message, says) == NULL) fail_msg("\"%s\" does not say \"%s\"", err.message, says);
  assert_null(strstr(err.message, "secret"));
}

static void what_is_wrong_is_named_with_its_line_and_no_secret(void **state) {
  (void)state;
  refuse("# one\nsecret-secret-secret\n", ":2: a line is TENANT:TOKEN");
  refuse(":secret-secret-secret\n", ":1: a line is");
  refuse("al ice:secret-secret-secret\n", ":1: a line is");
  refuse("alice:secret\n", ":1: a token is at least 16");
  refuse("alice:secret secret secret\n", ":1: a token is");
  refuse("alice:secret-secret-secret-\xc3\xa9\n", ":1: a token is");
  refuse("alice:sha256:00\n", ":1: sha256: is followed by 64");
  refuse("alice:uid:-1\n", ":1: uid: is followed by");
  refuse("alice:uid:4294967295\n", ":1: uid:");
  refuse("alice:uid: 1\n", ":1: uid:");
  refuse("alice:certificate:\n", ":1: certificate:");
  refuse("a:secret-secret-secret\nb:secret-secret-secret\n", ":2: it is there already");
  refuse("a:uid:1\na:uid:1\n", ":2: it is there already");
  refuse("# nobody\n", "lets nobody in");
  refuse("", "lets nobody in");
}

static void a_file_must_be_ours_and_only_ours(void **state) {
  (void)state;
  struct brig_error err;
  struct tenants *opened = NULL;
  static const mode_t wrong[] = {0644, 0620, 0602, 0604};
  write_text("a:" ALICE);
  for (size_t i = 0; i < 4; i++) {
    assert_int_equal(chmod(path, wrong[i]), 0);
    assert_int_equal(brig__tenants_open(path, &opened, &err), BRIG_E_CONFIG);
    assert_non_null(strstr(err.message, "chmod 600"));
  }
  assert_int_equal(chmod(path, 0640), 0);
  assert_int_equal(brig__tenants_open(path, &opened, &err), 0);
  brig__tenants_close(opened);
  opened = NULL;
  assert_int_equal(chmod(path, 0600), 0);
  write_bytes("a:" ALICE "\0b:" BOB, sizeof "a:" ALICE "\0b:" BOB);
  assert_int_equal(brig__tenants_open(path, &opened, &err), BRIG_E_CONFIG);
  assert_int_equal(brig__tenants_open("/dev/zero", &opened, &err), BRIG_E_CONFIG);
  assert_int_equal(brig__tenants_open("/etc", &opened, &err), BRIG_E_CONFIG);
  assert_non_null(strstr(err.message, "not a regular file"));
  assert_int_equal(brig__tenants_open("/no/such/file", &opened, &err), BRIG_E_SYSTEM);
  assert_int_equal(truncate(path, (1 << 20) + 1), 0);
  assert_int_equal(brig__tenants_open(path, &opened, &err), BRIG_E_CONFIG);
  assert_null(opened);
}

static void a_bad_file_changes_nothing(void **state) {
  (void)state;
  struct brig_error err;
  const struct caller *before = NULL, *after = NULL;
  const char *message;
  struct rpc_peer peer = {.address = "1.2.3.4:5", .authorization = "Bearer " ALICE};
  start("alice:" ALICE "\n");
  assert_int_equal(brig__tenants_admit(tenants, &peer, &before, &message), RPC_OK);
  write_text("bob:" BOB "\nwrong\n");
  assert_int_equal(brig__tenants_reload(tenants, &err), BRIG_E_CONFIG);
  assert_string_equal(with("Bearer " ALICE), "alice");
  assert_null(with("Bearer " BOB));
  write_text("bob:" BOB "\nalice:alice-second-token");
  assert_int_equal(brig__tenants_reload(tenants, &err), 0);
  assert_null(with("Bearer " ALICE));
  assert_string_equal(with("Bearer " BOB), "bob");
  assert_string_equal(before->tenant, "alice"); /* calls in progress have it */
  peer.authorization = "Bearer alice-second-token";
  assert_int_equal(brig__tenants_admit(tenants, &peer, &after, &message), RPC_OK);
  assert_ptr_equal(before, after);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_token_says_who_calls),
      TEST(a_digest_is_as_good_and_tells_nothing),
      TEST(others_are_not_let_in),
      TEST(users_and_certificates_are_mapped),
      TEST(without_a_file_all_may_call_as_nobody_in_particular),
      TEST(what_is_wrong_is_named_with_its_line_and_no_secret),
      TEST(a_file_must_be_ours_and_only_ours),
      TEST(a_bad_file_changes_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
