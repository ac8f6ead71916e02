/* guest/manifest.h - the text of guests/manifest.yaml, compiled in. */
#ifndef BRIG_GUEST_MANIFEST_H
#define BRIG_GUEST_MANIFEST_H

#include "guest/guest.h"

extern const char brig__guest_manifest_text[];
extern const size_t brig__guest_manifest_text_size;

/* The files of guests/drivers/, compiled in; the last has no name. */
struct guest_driver {
  const char *name, *text;
};
extern const struct guest_driver brig__guest_drivers[];

#endif
