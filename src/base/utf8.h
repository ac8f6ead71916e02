/* base/utf8.h - UTF-8 (RFC 3629: no surrogates, nothing overlong), of bytes that may be
 * anything. */
#ifndef BRIG_BASE_UTF8_H
#define BRIG_BASE_UTF8_H

#include <stddef.h>

/* How many bytes, from the first, are whole characters. */
size_t brig__utf8_valid(const void *data, size_t size);

/* A copy in which U+FFFD is in the place of each byte that is of no character, with a 0
 * byte after it: fresh memory, or NULL. */
char *brig__utf8_repair(const void *data, size_t size, size_t *ret_size);

#endif
