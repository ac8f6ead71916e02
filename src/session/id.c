#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include "base/error.h"
#include "base/fd.h"
#include "session/session.h"

#define ID_CHARACTERS                                    \
  "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" \
  "0123456789._-"

static bool is_valid(const char *id) {
  size_t length = strlen(id);
  return length >= 1 && length <= STORE_ID_MAX && id[0] != '.' && strstr(id, "..") == NULL &&
         strspn(id, ID_CHARACTERS) == length;
}

int brig__session_id_check(const char *id, struct brig_error *err) {
  if (id != NULL && is_valid(id)) return 0;
  return brig__fail(err, BRIG_E_INVALID, "session",
                    "a session's id has 1 to %d letters, digits, '.', '_' and '-', without \"..\", "
                    "and does not begin with '.'",
                    STORE_ID_MAX);
}

char *brig__session_id_new(void) {
  uint8_t random[16];
  char text[2 * sizeof random + 1];
  if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random) return NULL;
  for (size_t i = 0; i < sizeof random; i++) snprintf(text + 2 * i, 3, "%02x", random[i]);
  return strdup(text);
}

char *brig__session_owner(const char *tenant, const char *user) {
  if (tenant == NULL) tenant = "";
  if (user == NULL) user = "";
  return brig__format("%zu:%s:%s", strlen(tenant), tenant, user);
}
