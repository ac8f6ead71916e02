/* guest/manifest.h - the text of guests/manifest.yaml, compiled in. */
#ifndef BRIG_GUEST_MANIFEST_H
#define BRIG_GUEST_MANIFEST_H

#include "guest/guest.h"

extern const char brig__guest_manifest_text[];
extern const size_t brig__guest_manifest_text_size;

#endif
