/* pool/processor.h - the processor that code is compiled for. */
#ifndef BRIG_POOL_PROCESSOR_H
#define BRIG_POOL_PROCESSOR_H

#include "base/digest.h"

/* The digest of its features: with others, compiled code is another. 0 or -errno. */
int brig__processor_digest(struct brig_digest *ret_digest);

#endif
