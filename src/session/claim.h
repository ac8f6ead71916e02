/* session/claim.h - which process has a session in memory: only one may, or what one of them
 * saves would be lost to what the other does.
 *
 * A claim is a lock of the kernel's on one byte of a file beside the store; which byte, a digest of
 * owner and id says. It ends with its process, whatever ends that, and leaves nothing to tidy up.
 * Threads: as file locks, from any. Fork: a child shares its parent's claims until exec().
 */
#ifndef BRIG_SESSION_CLAIM_H
#define BRIG_SESSION_CLAIM_H

#include <brig/error.h>

/* Where claims on a store's sessions are made: a descriptor, the caller's. Claims made through
 * one do not exclude each other. */
int brig__claims_open(const char *store_path, int *ret_claims, struct brig_error *err);

/* BRIG_E_BUSY if another has it for `wait_ms`; BRIG__CANCELLED once `cancel_fd`, which may be -1,
 * is readable. Nobody else can have it if `claims` is -1. */
int brig__claim(int claims, const char *owner, const char *id, int wait_ms, int cancel_fd,
                struct brig_error *err);
void brig__claim_release(int claims, const char *owner, const char *id);

#endif
