/* session/output.h - output that is too long to be given whole: its head and tail, and
 * how much is missing between. */
#ifndef BRIG_SESSION_OUTPUT_H
#define BRIG_SESSION_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Shorten `*data`, which is malloc()ed and has `*size` bytes and a 0 byte, to about
 * `limit`: fresh memory in its place, cut at the beginnings of UTF-8 characters. False,
 * and nothing changed, if it is within the limit or there is no memory. */
bool brig__output_shorten(uint8_t **data, size_t *size, size_t limit, const char *kept_in);

#endif
