/* server/base64.h - the standard alphabet (RFC 4648), padded. */
#ifndef BRIG_SERVER_BASE64_H
#define BRIG_SERVER_BASE64_H

#include <stdbool.h>
#include <stddef.h>
#include "server/arena.h"

/* Both in the arena, NULL without memory. */
char *brig__base64_encode(struct arena *arena, const void *data, size_t size, size_t *ret_size);
/* NULL also if it is none; blanks around it do not count. */
void *brig__base64_decode(struct arena *arena, const void *text, size_t size, size_t *ret_size);

#endif
