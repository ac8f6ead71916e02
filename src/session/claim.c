#include "session/claim.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include "base/clock.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/fd.h"

#define POLL_MS 2

int brig__claims_open(const char *store_path, int *ret_claims, struct brig_error *err) {
  CLEANUP_FREE char *path = brig__format("%s-claims", store_path);
  if (path == NULL) return brig__fail(err, BRIG_E_MEMORY, "session", "out of memory");
  int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0) return brig__fail_errno(err, errno, "session", "%s", path);
  *ret_claims = fd;
  return 0;
}

/* The byte of a session: no two of them have the same but by a chance of one in 2^62. */
static int place_of(const char *owner, const char *id, off_t *ret_place) {
  struct brig_digest digest;
  CLEANUP_FREE char *key = brig__format("%zu:%s%s", strlen(owner), owner, id);
  uint64_t place;
  int rc = key == NULL ? -ENOMEM : brig__digest(key, strlen(key), &digest);
  if (rc < 0) return rc;
  memcpy(&place, digest.bytes, sizeof place);
  *ret_place = (off_t)(place >> 2);
  return 0;
}

/* 0 or -errno. */
static int set_lock(int claims, const char *owner, const char *id, short type) {
  struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_len = 1};
  int rc = place_of(owner, id, &lock.l_start);
  if (rc < 0) return rc;
  return fcntl(claims, F_OFD_SETLK, &lock) < 0 ? -errno : 0;
}

int brig__claim(int claims, const char *owner, const char *id, int wait_ms, int cancel_fd,
                struct brig_error *err) {
  struct pollfd cancel = {.fd = cancel_fd, .events = POLLIN};
  uint64_t until_us = brig__now_us() + (uint64_t)wait_ms * 1000;
  int rc;
  if (claims < 0) return 0;
  /* The kernel's own wait for a lock has no end. */
  while ((rc = set_lock(claims, owner, id, F_WRLCK)) == -EAGAIN && brig__now_us() < until_us)
    if (poll(&cancel, 1, POLL_MS) > 0) return BRIG__CANCELLED;
  if (rc == 0) return 0;
  if (rc != -EAGAIN) return brig__fail_errno(err, -rc, "session", "claiming the session %s", id);
  return brig__fail(err, BRIG_E_BUSY, "session",
                    "busy: another process has the session %s; try again when it is done with it",
                    id);
}

void brig__claim_release(int claims, const char *owner, const char *id) {
  if (claims >= 0) set_lock(claims, owner, id, F_UNLCK);
}
